"""Mitigations of decisions: a threshold for each group, or favour where the classifier is least sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import logit

from .classifier import FunctionDecider, LogisticMitigation, LogisticModel
from .inside import Constraint, lacking
from .metrics import Floats, Ints
from .oracle import Table, best_policy
from .protocol import Facts
from .sample import Sample


@dataclass(frozen=True, kw_only=True)
class GroupThresholds(LogisticMitigation):
    """The policy of most utility that meets a constraint on the people it is fitted to (Hardt et al. 2016).

    Thresholds are taken on the hull of each group's ROC curve; between two, people are accepted by lot.
    """

    constraint: Constraint = "demographic_parity"

    facts = Facts(
        "post", "setting `constraint`", True, "own, as fairlearn's ThresholdOptimizer, with costs and weights"
    )
    compares_groups = True

    def _incomparable(self, sample: Sample) -> str:
        return super()._incomparable(sample) or lacking(sample, self.constraint)

    def _fitted(self, sample: Sample) -> FunctionDecider:
        model = self._model(sample)
        scores = model.log_odds(sample.features)
        steps = [_hull(sample, scores, sample.groups == group) for group in sample.there]
        accepted = best_policy(_table(steps), self.constraint, self.break_even)
        rules = {
            int(group): (edges, row[: len(edges)])
            for group, (edges, _, _), row in zip(sample.there, steps, accepted, strict=True)
        }
        return FunctionDecider(_StepRule(model, rules, self.break_even))


@dataclass(frozen=True, kw_only=True)
class OpportunityThresholds(GroupThresholds):
    """The same of equal true positive rates, unless another constraint is asked for."""

    constraint: Constraint = "equal_opportunity"


@dataclass(frozen=True, kw_only=True)
class OddsThresholds(GroupThresholds):
    """The same of equal true and false positive rates, unless another constraint is asked for."""

    constraint: Constraint = "equalised_odds"


def _hull(sample: Sample, scores: Floats, members: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> list[Floats]:
    """Blocks of a group's scores, ascending: lower edge, weight, and share of positives, which rises.

    Isotonic regression gives the corners of the ROC curve's hull.
    """
    values, place = np.unique(scores[members], return_inverse=True)
    weights = np.bincount(place, sample.weights[members])
    positives = np.bincount(place, sample.weights[members] * sample.labels[members])
    fitted = isotonic_regression(positives / weights, weights=weights)
    starts = fitted.blocks[:-1]
    below = np.where(starts > 0, values[starts - 1], -np.inf)
    return [(below + values[starts]) / 2, np.add.reduceat(weights, starts), fitted.x[starts]]


def _table(steps: list[list[Floats]]) -> Table:
    width = max(len(edges) for edges, _, _ in steps)
    totals = np.array([weights.sum() for _, weights, _ in steps])
    shares, chances = (np.zeros((len(steps), width)) for _ in range(2))
    for group, (_, weights, positives) in enumerate(steps):
        shares[group, : len(weights)] = weights / weights.sum()
        chances[group, : len(positives)] = positives.clip(0.0, 1.0)
    return Table(totals / totals.sum(), shares, chances)


@dataclass(frozen=True, slots=True)
class _StepRule:
    """Chance to be accepted by group and score; groups that were not there are decided at the break-even chance."""

    model: LogisticModel
    rules: dict[int, tuple[Floats, Floats]]
    break_even: float

    def __call__(self, features: Floats, groups: Ints) -> Floats:
        scores = self.model.log_odds(features)
        found = (scores >= logit(self.break_even)).astype(np.float64)
        for group, (edges, accepted) in self.rules.items():
            members = groups == group
            found[members] = accepted[np.searchsorted(edges, scores[members], "right") - 1]
        return found


@dataclass(frozen=True, kw_only=True)
class RejectOption(LogisticMitigation):
    """Near the border, accept those of groups that are accepted less than all people are, and nobody of the others.

    After Kamiran et al. 2012. A group that is accepted exactly as often as all is decided as without it.
    """

    band: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.1
    """Of the chance around the break-even one, to both sides."""

    facts = Facts("post", "demographic parity, in a band", True, "own, after Kamiran et al. 2012")
    compares_groups = True

    def _fitted(self, sample: Sample) -> FunctionDecider:
        model = self._model(sample)
        accepted = model.chances(sample.features) >= self.break_even
        overall = np.average(accepted, weights=sample.weights)
        members = [sample.groups == group for group in sample.there]
        rates = np.array([np.average(accepted[own], weights=sample.weights[own]) for own in members])
        behind, ahead = sample.there[rates < overall], sample.there[rates > overall]

        def chance(features: Floats, groups: Ints) -> Floats:
            chances = model.chances(features)
            near = np.abs(chances - self.break_even) <= self.band
            found = chances >= self.break_even
            found = (found | (near & np.isin(groups, behind))) & ~(near & np.isin(groups, ahead))
            return found.astype(np.float64)

        return FunctionDecider(chance)
