"""The event-driven engine: what happens on each row of the book, in order, orders that rest included.

An order that rests is posted at the touch of the row on which it is decided: a bid to buy, an ask to sell. It reaches
the book after the delay. If it would take there, one that opens is refused, and one that closes takes. Otherwise it is
filled whole, at its price, on the first later row on which the best price of the other side is at its price or beyond
and offers at least its quantity: whoever stood before it in the queue is gone. Trades are not looked at, and no part of
an order is filled, so that some real fills are missed. After `patience` rows it is cancelled if it opens, and taken
if it closes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .decision_points import Signals, delay_ns
from .event_kernel import FILLS, Book, Plan, run_rows
from .settings import StrategySettings


def event_driven_lots(ticks: Ticks, signals: Signals, settings: StrategySettings) -> NDArray[np.void]:
    """The lots of a strategy, `LOT` each, in order; inputs are taken as checked."""
    in_rows = settings.delay_unit == "ticks"
    plan = Plan(
        until_flip=settings.rule == "until_flip",
        horizon=settings.horizon,
        threshold=float(settings.threshold),
        limit=float(settings.position_limit),
        fill=FILLS.index(settings.fill),
        in_rows=in_rows,
        delay=int(settings.delay) if in_rows else delay_ns(settings),
        open_rests=settings.orders != "market",
        close_rests=settings.orders == "limit",
        patience=settings.patience,
    )
    sizes = settings.sizes if settings.sizing == "table" else ((0.0, settings.quantity),)
    columns = np.array(settings.signals or range(signals.shape[1]), np.int64)
    columns_of_book = (ticks.bid_price, ticks.bid_qty, ticks.ask_price, ticks.ask_qty)
    book = Book(ticks.times, *columns_of_book, ticks.segment)
    lots: NDArray[np.void] = run_rows(book, signals, columns, np.array(sizes, np.float64), plan)
    return lots
