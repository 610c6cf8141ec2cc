"""The compiled loop of the event-driven engine: row after row, with the state of one account.

On each row, in this order: the order under way reaches the book, is filled, or is given up; what is open on the last
row of a segment is closed; a decision is made. All is plain arrays and numbers, since it is compiled.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .lots import DECIDED, LOT, SEGMENT_END

Prices = NDArray[np.float64]
FILLS: Final = ("weighted_mid", "mid", "touch", "walk")
"""Ways of filling, by their number."""
_WEIGHTED_MID, _MID, _TOUCH = range(3)
_NOTHING, _TRAVELLING, _RESTING = range(3)
_ACCOUNT: Final = np.dtype(
    [
        *((name, np.int64) for name in ("stage", "order_side", "order_decided", "due", "expires")),
        *((name, np.float64) for name in ("order_qty", "order_price", "order_signal", "held", "opened_qty")),
        *((name, np.float64) for name in ("open_price", "signal")),
        *((name, np.int64) for name in ("side", "decided", "opened", "leaving", "open_is_maker", "lots", "positions")),
    ]
)
"""The order under way (`due` is a row or a time), the open position, and how many lots and positions there were."""


class Plan(NamedTuple):
    """Settings as the loop takes them."""

    until_flip: bool
    horizon: int
    threshold: float
    limit: float
    fill: int
    in_rows: bool
    delay: int
    """Rows, or nanoseconds."""
    open_rests: bool
    close_rests: bool
    patience: int


class Book(NamedTuple):
    """The columns of ticks."""

    times: NDArray[np.int64]
    bid_price: Prices
    bid_qty: Prices
    ask_price: Prices
    ask_qty: Prices
    segment: NDArray[np.int32]


@njit(cache=True)
def run_rows(book, signals, columns, sizes, plan):  # type: ignore[no-untyped-def]
    """Follow a strategy through all rows.

    Args:
        book: `Book`.
        signals: `[n, k]`.
        columns: Of them, those that are used.
        sizes: `[s, 2]`, bounds of the mean signal, falling, and quantities.
        plan: `Plan`.

    Returns:
        Lots, `LOT` each.
    """
    account, lots = np.zeros(1, _ACCOUNT), np.zeros(64, LOT)
    rows, wait = len(book.times), 0
    for row in range(rows):
        if account[0].lots + 2 > len(lots):
            lots = np.concatenate((lots, np.zeros(len(lots), LOT)))
        is_last = row == rows - 1 or book.segment[row + 1] != book.segment[row]
        if account[0].stage != _NOTHING:
            _meet(account, lots, book, row, is_last, plan)
        if is_last:
            account[0].stage, wait = _NOTHING, 0
            if account[0].held > 0:
                account[0].order_decided = row
                _close(account, lots, book, row, SEGMENT_END, plan)
            continue
        if wait == 0:
            wait = plan.horizon
            if account[0].stage == _NOTHING:
                _decide(account, book, signals, columns, sizes, row, plan)
                if account[0].stage != _NOTHING and plan.delay == 0:
                    _meet(account, lots, book, row, is_last, plan)
        wait -= 1
    return lots[: account[0].lots].copy()


@njit(cache=True)
def _decide(account, book, signals, columns, sizes, row, plan):  # type: ignore[no-untyped-def]
    """Send an order, if the signals ask for one."""
    state = account[0]
    up, down, total = True, True, 0.0
    for column in columns:
        one = signals[row, column]
        up, down = up and one > 0, down and one < 0
        total += one
    mean = total / len(columns)
    if state.held > 0:
        against = down if state.side > 0 else up
        if not plan.until_flip or state.leaving == 1 or against:
            state.leaving = 1
            _send(account, book, row, -state.side, state.held, plan)
    elif (up or down) and abs(mean) >= plan.threshold:
        state.order_signal = mean
        _send(account, book, row, 1 if up else -1, min(_size(mean, sizes), plan.limit), plan)


@njit(cache=True)
def _size(mean, sizes):  # type: ignore[no-untyped-def]
    for step in range(len(sizes)):
        if abs(mean) > sizes[step, 0]:
            return sizes[step, 1]
    return sizes[-1, 1]


@njit(cache=True)
def _send(account, book, row, side, qty, plan):  # type: ignore[no-untyped-def]
    """Put an order under way; one that will rest does so at the touch of this row."""
    state = account[0]
    state.stage, state.order_side, state.order_qty, state.order_decided = _TRAVELLING, side, qty, row
    state.order_price = book.bid_price[row, 0] if side > 0 else book.ask_price[row, 0]
    state.due = plan.delay + (row if plan.in_rows else book.times[row])


@njit(cache=True)
def _meet(account, lots, book, row, is_last, plan):  # type: ignore[no-untyped-def]
    """Let the order under way meet the book of a row."""
    state = account[0]
    opens = state.held == 0
    rests = plan.open_rests if opens else plan.close_rests
    against = book.ask_price[row, 0] if state.order_side > 0 else book.bid_price[row, 0]
    crosses = (against - state.order_price) * state.order_side <= 0
    if state.stage == _TRAVELLING:
        if (row if plan.in_rows else book.times[row]) < state.due:
            return
        if rests and not crosses:
            state.stage, state.expires = _RESTING, row + plan.patience
            return
        if rests and opens:  # it would take, which is not what was asked for
            state.stage = _NOTHING
            return
        is_maker = False
    else:
        offered = book.ask_qty[row, 0] if state.order_side > 0 else book.bid_qty[row, 0]
        is_maker = crosses and offered >= state.order_qty
        if not is_maker and row < state.expires:
            return
        if not is_maker and opens:
            state.stage = _NOTHING
            return
    state.stage = _NOTHING
    if not opens:
        _close(account, lots, book, row, DECIDED, plan, is_maker)
    elif not is_last:
        _open(account, book, row, plan, is_maker)


@njit(cache=True)
def _open(account, book, row, plan, is_maker):  # type: ignore[no-untyped-def]
    state = account[0]
    price, qty = state.order_price, state.order_qty
    if not is_maker:
        price, qty = _taken(book, row, state.order_side, qty, plan.fill, False)
    state.side, state.held, state.opened_qty, state.open_price = state.order_side, qty, qty, price
    state.decided, state.opened, state.signal = state.order_decided, row, state.order_signal
    state.open_is_maker, state.leaving = is_maker, 0
    state.positions += 1


@njit(cache=True)
def _close(account, lots, book, row, reason, plan, is_maker=False):  # type: ignore[no-untyped-def]
    """Close what the book takes of the position, at the end of a segment all of it, and note the lot."""
    state, lot = account[0], lots[account[0].lots]
    price, qty = state.order_price, state.held
    if not is_maker:
        price, qty = _taken(book, row, -state.side, qty, plan.fill, reason == SEGMENT_END)
    state.held -= qty
    lot.position, lot.side, lot.signal, lot.reason = state.positions - 1, state.side, state.signal, reason
    lot.qty, lot.opened_qty, lot.left = qty, state.opened_qty, state.held
    lot.decided, lot.opened, lot.open_price = state.decided, state.opened, state.open_price
    lot.close_decided, lot.closed, lot.close_price = state.order_decided, row, price
    lot.open_is_maker, lot.close_is_maker = state.open_is_maker == 1, is_maker
    state.lots += 1


@njit(cache=True)
def _taken(book, row, side, qty, fill, whole):  # type: ignore[no-untyped-def]
    """Price and quantity of an order that takes; `whole` fills what the book does not hold at its last level."""
    bid, ask = book.bid_price[row, 0], book.ask_price[row, 0]
    if fill == _TOUCH:
        return ask if side > 0 else bid, qty
    if fill == _MID:
        return (bid + ask) / 2, qty
    if fill == _WEIGHTED_MID:
        bids, asks = book.bid_qty[row, 0], book.ask_qty[row, 0]
        return (bid * bids + ask * asks) / (bids + asks), qty
    prices, held = (book.ask_price, book.ask_qty) if side > 0 else (book.bid_price, book.bid_qty)
    left, paid = qty, 0.0
    for level in range(prices.shape[1]):
        lot = min(left, held[row, level])
        paid += lot * prices[row, level]
        left -= lot
    if whole:
        paid += left * prices[row, -1]
        left = 0.0
    got = qty - left
    return paid / got, got
