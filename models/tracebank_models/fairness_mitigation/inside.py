"""Mitigations in the fit: a constraint, a penalty, or an adversary that guesses the group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from fairlearn.reductions import (
    DemographicParity,
    EqualizedOdds,
    ErrorRate,
    ExponentiatedGradient,
    TruePositiveRateParity,
)
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from .classifier import FunctionDecider, LogisticMitigation, LogisticModel, ThresholdDecider
from .metrics import Floats, Ints
from .protocol import Facts
from .sample import Sample

Constraint = Literal["demographic_parity", "equalised_odds", "equal_opportunity"]
_MOMENTS: Final = {
    "demographic_parity": DemographicParity,
    "equalised_odds": EqualizedOdds,
    "equal_opportunity": TruePositiveRateParity,
}


@dataclass(frozen=True, kw_only=True)
class ConstrainedClassifier(LogisticMitigation):
    """A lottery over classifiers that meets a constraint (exponentiated gradient, Agarwal et al. 2018).

    The reduction weighs people itself: where weights differ, people are repeated as their weights say.
    """

    constraint: Constraint = "demographic_parity"
    slack: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.01
    """By which groups may differ."""
    iterations: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 50

    facts = Facts("in", "setting `constraint`", False, "fairlearn")
    compares_groups = True

    def _incomparable(self, sample: Sample) -> str:
        return super()._incomparable(sample) or lacking(sample, self.constraint)

    def _fitted(self, sample: Sample) -> FunctionDecider:
        even = sample.evened()
        costs = {"fp": self.break_even, "fn": 1 - self.break_even}
        strength = 1 / (self.penalty * len(even.labels)) if self.penalty else np.inf
        reduction = ExponentiatedGradient(
            LogisticRegression(C=strength, solver="newton-cholesky"),
            _MOMENTS[self.constraint](difference_bound=self.slack),
            objective=ErrorRate(costs=costs),
            eps=self.slack,
            max_iter=self.iterations,
        )
        reduction.fit(even.features, even.labels.astype(np.int64), sensitive_features=even.groups)
        parts = [(share, reduction.predictors_[key]) for key, share in reduction.weights_.items() if share > 0]

        def chance(features: Floats, groups: Ints) -> Floats:
            del groups
            total = np.zeros(len(features))
            for share, predictor in parts:
                total += share * predictor.predict(features)
            return total.clip(0.0, 1.0)

        return FunctionDecider(chance)


def lacking(sample: Sample, constraint: str) -> str:
    """Which group has nobody of a label whose rate is compared; empty where none."""
    wanted = {"equal_opportunity": (1,), "equalised_odds": (1, 0)}.get(constraint, ())
    for group in sample.there:
        for label in wanted:
            if not (sample.labels[sample.groups == group] == label).any():
                return f"no known label of group {group} is {label}"
    return ""


@dataclass(frozen=True, kw_only=True)
class PenalisedClassifier(LogisticMitigation):
    """Logistic regression with a price on the covariance of group and score."""

    price: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    """Of the squared covariance of membership and log-odds, summed over groups, beside the mean loss."""

    facts = Facts("in", "no covariance of score and group", False, "own, after Zafar et al. 2017")
    compares_groups = True

    def _fitted(self, sample: Sample) -> ThresholdDecider:
        return ThresholdDecider(self._penalised(sample), self.break_even)

    def _penalised(self, sample: Sample) -> LogisticModel:
        objective = CovarianceObjective.of(sample, self.penalty, self.price)
        start = np.zeros(sample.features.shape[1] + 1)
        found = minimize(
            objective.value, start, jac=objective.gradient, hess=objective.hessian, method="trust-exact", tol=1e-8
        )
        return LogisticModel(found.x[:-1], float(found.x[-1]))


@dataclass(frozen=True, slots=True)
class CovarianceObjective:
    """Mean logistic loss with a quadratic form; the covariances are linear in the coefficients, so it is convex."""

    design: Floats
    labels: Floats
    weights: Floats
    quadratic: Floats
    """Matrix Q of the penalty x' Q x / 2."""

    @classmethod
    def of(cls, sample: Sample, penalty: float, price: float) -> CovarianceObjective:
        """Of a sample: coefficients are slopes and, last, the intercept."""
        design = np.column_stack([sample.features, np.ones(len(sample.labels))])
        weights = sample.weights / sample.weights.sum()
        centred = sample.one_hot - weights @ sample.one_hot
        covariances = (centred * weights[:, None]).T @ design
        ridge = np.append(np.full(sample.features.shape[1], penalty), 0.0)
        return cls(design, sample.labels, weights, np.diag(ridge) + 2 * price * covariances.T @ covariances)

    def value(self, at: Floats) -> float:
        """To be minimised."""
        odds = self.design @ at
        loss = -self.weights @ (self.labels * log_expit(odds) + (1 - self.labels) * log_expit(-odds))
        return float(loss + at @ self.quadratic @ at / 2)

    def gradient(self, at: Floats) -> Floats:
        """In closed form."""
        found: Floats = self.design.T @ (self.weights * (expit(self.design @ at) - self.labels)) + self.quadratic @ at
        return found

    def hessian(self, at: Floats) -> Floats:
        """In closed form."""
        chance = expit(self.design @ at)
        found: Floats = (self.design.T * (self.weights * chance * (1 - chance))) @ self.design + self.quadratic
        return found
