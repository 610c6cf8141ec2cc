"""Medians with intervals, ranks with intervals, percentiles, growth: arithmetic only, no measuring.

What runs say of each other is `changes`' business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_SAMPLES: Final = 5
"""Samples below which there is no interval, no place and no winner."""
SHIFT_SECONDS: Final = 1e-3
"""c of the score (c + t) / (c + best): times far below a millisecond do not decide a ranking."""
RESAMPLES: Final = 1_000
RUN_NOISE: Final = 0.06
"""Standard deviation of the logarithm of an engine's times, all together, from run to run, measured."""
READ_NOISE: Final = 0.08
"""The same of one read's time beside the engine's others, measured."""
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
"""By name; a name with `_` has it for the point."""
_MEDIAN_CONFIDENCE: Final = 0.95
_RANK_CONFIDENCE: Final = 0.99
_SURE_DEVIATIONS: Final = 3.3
"""Standard deviations by which a first has to be ahead to be named, one in a thousand: a page names many firsts."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Width of the interval as a share of the value; infinite for a value of zero."""
        return (self.high - self.low) / self.value if self.value else math.inf


@dataclass(frozen=True, slots=True)
class Rank(Interval):
    """A score with its interval, and how far behind the first it is."""

    behind: float
    """Times the first one's times, geometric mean."""
    surely: bool
    """Whether that is more than chance and what other runs would add."""


def median_interval(samples: Sequence[float], seed: int = 0) -> Interval:
    """Median with a percentile-bootstrap interval of 95 %, which is about these samples alone.

    Args:
        samples: at least `LEAST_SAMPLES`.
        seed: of the resampling; the same samples and seed give the same interval.

    Raises:
        ValueError: fewer samples.
    """
    values = np.asarray(samples, np.float64)
    if values.size < LEAST_SAMPLES:
        raise ValueError(f"an interval needs at least {LEAST_SAMPLES} samples, there are {values.size}")
    low, high = _percentiles(_resampled_medians(values, np.random.default_rng(seed)), _MEDIAN_CONFIDENCE)
    return Interval(float(np.median(values)), low, high)


def _resampled_medians(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    drawn = rng.integers(0, values.size, (RESAMPLES, values.size))
    return np.asarray(np.median(values[drawn], axis=1))


def _percentiles(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


Times = Mapping[str, Mapping[str, Sequence[float]]]
"""Samples in seconds by entry and workload; a workload that an entry did not answer rightly is not there."""
Limits = Mapping[str, Mapping[str, float]]
"""Seconds after which an entry's workload was given up, by entry and workload; only of those that timed out."""


def ranking(times: Times, limits: Limits | None = None, seed: int = 0) -> dict[str, Rank]:
    """Score of each entry: geometric mean over workloads of (c + t) / (c + best), best first; 1 is best everywhere.

    A workload counts when at least one entry has it. For an entry that has no right answer, t is twice the longest that
    anybody took, where a time-out counts as its limit: no way to fail is better than to answer slowly, nor than another
    way to fail. The interval is of 99 % and that of the medians behind it, resampled together, with the noise that
    other runs would add.

    Raises:
        ValueError: a workload has fewer than `LEAST_SAMPLES` samples: there is no place for its entry.
    """
    workloads = sorted({workload for entry in times.values() for workload in entry})
    if not workloads:
        return {}
    rng, entries = np.random.default_rng(seed), sorted(times)
    medians = np.full((len(entries), len(workloads), RESAMPLES + 1), np.nan)
    for row, entry in enumerate(entries):
        common = rng.normal(0, RUN_NOISE, RESAMPLES)
        for column, workload in enumerate(workloads):
            if samples := times[entry].get(workload):
                medians[row, column] = _medians(entry, workload, samples, common, rng)
    scores = _scores(medians, _longest(medians, entries, workloads, limits or {}))
    order = np.argsort(scores[:, 0], kind="stable")
    return {entries[row]: _rank(scores[row], scores[order[0]]) for row in order}


def _rank(scores: NDArray[np.float64], of_first: NDArray[np.float64]) -> Rank:
    """From draws of the score of an entry and of the first."""
    low, high = _percentiles(scores[1:], _RANK_CONFIDENCE)
    ratios = np.log(scores / of_first)
    surely = bool(ratios[0] > _SURE_DEVIATIONS * ratios[1:].std())
    return Rank(float(scores[0]), low, high, float(np.exp(ratios[0])), surely and bool(ratios[0] > 0))


def _medians(entry: str, workload: str, samples: Sequence[float], common: NDArray[np.float64],
             rng: np.random.Generator) -> NDArray[np.float64]:  # fmt: skip
    """The median, and medians as they might have been."""
    if len(samples) < LEAST_SAMPLES:
        raise ValueError(f"{entry} has {len(samples)} samples of {workload}; a place needs {LEAST_SAMPLES}")
    values = np.asarray(samples, np.float64)
    noise = np.exp(common + rng.normal(0, READ_NOISE, RESAMPLES))
    return np.concatenate([[np.median(values)], _resampled_medians(values, rng) * noise])


def _longest(medians: NDArray[np.float64], entries: Sequence[str], workloads: Sequence[str],
             limits: Limits) -> NDArray[np.float64]:  # fmt: skip
    """Longest time of each workload and draw, time-outs at their limits, of shape (workloads, draws)."""
    given_up = [max(limits.get(entry, {}).get(workload, 0.0) for entry in entries) for workload in workloads]
    return np.asarray(np.maximum(np.nanmax(medians, axis=0), np.asarray(given_up)[:, None]))


def _scores(medians: NDArray[np.float64], longest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of shape (entries, draws) from medians of shape (entries, workloads, draws), NaN where there is none."""
    filled = np.where(np.isnan(medians), 2 * longest, medians)
    ratios = (SHIFT_SECONDS + filled) / (SHIFT_SECONDS + filled.min(axis=0))
    return np.asarray(np.exp(np.log(ratios).mean(axis=1)))


def percentiles(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Percentiles and the largest of latencies, s.

    A percentile above the median is left out where fewer samples than one in a hundred (p99) or so can tell it: it
    would be the largest one under another name. The estimator is Hyndman and Fan's eighth, free of bias in the median
    whatever the distribution.
    """
    if not seconds.size:
        return {}
    kept = {name: q for name, q in QUANTILES.items() if name == "p50" or seconds.size * (1 - q) >= 1 - 1e-9}
    found = np.quantile(seconds, list(kept.values()), method="median_unbiased")
    return {**dict(zip(kept, map(float, found), strict=True)), "max": float(seconds.max())}


def growth(rows: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Slope of log time over log rows: 1 is proportional. None for fewer than two sizes."""
    if len(set(rows)) < 2:
        return None
    slope, _ = np.polyfit(np.log(np.asarray(rows, np.float64)), np.log(np.asarray(seconds, np.float64)), 1)
    return float(slope)
