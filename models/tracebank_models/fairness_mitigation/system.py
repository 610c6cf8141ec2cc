"""Mitigations of the system around decisions: chances for some of the rejected, guarantees, and what loans do later."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
import numpy as np

from .classifier import FunctionDecider, LogisticMitigation, ThresholdDecider, fit_logistic
from .metrics import Floats, Ints
from .protocol import Facts
from .sample import Sample, one_hot


@dataclass(frozen=True, kw_only=True)
class Exploration(LogisticMitigation):
    """Accept some of the rejected by lot, so that their labels become known."""

    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.05
    """Of the rejected."""

    facts = Facts("system", "labels of the rejected", False, "own")

    def _fitted(self, sample: Sample) -> FunctionDecider:
        model = self._model(sample)

        def chance(features: Floats, groups: Ints) -> Floats:
            del groups
            return np.where(model.chances(features) >= self.break_even, 1.0, self.share)

        return FunctionDecider(chance)


@dataclass(frozen=True, kw_only=True)
class CreditFloor(LogisticMitigation):
    """A guarantor pays a share of losses, down to a floor of chances: nobody above both is refused.

    What is paid stays in the utility of lender and guarantor together.
    """

    floor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    """Chance below which nothing is guaranteed."""
    subsidy: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """Share of each loss that is paid."""

    facts = Facts("system", "access above a floor", False, "own")

    def _fitted(self, sample: Sample) -> ThresholdDecider:
        loss, gain = self.break_even * (1 - self.subsidy), 1 - self.break_even
        threshold = min(self.break_even, max(self.floor, loss / (loss + gain)))
        return ThresholdDecider(self._model(sample), threshold)


@dataclass(frozen=True, kw_only=True)
class DelayedImpact(LogisticMitigation):
    """Maximise utility and, times a weight, the mean over groups of what decisions do to the group's mean score.

    The mean is over groups: a change in a small group counts for as much as in a large one, so that its people weigh
    more. Chances are of a model with an intercept for each group; scores are not clipped.
    """

    up: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Change of the score of one who repays; the unit is free, `weight` is per unit."""
    down: Annotated[float, msgspec.Meta(ge=0)] = 2.0
    """By which the score of one who defaults falls."""
    weight: Annotated[float, msgspec.Meta(ge=0)] = 0.25
    """Utility of one unit of score, where repayment brings 1 - break_even and default costs break_even."""

    facts = Facts("system", "utility and later scores", True, "own, after Liu et al. 2018")
    compares_groups = True

    def _fitted(self, sample: Sample) -> FunctionDecider:
        there = sample.there
        model = fit_logistic(
            replace(sample, features=_with_groups(sample.features, sample.groups, there)), self.penalty
        )
        plain = self._model(sample)
        thresholds = self.thresholds(np.average(sample.one_hot, axis=0, weights=sample.weights))

        def chance(features: Floats, groups: Ints) -> Floats:
            known = np.isin(groups, there)
            own = model.chances(_with_groups(features, groups, there)) - one_hot(groups, there) @ thresholds
            found = np.where(known, own >= 0, plain.chances(features) >= self.break_even)
            return found.astype(np.float64)

        return FunctionDecider(chance)

    def thresholds(self, shares: Floats) -> Floats:
        """Chance from which accepting is worth it, by group.

        Args:
            shares: Of people, by group.
        """
        weight = self.weight / (len(shares) * shares)
        found: Floats = (self.break_even + weight * self.down) / (1 + weight * (self.up + self.down))
        return found


def _with_groups(features: Floats, groups: Ints, there: Ints) -> Floats:
    return np.column_stack([features, one_hot(groups, there)[:, 1:]])
