"""An adversary in the fit, which guesses the group from the score; after Zhang et al. 2018.

Both are logistic models with gradients in closed form. fairlearn's networks take neither weights nor costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np
from scipy.special import expit

from .classifier import LogisticMitigation, LogisticModel, ThresholdDecider, fit_logistic
from .metrics import Floats
from .protocol import Facts
from .sample import Sample

_STEP: Final = 0.5
"""Of gradients over standardised features, falling with the square root of the number of steps."""
_RIDGE: Final = 1e-3
"""Keeps the adversary finite where scores tell everything of the group."""


@dataclass(frozen=True, kw_only=True)
class AdversarialClassifier(LogisticMitigation):
    """A classifier that learns what helps it, but for what helps an adversary to guess the group."""

    strength: Annotated[float, msgspec.Meta(ge=0)] = 3.0
    """Of the adversary's gradient, which is climbed; 0 still takes its direction out of the classifier's own."""
    steps: Annotated[int, msgspec.Meta(ge=2, le=100_000)] = 300

    facts = Facts("in", "scores tell nothing linear of the group", False, "own, after Zhang et al. 2018")
    compares_groups = True

    def _fitted(self, sample: Sample) -> ThresholdDecider:
        middle = np.average(sample.features, axis=0, weights=sample.weights)
        spread = np.sqrt(np.average((sample.features - middle) ** 2, axis=0, weights=sample.weights))
        spread[spread == 0] = 1.0
        slopes = self._contested(sample, (sample.features - middle) / spread)
        found = LogisticModel(slopes[:-1] / spread, float(slopes[-1] - (slopes[:-1] / spread) @ middle))
        return ThresholdDecider(found, self.break_even)

    def _contested(self, sample: Sample, features: Floats) -> Floats:
        """Coefficients over standardised features, the intercept last: the mean of the last half of all steps."""
        plain = fit_logistic(
            Sample(features, sample.labels, sample.groups, sample.weights, sample.absent), self.penalty
        )
        at, total = np.append(plain.slopes, plain.intercept), np.zeros(features.shape[1] + 1)
        design = np.column_stack([features, np.ones(len(features))])
        members, weights = sample.one_hot, sample.weights / sample.weights.sum()
        adversary, first = np.zeros((2, members.shape[1])), self.steps // 2
        ridge = np.append(np.full(features.shape[1], self.penalty), 0.0)
        for step in range(self.steps):
            odds = design @ at
            adversary, telling = _answered(adversary, odds, members, weights)
            own = design.T @ (weights * (expit(odds) - sample.labels)) + ridge * at
            other = design.T @ telling
            size = other @ other
            shared = (own @ other / size) * other if size > 0 else 0.0
            at = at - _STEP / np.sqrt(1 + step) * (own - shared - self.strength * other)
            total += at if step >= first else 0.0
        found: Floats = total / (self.steps - first)
        return found


def _answered(adversary: Floats, odds: Floats, members: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The adversary after a step of Newton's method, (2, groups), and the slope of its loss in each score."""
    seen = np.column_stack([odds, np.ones(len(odds))])
    error = weights[:, None] * (expit(seen @ adversary) - members)
    curve = weights[:, None] * expit(seen @ adversary) * expit(-seen @ adversary)
    bent = np.einsum("pi,pg,pj->gij", seen, curve, seen, optimize=True) + _RIDGE * np.eye(2)
    slope = seen.T @ error + _RIDGE * adversary
    found = adversary - np.linalg.solve(bent, slope.T[:, :, None])[:, :, 0].T
    return found, (weights[:, None] * (expit(seen @ found) - members)) @ found[0]
