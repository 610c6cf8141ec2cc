"""Means of samples that come in clusters (questions of one text, pairs of one function), with honest intervals.

Samples of a cluster are alike, so that what counts is how many clusters there are. A sample that stands alone is a
cluster of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

LEAST_CLUSTERS: Final = 5
"""Fewer support no interval and no claim."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and how sure it is."""

    mean: float
    low: float | None
    """Lower end; None where there are fewer than `LEAST_CLUSTERS`."""
    high: float | None
    standard_error: float | None
    """None of one cluster."""
    clusters: int

    def p_value(self, of: float = 0.0) -> float | None:
        """Two-sided, that the true mean is `of`, by Student's t with clusters - 1; None where there is no interval."""
        if self.low is None or self.standard_error is None:
            return None
        gap = abs(self.mean - of)
        if self.standard_error == 0:
            return 1.0 if gap == 0 else 0.0
        return float(2 * stats.t.sf(gap / self.standard_error, self.clusters - 1))


def clustered_mean(values: ArrayLike, clusters: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean over samples, its standard error clustered, its interval by Student's t with clusters - 1.

    The error is sqrt(C / (C - 1) * sum over clusters of (sum of residuals)^2) / n, as inspect_ai has it.

    Args:
        values: One a sample, finite.
        clusters: Cluster of each sample, numbers or text.
        confidence: Of the interval.

    Raises:
        ValueError: There is no sample, a value is not finite, clusters are not as many, or `confidence` is no share.
    """
    numbers, of_sample, counts = grouped(values, clusters, confidence)
    mean, groups = float(numbers.mean()), len(counts)
    if groups < 2:
        return Interval(mean, None, None, None, groups)
    off = np.bincount(of_sample, numbers - mean)
    error = math.sqrt(float(off @ off) * groups / (groups - 1)) / len(numbers)
    if groups < LEAST_CLUSTERS:
        return Interval(mean, None, None, error, groups)
    reach = float(stats.t.ppf((1 + confidence) / 2, groups - 1)) * error
    return Interval(mean, mean - reach, mean + reach, error, groups)


def paired_difference(first: ArrayLike, second: ArrayLike, clusters: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of `second` - `first` over the same samples; see `clustered_mean`.

    Raises:
        ValueError: As `clustered_mean`, or the two are not as many.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != two.shape:
        raise ValueError(f"second: {len(two)} values are not allowed; allowed: as many as in first, {len(one)}")
    return clustered_mean(two - one, clusters, confidence)


def grouped(
    values: ArrayLike, clusters: ArrayLike, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Checked values, the number of each one's cluster, and how many samples each cluster has.

    Raises:
        ValueError: See `clustered_mean`.
    """
    numbers, names = np.asarray(values, np.float64), np.asarray(clusters)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(
            f"values: shape {numbers.shape} is not allowed; allowed: one number for each sample, at least one"
        )
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ValueError(f"values: {numbers[row]} of sample {row} is not allowed; allowed: finite numbers")
    if names.shape != numbers.shape:
        raise ValueError(f"clusters: shape {names.shape} is not allowed; allowed: that of values, {numbers.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence} is not allowed; allowed: between 0 and 1")
    _, of_sample, counts = np.unique(names, return_inverse=True, return_counts=True)
    return numbers, of_sample, counts
