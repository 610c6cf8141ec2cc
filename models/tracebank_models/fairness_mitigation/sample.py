"""What a mitigation is fitted to: people whose labels are known; all others are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .metrics import Floats, Ints

LEAST_LABELS: Final = 2
"""Fewer fit no rule."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled people."""

    features: Floats
    labels: Floats
    """0 or 1."""
    groups: Ints
    weights: Floats
    """Mean one."""
    absent: Ints
    """Groups that only people with unknown labels are of."""

    @property
    def one_hot(self) -> Floats:
        """Membership, (people, groups that are there)."""
        return one_hot(self.groups, self.there)

    @property
    def there(self) -> Ints:
        """Groups that someone labelled is of."""
        return np.unique(self.groups)

    def evened(self) -> Sample:
        """The same people unweighted: each as often as the weights say, remainders taken evenly along the rows."""
        if np.ptp(self.weights) == 0:
            return self
        ends = np.cumsum(self.weights)
        rows = np.searchsorted(ends, (np.arange(len(ends)) + 0.5) * (ends[-1] / len(ends)))
        return Sample(self.features[rows], self.labels[rows], self.groups[rows], np.ones(len(rows)), self.absent)


def labelled(features: ArrayLike, labels: ArrayLike, groups: ArrayLike, weights: ArrayLike) -> Sample:
    """Those whose labels are known and whose weight is not 0.

    Args:
        features: (people, features).
        labels: 0, 1, or NaN where nobody knows.
        groups: Whole numbers from 0.
        weights: None below 0.

    Raises:
        ValueError: Shapes do not fit, a value is not allowed, or fewer than two labels are known.
    """
    table, truth = np.asarray(features, np.float64), np.asarray(labels, np.float64)
    codes, weight = np.asarray(groups), np.asarray(weights, np.float64)
    if table.ndim != 2:
        raise ValueError(f"features: shape {table.shape} is not allowed; allowed: people and features")
    for name, array in (("labels", truth), ("groups", codes), ("weights", weight)):
        if array.shape != table.shape[:1]:
            raise ValueError(f"{name}: shape {array.shape} is not allowed; allowed: ({len(table)},), one a person")
    _refuse("labels", truth, np.isnan(truth) | (truth == 0) | (truth == 1), "0, 1 or NaN")
    _refuse("groups", codes, (codes >= 0) & (codes % 1 == 0), "whole numbers from 0")
    _refuse("weights", weight, (weight >= 0) & np.isfinite(weight), "finite, none below 0")
    known = ~np.isnan(truth) & (weight > 0)
    if known.sum() < LEAST_LABELS:
        raise ValueError(f"labels: {known.sum()} known is not allowed; allowed: two or more, to fit a rule")
    _refuse("features", table[known], np.isfinite(table[known]), "finite numbers where the label is known")
    used = weight[known]
    absent = np.setdiff1d(codes, codes[known]).astype(np.int64)
    return Sample(table[known], truth[known], codes[known].astype(np.int64), used / used.mean(), absent)


def one_hot(groups: Ints, there: Ints) -> Floats:
    """Membership in some groups, (people, groups)."""
    found: Floats = (np.asarray(groups)[:, None] == there).astype(np.float64)
    return found


def _refuse(name: str, values: NDArray[np.generic], ok: NDArray[np.bool_], allowed: str) -> None:
    if not ok.all():
        raise ValueError(f"{name}: {values[~ok][0]!s} is not allowed; allowed: {allowed}")
