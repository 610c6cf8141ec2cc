"""A signal of known strength: the outer-depth imbalance of a snapshot foretells the return over the next horizon.

Window `k` is `[k H, (k+1) H)`. Its signal `x_k` is uniform on (-0.6, 0.6), independent of everything else, and is
published: each of levels 5 to 9 of every snapshot in the window has its two sides' total split so that
`(bid - ask) / (bid + ask) = x_k`. Within the window the efficient price is moved by `D_k` extra ticks, one tick at a
time, where `D_k` is `beta x_k` rounded at random to a whole tick with that mean. Nothing here runs a book.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .configuration import SyntheticMarket
from .efficient_price import SECOND_NS
from .instrument import Instrument
from .random_stream import fill_uniform, random_state

SIGNAL_BOUND = 0.6
SIGNAL_VARIANCE = SIGNAL_BOUND**2 / 3
"""Variance of the uniform signal."""


class PlantedSignal(NamedTuple):
    """The signal of each window, and the price moves that it foretells."""

    beta: float
    """Ticks of return per unit of signal."""
    signal: NDArray[np.float64]
    """Per window; what the outer levels show."""
    ticks: NDArray[np.int64]
    """Planted return per window (`D_k`)."""


def _uniforms(market: SyntheticMarket, instrument: Instrument, what: str, count: int) -> NDArray[np.float64]:
    out = np.empty(count)
    fill_uniform(random_state(market.seed, what, market.day, instrument.symbol), out)
    return out


def rounding_variance(beta: float) -> float:
    """Variance that rounding `beta x` to whole ticks adds, for x uniform on its bounds: the mean of f (1 - f)."""
    grid = (np.arange(4096) + 0.5) / 4096 * (beta * SIGNAL_BOUND)
    part = grid - np.floor(grid)
    return float(np.mean(part * (1.0 - part)))


def explained_share(beta: float, rest_variance: float) -> float:
    """R² of the return on the signal, where `rest_variance` is the variance of the return without the signal."""
    explained = beta * beta * SIGNAL_VARIANCE
    total = explained + rounding_variance(beta) + rest_variance
    return explained / total if total > 0 else 0.0


def strength(r2: float, rest_variance: float) -> float:
    """The `beta` whose R² is the one asked for, by bisection (the share rises with `beta`).

    Args:
        r2: Wanted share, in [0, 1).
        rest_variance: Variance of the return without the signal, in ticks squared.

    Returns:
        Ticks of return per unit of signal.
    """
    if r2 == 0:
        return 0.0
    low, high = 0.0, 1.0
    while explained_share(high, rest_variance) < r2:
        high *= 2.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if explained_share(middle, rest_variance) < r2 else (low, middle)
    return high


def plant(market: SyntheticMarket, instrument: Instrument, beta: float) -> PlantedSignal:
    """Draw the signal of every window and the whole ticks that it moves the price by."""
    windows = -(-market.duration_s // market.signal_horizon_s)
    signal = SIGNAL_BOUND * (2.0 * _uniforms(market, instrument, "signal", windows) - 1.0)
    ticks = np.floor(beta * signal + _uniforms(market, instrument, "signal rounding", windows))
    return PlantedSignal(beta, signal, ticks.astype(np.int64))


def planted_moves(
    market: SyntheticMarket, instrument: Instrument, planted: PlantedSignal
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The planted returns as moves of a tick at times spread evenly at random over their windows.

    Returns:
        Times in ns since the start of the day, and moves in ticks.
    """
    window = np.repeat(np.arange(planted.ticks.size), np.abs(planted.ticks))
    horizon_ns = market.signal_horizon_s * SECOND_NS
    part = _uniforms(market, instrument, "signal times", window.size)
    times = window * horizon_ns + 1 + (part * (horizon_ns - 2)).astype(np.int64)
    return times, np.sign(planted.ticks)[window]
