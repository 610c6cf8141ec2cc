"""Two-stage cluster bootstrap: clusters are drawn, and of each drawn one its samples are drawn again.

A cluster that is drawn twice is two clusters, each with samples of its own: merging them, as evaluations of model
editing have done, makes intervals too narrow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .clustered import LEAST_CLUSTERS, Interval, grouped


def cluster_bootstrap(
    values: ArrayLike,
    clusters: ArrayLike,
    draws: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
    *,
    equal_clusters: bool = False,
) -> Interval:
    """Mean over samples with the percentile interval and the standard deviation of its bootstrap.

    Args:
        values: One a sample, finite.
        clusters: Cluster of each sample, numbers or text.
        draws: Bootstrap samples.
        seed: Of the drawing.
        confidence: Of the interval.
        equal_clusters: Whether the mean is that of the clusters' means, and not of the samples.

    Raises:
        ValueError: See `clustered_mean`.
    """
    numbers, of_sample, counts = grouped(values, clusters, confidence)
    weights = 1 / counts[of_sample] if equal_clusters else None
    mean, groups = float(np.average(numbers, weights=weights)), len(counts)
    if groups < 2:
        return Interval(mean, None, None, None, groups)
    means = bootstrap_means(numbers, of_sample, counts, draws, seed, equal_clusters=equal_clusters)
    error = float(means.std(ddof=1))
    if groups < LEAST_CLUSTERS:
        return Interval(mean, None, None, error, groups)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, float(low), float(high), error, groups)


def bootstrap_means(
    numbers: NDArray[np.float64],
    of_sample: NDArray[np.int64],
    counts: NDArray[np.int64],
    draws: int,
    seed: int,
    *,
    equal_clusters: bool = False,
) -> NDArray[np.float64]:
    """Mean of each bootstrap sample, of values whose clusters are numbered from 0."""
    by_cluster = numbers[np.argsort(of_sample, kind="stable")]
    starts, random = np.cumsum(counts) - counts, np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        drawn = random.integers(len(counts), size=len(counts))
        sizes = np.repeat(counts[drawn], counts[drawn])
        within = (random.random(len(sizes)) * sizes).astype(np.int64)
        found = by_cluster[np.repeat(starts[drawn], counts[drawn]) + within]
        means[draw] = np.average(found, weights=1 / sizes if equal_clusters else None)
    return means
