"""How each group is treated, and how far groups are apart; of one period, or of many at once.

As fairlearn has them, but for what is not defined: a group without positives has no true positive rate, and neither
has the gap to it (NaN), where fairlearn says 0 for the rate and compares with that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GroupMetrics:
    """Metrics of groups, an array (..., groups) each; NaN where nobody is there of whom a metric is."""

    people: Floats
    selection_rate: Floats
    true_positive_rate: Floats
    false_positive_rate: Floats
    positive_predictive_value: Floats
    calibration_gap: Floats
    """Mean score less the share of positives, over those whose labels are known; scores are probabilities here."""
    mean_score: Floats
    utility: Floats
    """Mean per person."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """How far groups are apart, (...) each; NaN where a group has no such rate."""

    demographic_parity_difference: Floats
    demographic_parity_ratio: Floats
    """Least selection rate over largest; NaN where nobody is accepted."""
    equal_opportunity_difference: Floats
    equalised_odds_difference: Floats
    """The larger of the gaps of true and of false positive rates."""
    predictive_parity_difference: Floats


def group_metrics(
    accepted: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    count: int,
    scores: ArrayLike = np.nan,
    utilities: ArrayLike = np.nan,
) -> GroupMetrics:
    """Metrics of each group.

    Args:
        accepted: (..., people), 0 or 1, or the probability: then rates are expected ones.
        labels: 0 or 1, NaN where nobody knows: such people count for selection, score and utility alone.
        groups: From 0, like `accepted` or (people,).
        count: Of groups; one may have nobody.
        scores: Where there are any.
        utilities: Where there are any.

    Raises:
        ValueError: Shapes do not fit, or a group or a label is not allowed.
    """
    chosen = np.asarray(accepted, np.float64)
    truth, codes = _like("labels", labels, chosen.shape), _like("groups", groups, chosen.shape)
    _refuse("labels", truth, np.isnan(truth) | (truth == 0) | (truth == 1), "0, 1 or NaN")
    _refuse("groups", codes, (codes >= 0) & (codes < count) & (codes % 1 == 0), f"whole numbers from 0 to {count - 1}")
    score, worth = _like("scores", scores, chosen.shape), _like("utilities", utilities, chosen.shape)
    lead = chosen.shape[:-1]
    periods = int(np.prod(lead))
    rows = np.repeat(np.arange(periods), chosen.shape[-1]) * count
    cells = rows + codes.ravel().astype(np.int64)

    def total(values: Floats | NDArray[np.bool_]) -> Floats:
        sums = np.bincount(cells, values.ravel(), periods * count)
        return sums.astype(np.float64, copy=False).reshape(*lead, count)

    known, good = ~np.isnan(truth), np.nan_to_num(truth)
    people, positives = total(np.ones_like(chosen)), total(good)
    hits, seen, chosen_known = total(chosen * good), total(known), total(chosen * known)
    return GroupMetrics(
        people=people,
        selection_rate=_rate(total(chosen), people),
        true_positive_rate=_rate(hits, positives),
        false_positive_rate=_rate(chosen_known - hits, seen - positives),
        positive_predictive_value=_rate(hits, chosen_known),
        calibration_gap=_rate(total(np.where(known, score, 0.0)) - positives, seen),
        mean_score=_rate(total(score), people),
        utility=_rate(total(worth), people),
    )


def gaps(metrics: GroupMetrics) -> Gaps:
    """How far the groups are apart in each period."""
    selection, true = metrics.selection_rate, metrics.true_positive_rate
    opportunity, false = np.ptp(true, axis=-1), np.ptp(metrics.false_positive_rate, axis=-1)
    return Gaps(
        demographic_parity_difference=np.ptp(selection, axis=-1),
        demographic_parity_ratio=_rate(selection.min(axis=-1), selection.max(axis=-1)),
        equal_opportunity_difference=opportunity,
        equalised_odds_difference=np.maximum(opportunity, false),
        predictive_parity_difference=np.ptp(metrics.positive_predictive_value, axis=-1),
    )


def gini_between(means: ArrayLike, shares: ArrayLike) -> Floats:
    """Gini's index where everyone has the mean of the own group; 0 where groups are equal.

    Args:
        means: (..., groups), none below 0, not all 0.
        shares: Of people, adding up to one, like `means` or (groups,).
    """
    mean, share = np.asarray(means, np.float64), np.asarray(shares, np.float64)
    apart = np.abs(mean[..., :, None] - mean[..., None, :]) * share[..., :, None] * share[..., None, :]
    return _rate(apart.sum(axis=(-2, -1)), 2 * (mean * share).sum(axis=-1))


def _rate(part: ArrayLike, whole: ArrayLike) -> Floats:
    one, other = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    found: Floats = np.divide(one, other, out=np.full(one.shape, np.nan), where=other > 0)
    return found


def _like(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    found = np.asarray(values, np.float64)
    try:
        return np.broadcast_to(found, shape)
    except ValueError:
        raise ValueError(f"{name}: shape {found.shape} is not allowed; allowed: that of accepted, {shape}") from None


def _refuse(name: str, values: Floats, ok: NDArray[np.bool_], allowed: str) -> None:
    if not ok.all():
        raise ValueError(f"{name}: {values[~ok][0]:g} is not allowed; allowed: {allowed}")
