"""Intervals of gaps between groups, by a bootstrap over people or runs.

A gap is a largest difference: it is never below 0, so that percentiles of a bootstrapped gap miss 0 where groups are
equal. Instead all differences of pairs of groups are held at once (the largest studentised one is bootstrapped), and
the gap's interval is what those leave for the largest: it reaches 0 unless some difference is not 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from tracebank_models.sample_statistics.clustered import LEAST_CLUSTERS

from .metrics import Floats, Ints

Gap = Literal["demographic_parity", "equal_opportunity", "equalised_odds"]
_RATES: Final = {"demographic_parity": (0,), "equal_opportunity": (1,), "equalised_odds": (1, 2)}


@dataclass(frozen=True, slots=True)
class GapInterval:
    """A gap, and how sure it is."""

    gap: float
    """NaN where a group has no such rate."""
    low: float | None
    """None where there is no interval; `reason` says why."""
    high: float | None
    units: int
    reason: str = ""


def gap_interval(
    gap: Gap,
    accepted: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    units: ArrayLike | None = None,
    *,
    draws: int = 1_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> GapInterval:
    """Interval of a gap between groups.

    Args:
        gap: Which.
        accepted: 0 or 1, one a decision.
        labels: 0, 1, or NaN where nobody knows.
        groups: Whole numbers from 0; those that nobody is of are no groups.
        units: What is drawn as a whole: the person or the run that each decision is of. None: each its own.
        draws: Bootstrap samples.
        seed: Of the drawing.
        confidence: Of the interval, for all differences at once.

    Raises:
        ValueError: An array is empty or not as long as the first, a value is not allowed, or a number is too small.
    """
    tallies, times = _tallies(accepted, labels, groups, units)
    if draws < 100:
        raise ValueError(f"draws: {draws} is not allowed; allowed: 100 or more")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence} is not allowed; allowed: between 0 and 1")
    count = int(times.sum())
    found = _differences(times.astype(np.float64) @ tallies, gap)
    largest = float(np.abs(found).max(initial=0.0))
    if not np.isfinite(found).all():
        return GapInterval(np.nan, None, None, count, "a group has nobody of whom the rate is")
    if count < LEAST_CLUSTERS:
        return GapInterval(largest, None, None, count, f"{count} units; an interval takes {LEAST_CLUSTERS}")
    drawn = np.random.default_rng(seed).multinomial(count, times / count, draws).astype(np.float64)
    others = _differences(drawn @ tallies, gap)
    others = others[np.isfinite(others).all(axis=1)]
    if len(others) < draws / 2:
        return GapInterval(largest, None, None, count, "too few people: most samples lack a group's rate")
    error = others.std(axis=0, ddof=1)
    moved = np.divide(np.abs(others - found), error, out=np.zeros_like(others), where=error > 0)
    reach = float(np.quantile(moved.max(axis=1, initial=0.0), confidence)) * error
    low = float((np.abs(found) - reach).max(initial=0.0))
    return GapInterval(largest, low, min(1.0, float((np.abs(found) + reach).max(initial=0.0))), count)


def _tallies(accepted: ArrayLike, labels: ArrayLike, groups: ArrayLike, units: ArrayLike | None) -> tuple[Floats, Ints]:
    """Counts of units that are alike, (kinds, 6 * groups), and how many units are of each kind.

    By group: people, accepted, positives, accepted positives, negatives, accepted negatives.
    """
    chosen, truth = np.asarray(accepted, np.float64), np.asarray(labels, np.float64)
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    own = np.arange(len(chosen)) if units is None else np.unique(np.asarray(units), return_inverse=True)[1]
    for name, array in (("labels", truth), ("groups", codes), ("units", own)):
        if chosen.ndim != 1 or not len(chosen) or array.shape != chosen.shape:
            raise ValueError(f"{name}: shape {array.shape} is not allowed; allowed: that of accepted, one a decision")
    for name, array in (("accepted", chosen), ("labels", truth[~np.isnan(truth)])):
        if not np.isin(array, (0, 1)).all():
            raise ValueError(f"{name}: {array[~np.isin(array, (0, 1))][0]:g} is not allowed; allowed: 0 or 1")
    one, good, bad = np.ones_like(chosen), truth == 1, truth == 0
    parts = np.stack([one, chosen, good, chosen * good, bad, chosen * bad])
    if units is None:  # few kinds of people, however many there are
        kinds, times = np.unique(np.column_stack([codes, parts.T]), axis=0, return_counts=True)
        codes, own, parts = kinds[:, 0].astype(np.int64), np.arange(len(kinds)), kinds[:, 1:].T
    width = int(codes.max()) + 1
    cells = own * width + codes
    height = int(own.max()) + 1
    counts = [np.bincount(cells, part.astype(np.float64), height * width) for part in parts]
    found: Floats = np.stack(counts).reshape(6, height, width).astype(np.float64)
    often: Ints = np.ones(height, np.int64) if units is not None else times.astype(np.int64)
    return found.transpose(1, 0, 2).reshape(height, -1), often


def _differences(totals: Floats, gap: Gap) -> Floats:
    """Difference of each pair of groups in each rate, (..., pairs * rates)."""
    counts = totals.reshape(*totals.shape[:-1], 3, 2, -1)
    whole, part = counts[..., 0, :], counts[..., 1, :]
    rates = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)[..., list(_RATES[gap]), :]
    pairs = list(combinations(range(rates.shape[-1]), 2))
    apart = rates[..., [one for one, _ in pairs]] - rates[..., [other for _, other in pairs]]
    found: Floats = apart.reshape(*totals.shape[:-1], -1)
    return found
