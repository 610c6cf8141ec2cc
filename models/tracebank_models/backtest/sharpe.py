"""Sharpe ratios with intervals of a moving-block bootstrap: neighbours are drawn together, since they are alike."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracebank_models.sample_statistics.clustered import LEAST_CLUSTERS, Interval

_AT_ONCE: Final = 2_000_000
"""Blocks that are drawn at once; memory, that is."""


def sharpe(
    values: NDArray[np.float64], scale: float = 1.0, draws: int = 1_000, seed: int = 0, confidence: float = 0.95
) -> Interval | None:
    """Mean over standard deviation, times the root of a scale.

    Args:
        values: Earned, one a trade or a period, in order.
        scale: How many there are in what the ratio is of; 1: in one.
        draws: Bootstrap samples; those without spread are left out. 0: no interval.
        seed: Of the drawing.
        confidence: Of the interval.

    Returns:
        The ratio as `mean`, its percentile interval (none of fewer than five values), and as `clusters` how many
        blocks of neighbours there are. None where there are fewer than two values, or no spread.
    """
    count = len(values)
    if count < 2 or (spread := float(values.std(ddof=1))) == 0:
        return None
    ratio, root = float(values.mean()) / spread, math.sqrt(scale)
    length = max(1, min(int(count ** (1 / 3)), count // LEAST_CLUSTERS))
    blocks = count // length
    if blocks < LEAST_CLUSTERS or not draws:
        return Interval(ratio * root, None, None, None, blocks)
    drawn = root * _drawn_ratios(values, length, draws, seed)
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(ratio * root, float(low), float(high), float(drawn.std(ddof=1)), blocks)


def _drawn_ratios(values: NDArray[np.float64], length: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Ratios of samples made of blocks, by the sums of every block that there could be."""
    middle = values.mean()
    sums = [_block_sums(part, length) for part in (values - middle, (values - middle) ** 2)]
    blocks, random = -(-len(values) // length), np.random.default_rng(seed)
    size, found = blocks * length, np.empty((2, draws))
    step = max(1, _AT_ONCE // blocks)
    for start in range(0, draws, step):
        chosen = random.integers(len(sums[0]), size=(min(step, draws - start), blocks))
        for place, of in enumerate(sums):
            found[place, start : start + len(chosen)] = of[chosen].sum(axis=1)
    mean = found[0] / size
    variance = np.maximum(found[1] / size - mean**2, 0) * size / (size - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: NDArray[np.float64] = (mean + middle) / np.sqrt(variance)
    return ratios


def _block_sums(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    sums = np.append(0.0, np.cumsum(values))
    inside: NDArray[np.float64] = sums[length:] - sums[:-length]
    return inside
