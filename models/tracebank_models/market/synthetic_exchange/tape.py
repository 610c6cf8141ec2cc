"""What a venue publishes, as integers in bounded buffers: trades, best quotes, ladders, and the order of their lines.

Times are ns since the start of the day, prices are ticks and quantities lots. Nothing here decides what happens in
the book, and nothing here knows JSON.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .configuration import STREAMS, SyntheticMarket

PUBLISHED_DEPTH = 10
"""Levels per side in a snapshot."""
BOOK_SLOTS = 24
"""Prices per side that the simulated book keeps; differences and the REST snapshot show all of them."""
OUTER_LEVELS = 5
"""The planted signal is published in levels `OUTER_LEVELS` to 9 (the outer half of a snapshot), 0 being the best."""
LADDERS_PER_CHUNK = 16_384
ROWS_PER_CHUNK = 262_144

TRADE, QUOTE, DEPTH10, DEPTH, REST = range(5)
"""Kinds of line; the first four are the streams of `STREAMS`."""


class Tape(NamedTuple):
    """One chunk of what a venue published. Ladder row 0 repeats the last ladder of the chunk before."""

    streams: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    """Rows used: trades, quotes, ladders (row 0 not counted), lines."""
    trades: NDArray[np.int64]
    """(rows, 5): ns, trade id, price in ticks, lots, 1 if the aggressor bought."""
    quotes: NDArray[np.int64]
    """(rows, 6): ns, update id, bid price, bid lots, ask price, ask lots."""
    heads: NDArray[np.int64]
    """(rows, 6), of each ladder: ns, first and last update id, last id of the ladder before, bid and ask levels."""
    ladders: NDArray[np.int64]
    """(rows, side, price or lots, level), best level first."""
    lines: NDArray[np.int64]
    """(lines, 3): kind, row, ns."""


def new_tape(market: SyntheticMarket) -> Tape:
    """Empty buffers for one chunk of the streams that the market writes."""
    rows, ladders = ROWS_PER_CHUNK, LADDERS_PER_CHUNK + 1
    lines = 2 * rows + 2 * ladders + 1
    levels = BOOK_SLOTS if "depth" in market.streams else PUBLISHED_DEPTH
    return Tape(
        streams=np.array([name in market.streams for name in STREAMS]),
        sizes=np.zeros(4, np.int64),
        trades=np.empty((rows, 5), np.int64),
        quotes=np.empty((rows, 6), np.int64),
        heads=np.zeros((ladders, 6), np.int64),
        ladders=np.zeros((ladders, 2, 2, levels), np.int64),
        lines=np.empty((lines, 3), np.int64),
    )


def rewind(tape: Tape) -> None:
    """Forget the rows of the chunk that is done; keep its last ladder as row 0."""
    last = tape.sizes[2]
    tape.heads[0] = tape.heads[last]
    tape.ladders[0] = tape.ladders[last]
    tape.sizes[:] = 0


@njit(cache=True, error_model="numpy")
def is_full(tape: Tape) -> bool:
    """Whether the next event might not fit."""
    room = 4 * BOOK_SLOTS
    rows = max(tape.sizes[0], tape.sizes[1])
    return bool(rows + room > tape.trades.shape[0] or tape.sizes[2] + 1 >= tape.heads.shape[0])


@njit(cache=True, error_model="numpy")
def _line(tape: Tape, kind: int, row: int, time_ns: int) -> None:
    index = tape.sizes[3]
    tape.lines[index, 0] = kind
    tape.lines[index, 1] = row
    tape.lines[index, 2] = time_ns
    tape.sizes[3] = index + 1


@njit(cache=True, error_model="numpy")
def record_trade(tape: Tape, book: Any, price: int, lots: int, is_buy: bool) -> None:
    """Publish one trade."""
    book.trade_id += 1
    if not tape.streams[TRADE]:
        return
    row = tape.sizes[0]
    values = tape.trades[row]
    values[0], values[1], values[2], values[3], values[4] = book.time, book.trade_id, price, lots, is_buy
    tape.sizes[0] = row + 1
    _line(tape, TRADE, row, book.time)


@njit(cache=True, error_model="numpy")
def record_quote(tape: Tape, book: Any, queues: NDArray[np.int64], time_ns: int) -> None:
    """Publish the best quotes if they differ from those published last."""
    bid, ask = 0, 0
    while queues[0, bid] == 0:
        bid += 1
    while queues[1, ask] == 0:
        ask += 1
    bid_price, ask_price, bid_lots, ask_lots = book.ref - bid, book.ref + 1 + ask, queues[0, bid], queues[1, ask]
    same = bid_price == book.bid_price and ask_price == book.ask_price
    if same and bid_lots == book.bid_lots and ask_lots == book.ask_lots:
        return
    book.bid_price, book.bid_lots, book.ask_price, book.ask_lots = bid_price, bid_lots, ask_price, ask_lots
    if not tape.streams[QUOTE]:
        return
    row = tape.sizes[1]
    values = tape.quotes[row]
    values[0], values[1] = time_ns, book.update_id
    values[2], values[3], values[4], values[5] = bid_price, bid_lots, ask_price, ask_lots
    tape.sizes[1] = row + 1
    _line(tape, QUOTE, row, time_ns)


@njit(cache=True, error_model="numpy")
def _tilt(ladder: NDArray[np.int64], signal: float) -> None:
    """Split the outer levels between the sides so that their depth imbalance is the signal (up to a lot a level)."""
    for level in range(OUTER_LEVELS, PUBLISHED_DEPTH):
        both = ladder[0, 1, level] + ladder[1, 1, level]
        ladder[0, 1, level] = min(max(round(0.5 * both * (1.0 + signal)), 1), both - 1)
        ladder[1, 1, level] = both - ladder[0, 1, level]


@njit(cache=True, error_model="numpy")
def record_ladder(tape: Tape, book: Any, queues: NDArray[np.int64], time_ns: int, signal: float) -> None:
    """Publish the ladder: a snapshot, a difference, or both. A NaN signal leaves the queues as they are."""
    row = tape.sizes[2] + 1
    tape.sizes[2] = row
    ladder = tape.ladders[row]
    for side in range(2):
        used = 0
        for slot in range(queues.shape[1]):
            if queues[side, slot] > 0 and used < ladder.shape[2]:
                ladder[side, 0, used] = book.ref + 1 + slot if side == 1 else book.ref - slot
                ladder[side, 1, used] = queues[side, slot]
                used += 1
        tape.heads[row, 4 + side] = used
    if not np.isnan(signal):
        _tilt(ladder, signal)
    book.update_id = max(book.update_id, book.last_update_id + 1)
    head = tape.heads[row]
    head[0], head[1], head[2], head[3] = time_ns, book.last_update_id + 1, book.update_id, book.last_update_id
    book.last_update_id = book.update_id
    if tape.streams[DEPTH10]:
        _line(tape, DEPTH10, row, time_ns)
    if tape.streams[DEPTH]:
        _line(tape, DEPTH, row, time_ns)
        if book.ladders_done == 2:
            _line(tape, REST, row - 1, time_ns)
    book.ladders_done += 1
