"""What a run needs of who decides, and the two that stand for doing nothing: no mitigation, and one that is misled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .group_figures import Ints
from .repeated_minimisation import newton
from .score_tables import Floats


class Decider(Protocol):
    """A fitted rule."""

    def accept(self, features: Floats, groups: Ints, generator: np.random.Generator) -> Floats:
        """Probability that each is accepted."""
        ...


class Mitigation(Protocol):
    """A way to fit a rule."""

    uses_group_at_prediction: bool

    def fit(self, features: Floats, labels: Floats, groups: Ints, weights: Floats) -> Decider:
        """Fit; labels are NaN where nobody knows them."""
        ...


@dataclass(frozen=True)
class LinearRule:
    """Accept from a break-even chance on, by a logistic model that knows no groups."""

    theta: Floats
    break_even: float

    def accept(self, features: Floats, groups: Ints, generator: np.random.Generator) -> Floats:
        """0 or 1."""
        del groups, generator
        odds = np.log(self.break_even / (1 - self.break_even))
        accepted: Floats = (features @ self.theta[:-1] + self.theta[-1] >= odds).astype(np.float64)
        return accepted


@dataclass(frozen=True)
class NoMitigation:
    """Most utility: logistic regression on the features, accepted where that pays."""

    break_even: float = 0.5
    penalty: float = 1e-4
    uses_group_at_prediction: bool = False

    def fit(self, features: Floats, labels: Floats, groups: Ints, weights: Floats) -> LinearRule:
        """Fit to those whose labels are known.

        Raises:
            ValueError: None is.
        """
        del groups
        known = np.isfinite(labels)
        if not known.any():
            raise ValueError("labels: all NaN; allowed: at least one known")
        design = np.column_stack([features[known], np.ones(int(known.sum()))])
        penalty = np.full(design.shape[1], self.penalty)
        theta = newton(design, labels[known], penalty, np.zeros(design.shape[1]), weights[known])
        return LinearRule(theta, self.break_even)


@dataclass(frozen=True)
class PermutedGroups:
    """A mitigation that is told the wrong groups, each person's drawn once more: what it does by chance alone."""

    inner: Mitigation
    seed: int

    @property
    def uses_group_at_prediction(self) -> bool:
        """As of what is misled."""
        return self.inner.uses_group_at_prediction

    def fit(self, features: Floats, labels: Floats, groups: Ints, weights: Floats) -> Decider:
        """Fit with groups permuted over people."""
        random = np.random.default_rng(self.seed)
        return _Misled(self.inner.fit(features, labels, random.permutation(groups), weights), self.seed)


@dataclass(frozen=True)
class _Misled:
    inner: Decider
    seed: int

    def accept(self, features: Floats, groups: Ints, generator: np.random.Generator) -> Floats:
        random = np.random.default_rng(self.seed + 1)
        return self.inner.accept(features, random.permutation(groups), generator)
