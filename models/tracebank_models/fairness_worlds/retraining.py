"""Models that are fitted again to what their own decisions let them see: the schedules, and what they remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from tracebank_models.checked_settings import check_settings
from tracebank_models.fairness_mitigation.protocol import Decider, Mitigation
from tracebank_models.fairness_mitigation.sample import LEAST_LABELS

from .group_figures import Ints
from .score_tables import Floats

Labels = Literal["all", "window", "accepted", "exploration", "inverse_propensity"]
SCHEDULES: Final[tuple[Labels, ...]] = ("all", "window", "accepted", "exploration", "inverse_propensity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """When a model is fitted again, and to which labels."""

    labels: Labels = "accepted"
    """`all`: those of the rejected too, which nobody really has; `accepted`: all that were ever seen; `window`: those
    of the last periods; `exploration`: as `accepted`, where some of the rejected are accepted by lot;
    `inverse_propensity`: the same, each weighed by the inverse of the chance that it had to be seen."""
    burn_in: Annotated[int, msgspec.Meta(ge=1)] = 5
    """Periods in which everyone is accepted."""
    every: Annotated[int, msgspec.Meta(ge=0)] = 10
    """Periods from one fit to the next; 0: fitted once after the burn-in, and never again."""
    window: Annotated[int, msgspec.Meta(ge=1)] = 10
    explored: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    """Share of the rejected that is accepted by lot."""
    sample: Annotated[int, msgspec.Meta(ge=1)] = 2_000
    """People of each period that are remembered."""
    rows: Annotated[int, msgspec.Meta(ge=1)] = 20_000
    """Most people that one fit is of."""

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def explores(self) -> bool:
        """Whether some of the rejected are accepted by lot."""
        return self.labels in ("exploration", "inverse_propensity")

    def due(self, period: int) -> bool:
        """Whether a model is fitted before this period, from 0."""
        after = period - self.burn_in
        return after == 0 or (after > 0 and self.every > 0 and after % self.every == 0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is remembered of one period."""

    features: Floats
    labels: Floats
    """NaN where nobody knows."""
    groups: Ints
    weights: Floats


class Memory:
    """What a model may be fitted to, under a schedule."""

    def __init__(self, retraining: Retraining, random: np.random.Generator) -> None:
        self._how, self._random = retraining, random
        self._seen: list[Seen] = []

    def keep(self, seen: Seen) -> None:
        """Remember a sample of a period, and forget what is out of the window."""
        people = len(seen.labels)
        chosen = self._random.permutation(people)[: self._how.sample]
        self._seen.append(Seen(seen.features[chosen], seen.labels[chosen], seen.groups[chosen], seen.weights[chosen]))
        if self._how.labels == "window":
            del self._seen[: -self._how.window]

    def fitted(self, mitigation: Mitigation, before: Decider | None) -> Decider:
        """Fit a mitigation to what is remembered.

        Args:
            mitigation: What is fitted.
            before: The rule so far; it stays where fewer than two labels are remembered (nobody was accepted within
                the window).

        Raises:
            ValueError: The mitigation cannot be fitted to that.
        """
        known = sum(int(np.isfinite(one.labels).sum()) for one in self._seen)
        if before is not None and known < LEAST_LABELS:
            return before
        columns = [np.concatenate([getattr(one, name) for one in self._seen]) for name in Seen.__dataclass_fields__]
        if len(columns[0]) > self._how.rows:
            chosen = self._random.choice(len(columns[0]), self._how.rows, replace=False)
            columns = [column[chosen] for column in columns]
        return mitigation.fit(*columns)
