"""A signal of known strength: the outer-depth imbalance of a snapshot foretells the return over the next horizon.

Window `k` is `[k H, (k+1) H)`. Its signal `x_k` is uniform on (-0.6, 0.6), independent of everything else, and is
published: each of levels 5 to 9 of every snapshot in the window has its two sides' total split so that
`(bid - ask) / (bid + ask) = x_k`. Within the window the efficient price is moved by `D_k` extra ticks, one tick at a
time, where `D_k` is `beta x_k` rounded at random to a whole tick with that mean. Nothing here runs a book.

From within a window, the signal foretells only the part of its move that is still to come and within the horizon: at
phase `u` of a window `H`, and for a horizon `h`, `m = min(h, H - u) / H` of it.
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

    @property
    def explained(self) -> float:
        """Variance of a window's return that the signal explains, in ticks squared."""
        return self.beta**2 * SIGNAL_VARIANCE


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


class Remaining(NamedTuple):
    """Moments of the part of a window's move that is still to come and within the horizon, over all phases."""

    mean: float
    square: float
    """Mean of the square."""


def remaining(horizon_s: float, window_s: float, interval_s: float = 0.0) -> Remaining:
    """How much of a window's move a forecast over a horizon can still foretell.

    With `q = h / H`, at most 1, and phases `s = interval / H` apart: `q - q²/2 + qs/2`, and for the square
    `q² - 2q³/3 + q²s/2 + qs²/6`.

    Args:
        horizon_s: `h`, seconds; a multiple of the interval.
        window_s: `H`, seconds.
        interval_s: Seconds between snapshots, the first of a window at its start; 0: at any time.
    """
    q, s = min(horizon_s / window_s, 1.0), interval_s / window_s
    return Remaining(q - q**2 / 2 + q * s / 2, q**2 - 2 * q**3 / 3 + q**2 * s / 2 + q * s**2 / 6)


def diffusion_ratio(r2: float, horizon_s: float, window_s: float) -> float:
    """Variance of a return over a horizon, begun at any phase, per variance of a whole window's return.

    Of a price that is a sum of the planted moves and a random walk: what the signal leaves grows with the horizon.
    """
    q = horizon_s / window_s
    return r2 * (q**2 - q**3 / 3 if q <= 1 else q - 1 / 3) + (1.0 - r2) * q


def ceiling(
    r2: float,
    horizon_s: float,
    window_s: float,
    *,
    phase_known: bool,
    ratio: float | None = None,
    interval_s: float = 0.0,
) -> float:
    """The largest R² that a forecast from the signal alone can have.

    Args:
        r2: R² of a whole window's return on its signal.
        horizon_s: Horizon of the forecast, seconds.
        window_s: The signal's own horizon, seconds.
        phase_known: Whether the forecast knows how long the signal has stood (the best is `beta x m`), or knows its
            value alone (`beta x` times the mean of `m`: the regression on one feature).
        ratio: Variance of the return over the horizon per variance of a whole window's; `diffusion_ratio` if not given.
        interval_s: As in `remaining`.
    """
    part = remaining(horizon_s, window_s, interval_s)
    foretold = part.square if phase_known else part.mean**2
    return r2 * foretold / (diffusion_ratio(r2, horizon_s, window_s) if ratio is None else ratio)


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
