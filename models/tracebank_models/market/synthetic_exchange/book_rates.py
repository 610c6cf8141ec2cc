"""The event rates of one book, worked out from the order flow's knobs and an instrument's order size."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .configuration import SyntheticMarket
from .instrument import Instrument
from .tape import BOOK_SLOTS


class Rates(NamedTuple):
    """Parameters of one book, in events per second."""

    limit: NDArray[np.float64]
    """Limit orders per slot of one side, before the queue's own damping."""
    cancel: NDArray[np.float64]
    """Cancellations per slot and resting lot."""
    limit_total: float
    saturation_lots: float
    fresh_lots: float
    mean_lots: float
    market_lots: float
    market_sigma: float
    market_rate: float
    """Exogenous market orders per second, both sides."""
    reference_move: float
    imbalance_response: float
    venue_pull: float
    arbitrage: float
    """Moves back towards the efficient price, per second and tick of distance."""
    decay: float
    jump_self: float
    jump_cross: float
    ties: float


def rates(market: SyntheticMarket, instrument: Instrument) -> Rates:
    """The rates of a book, from the knobs that are relative to the rate of market orders."""
    flow, per_side = market.order_flow, 0.5 * market.market_order_rate
    depth = np.arange(1, BOOK_SLOTS + 1, dtype=np.float64)
    limit = flow.limit_rate * per_side * depth**-flow.limit_exponent
    lots = float(instrument.mean_order_lots)
    ratio = flow.limit_rate / flow.cancel_rate * BOOK_SLOTS ** (flow.cancel_exponent - flow.limit_exponent)
    balance = 0.5 * flow.limit_saturation * (math.sqrt(1 + 4 * ratio / flow.limit_saturation) - 1)
    return Rates(
        limit=limit,
        cancel=flow.cancel_rate * per_side * depth**-flow.cancel_exponent / lots,
        limit_total=2.0 * float(limit.sum()),
        saturation_lots=flow.limit_saturation * lots,
        fresh_lots=balance * lots,
        mean_lots=lots,
        market_lots=flow.market_order_size * lots,
        market_sigma=flow.market_order_size_sigma,
        market_rate=market.market_order_rate * (1.0 - flow.branching),
        reference_move=flow.reference_move,
        imbalance_response=flow.imbalance_response,
        venue_pull=flow.venue_pull,
        arbitrage=flow.arbitrage_rate * per_side,
        decay=flow.hawkes_decay,
        jump_self=flow.hawkes_decay * flow.hawkes_self,
        jump_cross=flow.hawkes_decay * flow.hawkes_cross,
        ties=market.defects.ties,
    )
