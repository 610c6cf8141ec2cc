"""Sharpe ratios with intervals of a moving-block bootstrap: neighbours are drawn together, since they are alike."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tracebank_models.sample_statistics.clustered import LEAST_CLUSTERS, Interval
from tracebank_models.sample_statistics.moving_blocks import MovingBlocks


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
    blocks = MovingBlocks(count, length, max(draws, 2), seed)
    if blocks.blocks < LEAST_CLUSTERS or not draws:
        return Interval(ratio * root, None, None, None, blocks.blocks)
    drawn = root * _drawn_ratios(values, blocks)
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(ratio * root, float(low), float(high), float(drawn.std(ddof=1)), blocks.blocks)


def _drawn_ratios(values: NDArray[np.float64], blocks: MovingBlocks) -> NDArray[np.float64]:
    """Mean over deviation in each bootstrap sample."""
    middle, count = values.mean(), len(values)
    moments = np.stack((values - middle, (values - middle) ** 2), axis=1)
    mean, square = blocks.ratio(moments, np.ones_like(moments)).draws.T
    deviation = np.sqrt(np.maximum(square - mean**2, 0) * count / (count - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: NDArray[np.float64] = (mean + middle) / deviation
    return ratios
