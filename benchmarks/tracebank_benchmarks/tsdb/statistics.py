"""Medians with intervals, ranks with intervals, and tests that compare samples: arithmetic only, no measuring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHIFT_SECONDS: Final = 1e-3
"""c of the score (c + t) / (c + best): times far below a millisecond do not decide a ranking."""
RESAMPLES: Final = 1_000
_EXACT_PAIRS: Final = 400
"""Up to this product of sample sizes, and without ties, the rank test is exact."""
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Width of the interval as a share of the value; infinite for a value of zero."""
        return (self.high - self.low) / self.value if self.value else math.inf


@dataclass(frozen=True, slots=True)
class RankTest:
    """Whether one set of samples is shifted against another."""

    statistic: float
    """Mann-Whitney's U of the later samples: pairs in which the later one is larger, ties half."""
    p_value: float
    """Probability of such a U or a larger one, were both of one distribution."""
    ratio: float
    """Median of the later samples over that of the earlier."""


def median_interval(samples: Sequence[float], seed: int = 0) -> Interval:
    """Median with a percentile-bootstrap interval.

    Args:
        samples: at least one.
        seed: of the resampling; the same samples and seed give the same interval.

    Raises:
        ValueError: no samples.
    """
    values = np.asarray(samples, np.float64)
    if not values.size:
        raise ValueError("a median needs at least one sample")
    low, high = _percentiles(_resampled_medians(values, np.random.default_rng(seed)))
    return Interval(float(np.median(values)), low, high)


def _resampled_medians(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    drawn = rng.integers(0, values.size, (RESAMPLES, values.size))
    return np.asarray(np.median(values[drawn], axis=1))


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


Times = Mapping[str, Mapping[str, Sequence[float]]]
"""Samples in seconds by entry and workload; a workload that an entry did not answer rightly is not there."""


def ranking(times: Times, seed: int = 0) -> dict[str, Interval]:
    """Score of each entry: geometric mean over workloads of (c + t) / (c + best), best first; 1 is best everywhere.

    A workload counts when at least one entry has it. For an entry that has not, t is twice the slowest entry's, so that
    leaving out what is hard does not pay. The interval is that of the medians behind it, resampled together.
    """
    workloads = sorted({workload for entry in times.values() for workload in entry})
    if not workloads:
        return {}
    rng, entries = np.random.default_rng(seed), sorted(times)
    medians = np.full((len(entries), len(workloads), RESAMPLES + 1), np.nan)
    for row, entry in enumerate(entries):
        for column, workload in enumerate(workloads):
            if samples := times[entry].get(workload):
                values = np.asarray(samples, np.float64)
                medians[row, column, 0] = np.median(values)
                medians[row, column, 1:] = _resampled_medians(values, rng)
    scores = _scores(medians)
    found = {}
    for row, entry in enumerate(entries):
        low, high = _percentiles(scores[row, 1:])
        found[entry] = Interval(float(scores[row, 0]), low, high)
    return dict(sorted(found.items(), key=lambda item: item[1].value))


def _scores(medians: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of shape (entries, draws) from medians of shape (entries, workloads, draws), NaN where there is none."""
    filled = np.where(np.isnan(medians), 2 * np.nanmax(medians, axis=0), medians)
    ratios = (SHIFT_SECONDS + filled) / (SHIFT_SECONDS + filled.min(axis=0))
    return np.asarray(np.exp(np.log(ratios).mean(axis=1)))


def rank_test(earlier: Sequence[float], later: Sequence[float]) -> RankTest:
    """One-sided Mann-Whitney test that `later` is larger (slower).

    Exact for small samples without ties, else by the normal distribution with correction for ties and continuity.

    Raises:
        ValueError: one of them is empty.
    """
    if not earlier or not later:
        raise ValueError("a rank test needs samples on both sides")
    a, b = np.asarray(earlier, np.float64), np.asarray(later, np.float64)
    statistic = float((b[:, None] > a).sum() + 0.5 * (b[:, None] == a).sum())
    tied = np.unique(np.concatenate([a, b])).size < a.size + b.size
    small = a.size * b.size <= _EXACT_PAIRS and not tied
    p_value = _exact(a.size, b.size, round(statistic)) if small else _normal(a, b, statistic)
    middle = float(np.median(a))
    return RankTest(statistic, p_value, float(np.median(b)) / middle if middle else math.inf)


def _exact(earlier: int, later: int, statistic: int) -> float:
    """Share of all orders of `earlier` and `later` samples whose U is at least `statistic`."""
    counts = np.zeros((earlier + 1, earlier * later + 1))  # Python floats hold these counts well beyond our sizes
    counts[:, 0] = 1  # with no later sample U is 0
    for _ in range(later):
        # Either the largest of all is an earlier sample, or it is a later one, above `below` earlier ones.
        for below in range(1, earlier + 1):
            grown = counts[below - 1].copy()
            grown[below:] += counts[below, :-below]
            counts[below] = grown
    return float(counts[earlier, statistic:].sum() / counts[earlier].sum())


def _normal(a: NDArray[np.float64], b: NDArray[np.float64], statistic: float) -> float:
    total = a.size + b.size
    _, ties = np.unique(np.concatenate([a, b]), return_counts=True)
    correction = float((ties**3 - ties).sum()) / (total * (total - 1)) if total > 1 else 0.0
    variance = a.size * b.size / 12 * (total + 1 - correction)
    if variance <= 0:
        return 1.0
    z = (statistic - a.size * b.size / 2 - 0.5) / math.sqrt(variance)
    return 0.5 * math.erfc(z / math.sqrt(2))


def corrected(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction: p values when so many were looked at."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    found, floor = {}, 0.0
    for place, (name, p_value) in enumerate(ordered):
        floor = max(floor, min(1.0, p_value * (len(ordered) - place)))
        found[name] = floor
    return found


def growth(rows: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Slope of log time over log rows: 1 is proportional. None for fewer than two sizes."""
    if len(set(rows)) < 2:
        return None
    slope, _ = np.polyfit(np.log(np.asarray(rows, np.float64)), np.log(np.asarray(seconds, np.float64)), 1)
    return float(slope)
