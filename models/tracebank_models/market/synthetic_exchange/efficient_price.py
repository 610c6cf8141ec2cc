"""The price that all venues of a symbol share: its volatility and drift regime, and its moves on the tick grid.

The log of volatility is a fast Ornstein-Uhlenbeck factor plus a two-state (calm, busy) Markov regime; each regime has
its own small drift. Volatility also drives how busy the market orders are. Nothing here knows of order books.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .configuration import SyntheticMarket
from .instrument import Instrument
from .order_flow import OrderFlow
from .random_stream import RandomState, exponential, fill_exponential, normal, random_state, uniform

SECOND_NS = 1_000_000_000
MOVES_PER_SECOND = 2
"""Times per second at which the efficient price may move."""


class EfficientPrice(NamedTuple):
    """Moves of the price that the venues of a symbol share, and how busy its market is."""

    time_ns: NDArray[np.int64]
    """Time of each move since the start of the day, rising."""
    ticks: NDArray[np.int64]
    """Size of each move, never 0."""
    activity: NDArray[np.float64]
    """Market order activity per second of the day, of mean 1."""


@njit(cache=True, error_model="numpy")
def _regimes(
    state: RandomState, seconds: int, calm: float, busy: float, ratio: float, sigma: float, relaxation: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    volatility = np.empty(seconds)
    drift = np.empty(seconds)
    is_busy = uniform(state) < busy / (calm + busy)
    factor, current_drift = sigma * normal(state), normal(state)
    left = exponential(state) * (busy if is_busy else calm)
    memory = math.exp(-1.0 / relaxation)
    for second in range(seconds):
        if left <= 0.0:
            is_busy, current_drift = not is_busy, normal(state)
            left = exponential(state) * (busy if is_busy else calm)
        factor = memory * factor + sigma * math.sqrt(1.0 - memory * memory) * normal(state)
        volatility[second] = math.exp(factor) * (ratio if is_busy else 1.0)
        drift[second] = current_drift
        left -= 1.0
    return volatility, drift


@njit(cache=True, error_model="numpy")
def _moves(
    state: RandomState, volatility: NDArray[np.float64], drift: NDArray[np.float64], bound: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    count = volatility.size * MOVES_PER_SECOND
    times, sizes = np.empty(count, np.int64), np.empty(count, np.int64)
    price, shown, used = 0.0, 0, 0
    for step in range(count):
        second = step // MOVES_PER_SECOND
        move = volatility[second] * normal(state) / math.sqrt(MOVES_PER_SECOND) + drift[second] / MOVES_PER_SECOND
        if abs(price + move) > bound:
            move = -move
        price += move
        times[used] = int((step + uniform(state)) * SECOND_NS / MOVES_PER_SECOND)
        sizes[used] = round(price) - shown
        if sizes[used] != 0:
            shown += sizes[used]
            used += 1
    return times[:used].copy(), sizes[:used].copy()


def efficient_price(market: SyntheticMarket, instrument: Instrument) -> EfficientPrice:
    """Simulate the efficient price of a symbol over the market's duration.

    Volatility is scaled so that its mean square over the day is the market's `annual_volatility` squared; the price
    is reflected 40 % away from its start, which a day of allowed volatility seldom reaches.

    Returns:
        Moves in ticks, and the market order activity per second.
    """
    flow: OrderFlow = market.order_flow
    state = random_state(market.seed, "efficient price", market.day, instrument.symbol)
    shape, drift = _regimes(
        state,
        market.duration_s,
        flow.calm_seconds,
        flow.busy_seconds,
        flow.busy_ratio,
        flow.volatility_sigma,
        flow.volatility_seconds,
    )
    per_second = market.volatility_ticks(instrument)
    volatility = shape * (per_second / math.sqrt(float(np.mean(shape**2))))
    times, sizes = _moves(state, volatility, drift * (flow.drift_ratio * per_second), 0.4 * instrument.base_ticks)
    return EfficientPrice(times, sizes, shape / shape.mean())


def seen_at_venue(price: EfficientPrice, delay_ms: float, state: RandomState) -> EfficientPrice:
    """The same moves, each reaching a venue after an exponential delay of the given mean."""
    delay = np.empty(price.time_ns.size)
    fill_exponential(state, delay)
    times = price.time_ns + (delay * delay_ms * 1e6).astype(np.int64)
    order = np.argsort(times, kind="stable")
    return EfficientPrice(times[order], price.ticks[order], price.activity)
