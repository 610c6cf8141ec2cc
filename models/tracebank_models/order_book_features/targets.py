"""What is forecast of every tick: returns of a price some ticks on, and whether it rises, stays or falls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .ticks import Price, Ticks

DOWN, SAME, UP = 0, 1, 2
NO_LABEL: Final = -100
"""Class of a tick whose stretch ends before the horizon; what torch's cross-entropy leaves out by default."""


def target_scale(horizons: Sequence[int]) -> NDArray[np.float64]:
    """What the paper divides a return in basis points by, so that horizons are of one size, `[H]`."""
    ticks = np.asarray(horizons, np.float64)
    return 1.1 * np.sqrt(ticks) + 0.01 * ticks


def targets(ticks: Ticks, price: Price, horizons: Sequence[int], *, scaled: bool = True) -> NDArray[np.float32]:
    """Log-returns of a price over the next ticks, in basis points.

    Args:
        ticks: n rows.
        price: Which price.
        horizons: H numbers of ticks.
        scaled: Divide each horizon by its `target_scale`, as the paper does.

    Returns:
        `[n, H]`; NaN where the unbroken stretch ends before the horizon.

    Raises:
        ValueError: A horizon is not allowed, or longer than any stretch.
    """
    out = np.full((len(ticks), len(horizons)), np.nan, np.float32)
    value, scale = np.log(ticks.price(price)), target_scale(horizons)
    for column, (now, later) in enumerate(_pairs(ticks.segment, horizons)):
        out[now, column] = 1e4 * (value[later] - value[now]) / (scale[column] if scaled else 1.0)
    return out


def three_classes(ticks: Ticks, price: Price, horizons: Sequence[int], *, beyond_spread: bool) -> NDArray[np.int8]:
    """Whether a price falls (0), stays (1) or rises (2) over the next ticks.

    Args:
        ticks: n rows.
        price: Which price.
        horizons: H numbers of ticks.
        beyond_spread: Count a move only where it is larger than the spread of the tick that it starts from, which is
            what a round trip at the touch costs; else any move counts.

    Returns:
        `[n, H]`; `NO_LABEL` where the unbroken stretch ends before the horizon.

    Raises:
        ValueError: As `targets`.
    """
    out = np.full((len(ticks), len(horizons)), NO_LABEL, np.int8)
    value, spread = ticks.price(price), ticks.ask_price[:, 0] - ticks.bid_price[:, 0]
    # Equal mids of different quotes differ by rounding, which is far below a millionth of the spread.
    least = spread * ((1.0 if beyond_spread else 0.0) + 1e-6)
    for column, (now, later) in enumerate(_pairs(ticks.segment, horizons)):
        move = value[later] - value[now]
        out[now, column] = SAME + (move > least[now]) - (move < -least[now]).astype(np.int8)
    return out


def _pairs(
    segment: NDArray[np.int32], horizons: Sequence[int]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of each horizon, the rows whose stretch reaches it, and the rows that lie there."""
    longest = int(np.bincount(segment - segment[0]).max())
    for horizon in horizons:
        if not 1 <= horizon < longest:
            raise ValueError(f"horizons: {horizon} is not allowed; allowed: 1 to {longest - 1}, within a stretch")
        now = np.flatnonzero(segment[:-horizon] == segment[horizon:])
        yield now, now + horizon
