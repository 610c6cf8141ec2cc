"""What an order that takes gets: prices and quantities on rows, by the way of filling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .decision_points import Rows
from .settings import Fill

Numbers = NDArray[np.float64]


def taken(
    ticks: Ticks, rows: Rows, side: NDArray[np.int8], qty: Numbers, fill: Fill, whole: NDArray[np.bool_] | None = None
) -> tuple[Numbers, Numbers]:
    """Prices and quantities of orders.

    Args:
        ticks: The book.
        rows: Of the orders, `[k]`.
        side: 1 buys, -1 sells.
        qty: Wanted.
        fill: Way of filling.
        whole: Where all is filled by walking, what the book does not hold at its last level; nowhere if None.

    Returns:
        Price and quantity that is filled, `[k]` each.
    """
    if fill == "walk":
        return _walked(ticks, rows, side > 0, qty, np.zeros(len(rows), np.bool_) if whole is None else whole)
    bid, ask = ticks.bid_price[rows, 0], ticks.ask_price[rows, 0]
    if fill == "touch":
        return np.where(side > 0, ask, bid), qty
    if fill == "mid":
        return (bid + ask) / 2, qty
    bids, asks = ticks.bid_qty[rows, 0], ticks.ask_qty[rows, 0]
    return (bid * bids + ask * asks) / (bids + asks), qty


def _walked(
    ticks: Ticks, rows: Rows, buys: NDArray[np.bool_], qty: Numbers, whole: NDArray[np.bool_]
) -> tuple[Numbers, Numbers]:
    left, paid = qty.copy(), np.zeros(len(rows))
    for level in range(ticks.bid_price.shape[1]):
        held = np.where(buys, ticks.ask_qty[rows, level], ticks.bid_qty[rows, level])
        price = np.where(buys, ticks.ask_price[rows, level], ticks.bid_price[rows, level])
        lot = np.minimum(left, held)
        paid += lot * price
        left -= lot
    rest = np.where(whole, left, 0.0)
    paid += rest * price
    got = np.where(left > 0, qty - (left - rest), qty)
    return paid / got, got
