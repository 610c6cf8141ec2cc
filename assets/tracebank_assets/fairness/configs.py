"""What is asked of a partition of runs: mitigations, schedules, their nulls, and parameters of the stress index."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from tracebank_models.fairness_worlds.names import WORLD_NAMES

if TYPE_CHECKING:
    from tracebank_models.fairness_worlds.retraining import Retraining
    from tracebank_models.fairness_worlds.stress import StressSettings

ATTENTION: Final = WORLD_NAMES[-1]
AS_THEY_ARE: Final = "as_they_are"
PERMUTED: Final = "permuted"
EQUAL: Final = "equal"


class RunsConfig(dg.Config):
    """Which runs a partition is of."""

    mitigations: list[str] = Field(default=[], description="Names; empty: all. Of attention: ways to place units.")
    every: list[int] = Field(default=[10, 0], description="Periods from fit to fit; 0: fitted once.")
    labels: list[str] = Field(default=["accepted"], min_length=1, description="What models are fitted to again.")
    feedback: list[float] = Field(
        default=[0.0], min_length=1, description="Share of the scale of scores that full unrest takes; 0: an index."
    )
    varied: list[str] = Field(
        default=[], description="Mitigations run under all labels and feedbacks, the rest under the first; empty: all."
    )
    nulls: bool = Field(
        default=True, description="Under the first labels and feedback also run permuted groups, and equal ones."
    )
    people: int = Field(default=10_000, ge=1, description="Of a population.")
    periods: int = Field(default=200, ge=1, description="After which a run ends.")
    panel: int = Field(default=100, ge=1, description="People who are followed.")
    retraining: dict[str, Any] = Field(default={}, description="More of `Retraining`: burn_in, window, explored, ...")
    stress: dict[str, float] = Field(default={}, description="Of `StressSettings`, but for feedback.")


@dataclass(frozen=True)
class Asked:
    """One run of a partition."""

    mitigation: str
    groups: str
    retraining: "Retraining"
    stress: "StressSettings"


def asked_of(config: RunsConfig, world: str) -> list[Asked]:
    """Runs that a config asks for, in order.

    Raises:
        ValueError: A name or a setting is not allowed.
    """
    from tracebank_models.checked_settings import changed_settings, converted
    from tracebank_models.fairness_worlds.retraining import Retraining
    from tracebank_models.fairness_worlds.stress import UNCALIBRATED

    if "feedback" in config.stress:
        raise ValueError("stress.feedback: not allowed; allowed: all other settings, and `feedback` beside `stress`")
    known = _known(world)
    for name in (*config.mitigations, *config.varied):
        if name not in known:
            raise ValueError(f"mitigations: {name!r} is not allowed; allowed in {world}: {', '.join(known)}")
    found = []
    for labels, every, feedback in product(config.labels, config.every, config.feedback):
        asked = {**config.retraining, "labels": labels, "every": every}
        how = converted(asked, Retraining, "retraining")
        stress = changed_settings(UNCALIBRATED, {**config.stress, "feedback": feedback}, "stress")
        first = labels == config.labels[0] and feedback == config.feedback[0]
        found += [Asked(name, groups, how, stress) for name, groups in _named(config, world, first=first)]
    return found


def _named(config: RunsConfig, world: str, *, first: bool) -> Iterator[tuple[str, str]]:
    known = _known(world)
    for name in config.mitigations or known:
        if first or not config.varied or name in config.varied:
            yield name, AS_THEY_ARE
        if config.nulls and first and known[name]:
            yield name, PERMUTED
        if config.nulls and first and name == next(iter(known)):
            yield name, EQUAL


def _known(world: str) -> dict[str, bool]:
    """Mitigations of a world, the first of which is none, and whether each compares groups."""
    from tracebank_models.fairness_mitigation.registry import MITIGATIONS
    from tracebank_models.fairness_worlds.allocators import ALLOCATORS

    if world == ATTENTION:
        return {name: name == "fair_greedy" for name in ALLOCATORS}
    return {name: kind.compares_groups for name, kind in MITIGATIONS.items()}
