"""Mitigations before the fit: other weights, other labels, or features without what tells of the group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
import numpy as np
from fairlearn.preprocessing import CorrelationRemover

from .classifier import FunctionDecider, LogisticMitigation, ThresholdDecider, fit_logistic
from .metrics import Floats, Ints
from .protocol import Facts
from .sample import Sample, one_hot


@dataclass(frozen=True, kw_only=True)
class Reweighing(LogisticMitigation):
    """Weigh people so that group and label are independent: P(group) P(label) / P(group, label)."""

    facts = Facts("pre", "demographic parity", False, "own, after Kamiran and Calders 2012")
    compares_groups = True

    def _fitted(self, sample: Sample) -> ThresholdDecider:
        weights = sample.weights * independence_weights(sample)
        return ThresholdDecider(fit_logistic(replace(sample, weights=weights), self.penalty), self.break_even)


def independence_weights(sample: Sample) -> Floats:
    """One a person, by which group and label become independent."""
    codes = np.searchsorted(sample.there, sample.groups)
    joint = np.zeros((len(sample.there), 2))
    np.add.at(joint, (codes, sample.labels.astype(np.int64)), sample.weights)
    joint /= joint.sum()
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    table = np.divide(expected, joint, out=np.ones_like(joint), where=joint > 0)
    found: Floats = table[codes, sample.labels.astype(np.int64)]
    return found


@dataclass(frozen=True, kw_only=True)
class Massaging(LogisticMitigation):
    """Flip labels nearest to the border until two groups have one share of positives.

    The two are those with the least and the most positives; people are counted, not weighed.
    """

    facts = Facts("pre", "demographic parity", False, "own, after Kamiran and Calders 2012")
    compares_groups = True

    def _fitted(self, sample: Sample) -> ThresholdDecider:
        labels = massaged_labels(sample, self._model(sample).log_odds(sample.features))
        if np.ptp(labels) == 0:
            return ThresholdDecider(self._model(sample), self.break_even, "massaging leaves one class: labels are kept")
        return ThresholdDecider(fit_logistic(replace(sample, labels=labels), self.penalty), self.break_even)


def massaged_labels(sample: Sample, ranking: Floats) -> Floats:
    """Labels of which as many were raised in the group with least positives as lowered in that with most."""
    shares = [sample.labels[sample.groups == group].mean() for group in sample.there]
    low, high = (sample.groups == sample.there[int(pick(shares))] for pick in (np.argmin, np.argmax))
    size_low, size_high = int(low.sum()), int(high.sum())
    excess = sample.labels[high].sum() * size_low - sample.labels[low].sum() * size_high
    count = round(float(excess) / (size_low + size_high))
    labels = sample.labels.copy()
    raised, lowered = np.flatnonzero(low & (labels == 0)), np.flatnonzero(high & (labels == 1))
    labels[raised[np.argsort(-ranking[raised], kind="stable")[:count]]] = 1.0
    labels[lowered[np.argsort(ranking[lowered], kind="stable")[:count]]] = 0.0
    return labels


@dataclass(frozen=True, kw_only=True)
class CorrelationRemoval(LogisticMitigation):
    """Take from every feature what is linear in the group."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    """Of the correlation that is removed."""

    facts = Facts("pre", "no correlation of features with the group", True, "fairlearn")
    compares_groups = True

    def _fitted(self, sample: Sample) -> FunctionDecider:
        there, width = sample.there, sample.features.shape[1]
        members = range(width, width + len(there) - 1)
        remover = CorrelationRemover(sensitive_feature_ids=list(members), alpha=self.share)
        remover.fit(np.column_stack([sample.features, sample.one_hot[:, 1:]]))

        def cleaned(features: Floats, groups: Ints) -> Floats:
            codes = one_hot(groups, there)[:, 1:]
            unknown = ~np.isin(groups, there)
            codes[unknown] = remover.sensitive_mean_  # from which nothing is taken
            found: Floats = remover.transform(np.column_stack([features, codes]))
            return found

        used = replace(sample, features=cleaned(sample.features, sample.groups))
        rule = ThresholdDecider(fit_logistic(used, self.penalty), self.break_even)
        any_luck = np.random.default_rng(0)  # the rule draws nothing
        return FunctionDecider(lambda features, groups: rule.accept(cleaned(features, groups), groups, any_luck))
