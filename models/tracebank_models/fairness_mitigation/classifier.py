"""The logistic classifier that every mitigation starts from, and the one that mitigates nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from tracebank_models.checked_settings import check_settings

from .metrics import Floats, Ints
from .protocol import Decider, Facts
from .sample import Sample, labelled


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """A chance of each person that is linear in the features, as log-odds."""

    slopes: Floats
    intercept: float

    def log_odds(self, features: Floats) -> Floats:
        """Of each person."""
        found: Floats = features @ self.slopes + self.intercept
        return found

    def chances(self, features: Floats) -> Floats:
        """Of each person."""
        found: Floats = expit(self.log_odds(features))
        return found


@dataclass(frozen=True, slots=True)
class ThresholdDecider:
    """Accepts from a chance on, whatever the group."""

    model: LogisticModel
    threshold: float
    note: str = ""

    def accept(self, features: Floats, groups: Ints, generator: np.random.Generator) -> Floats:
        """0 or 1."""
        del groups, generator
        return (self.model.log_odds(features) >= logit(self.threshold)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class ConstantDecider:
    """Accepts everyone or nobody."""

    probability: float
    note: str

    def accept(self, features: Floats, groups: Ints, generator: np.random.Generator) -> Floats:
        """The same for all."""
        del groups, generator
        return np.full(len(features), self.probability)


@dataclass(frozen=True, slots=True)
class FunctionDecider:
    """Accepts by any function of features and groups."""

    chance: Callable[[Floats, Ints], Floats]
    note: str = ""

    def accept(self, features: Floats, groups: Ints, generator: np.random.Generator) -> Floats:
        """From 0 to 1."""
        del generator
        return self.chance(features, np.asarray(groups))


@dataclass(frozen=True, kw_only=True)
class LogisticMitigation:
    """What all mitigations share; each says how a rule is fitted to a sample of two classes."""

    break_even: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    """Chance from which accepting pays: loss / (loss + gain), both positive."""
    penalty: Annotated[float, msgspec.Meta(ge=0)] = 1e-4
    """Of squared slopes (halved), beside the mean loss."""

    facts = Facts("none", "none", False, "scikit-learn")
    compares_groups = False
    """Whether the fit compares groups; else groups that are permuted change nothing."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is not allowed; the line names it, its value and what is allowed.
        """
        check_settings(self)

    @property
    def uses_group_at_prediction(self) -> bool:
        """Whether decisions depend on the group."""
        return self.facts.uses_group_at_prediction

    def fit(self, features: Floats, labels: Floats, groups: Ints, weights: Floats) -> Decider:
        """Fit to those whose labels are known.

        Where all known labels are the same, everyone is accepted or nobody is; where a constraint has fewer than two
        groups to compare, nothing is mitigated. The rule's `note` says so.

        Raises:
            ValueError: See `labelled`.
        """
        sample = labelled(features, labels, groups, weights)
        if np.ptp(sample.labels) == 0:
            note = f"all {len(sample.labels)} known labels are {sample.labels[0]:g}: "
            return ConstantDecider(
                sample.labels[0], note + ("all are accepted" if sample.labels[0] else "none is accepted")
            )
        if self.compares_groups and (reason := self._incomparable(sample)):
            return ThresholdDecider(self._model(sample), self.break_even, f"{reason}: nothing is mitigated")
        decider = self._fitted(sample)
        if self.uses_group_at_prediction and len(sample.absent):
            without = f"no label is known of group {sample.absent[0]}: it is decided as without mitigation"
            return replace(decider, note="; ".join(filter(None, (decider.note, without))))
        return decider

    def _fitted(self, sample: Sample) -> ThresholdDecider | FunctionDecider:
        return ThresholdDecider(self._model(sample), self.break_even)

    def _incomparable(self, sample: Sample) -> str:
        """Why groups cannot be compared; empty where they can."""
        there = sample.there
        return f"labels are known of group {there[0]} alone" if len(there) < 2 else ""

    def _model(self, sample: Sample) -> LogisticModel:
        return fit_logistic(sample, self.penalty)


@dataclass(frozen=True, kw_only=True)
class Unmitigated(LogisticMitigation):
    """A logistic classifier that accepts where that pays."""


def fit_logistic(sample: Sample, penalty: float) -> LogisticModel:
    """The logistic model of least mean loss, by Newton's method."""
    strength = 1 / (penalty * len(sample.labels)) if penalty else np.inf
    fitted = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-8)
    fitted.fit(sample.features, sample.labels, sample.weights)
    return LogisticModel(fitted.coef_[0], float(fitted.intercept_[0]))
