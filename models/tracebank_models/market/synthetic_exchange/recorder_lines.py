"""The bytes of recorder lines: `<local ns> {"stream":…,"data":{…}}`, in the USD-M futures form of each stream.

Compiled code writes straight into a byte buffer. What is written, and when, is decided in `feed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .feed import BAD_RECEIVE_TIME, CUT_SHORT, STRAY_BYTES, FeedLines
from .recorder_words import (
    BETWEEN,
    BID,
    BIDS,
    DEPTH10_OPEN,
    DEPTH_END,
    DEPTH_OPEN,
    DEPTH_SYMBOL,
    END,
    FALSE,
    LAST_ID,
    LAST_LEVEL,
    LEVEL,
    MARKET,
    NEXT_LEVEL,
    PRICE,
    QTY,
    QUOTE_EVENT,
    QUOTE_OPEN,
    QUOTE_T,
    REST_BIDS,
    REST_END,
    REST_OPEN,
    STRAY,
    TRADE_OPEN,
    TRADE_SYMBOL,
    TRUE,
    ZERO,
    Bytes,
    E,
    T,
    Words,
)
from .tape import BOOK_SLOTS, DEPTH10, PUBLISHED_DEPTH, QUOTE, REST, TRADE, Tape

_BUFFER_BYTES = 1 << 22
_LONGEST_LINE = 512 + 4 * BOOK_SLOTS * 48
"""Bytes that any line fits in: a difference may name every price of two ladders."""
_MS = 1_000_000

_NO_NUMBER, _WHOLE, _PRICE, _QTY = -1, 0, 1, 2
"""What follows a part: nothing, or a number on one of the grids of `Words.grid`."""

Parts: TypeAlias = NDArray[np.int64]
"""One line to be written, (parts, 3): text part, number, grid. Row 0 holds how many follow.

Writing a line from such a list, and not by nested calls, keeps the time to compile short.
"""


@njit(cache=True, error_model="numpy")
def _put_decimal(out: Bytes, at: int, value: int, decimals: int) -> int:
    """Write a non-negative whole number, with a point before its last `decimals` digits."""
    digits, rest = 1, value
    while rest >= 10:
        rest //= 10
        digits += 1
    digits = max(digits, decimals + 1)
    end = at + digits + (decimals > 0)
    place = end
    for index in range(digits):
        if decimals > 0 and index == decimals:
            place -= 1
            out[place] = 46
        place -= 1
        out[place] = 48 + value % 10
        value //= 10
    return end


@njit(cache=True, error_model="numpy")
def _put_parts(out: Bytes, at: int, w: Words, parts: Parts) -> int:
    for index in range(1, 1 + parts[0, 0]):
        part, value, grid = parts[index, 0], parts[index, 1], parts[index, 2]
        for place in range(w.length[part]):
            out[at + place] = w.text[part, place]
        at += w.length[part]
        if grid != _NO_NUMBER:
            at = _put_decimal(out, at, value * w.grid[grid, 0], w.grid[grid, 1])
    return at


@njit(cache=True, error_model="numpy")
def _add(parts: Parts, part: int, value: int, grid: int) -> None:
    used = parts[0, 0] + 1
    parts[used, 0], parts[used, 1], parts[used, 2] = part, value, grid
    parts[0, 0] = used


@njit(cache=True, error_model="numpy")
def _add_level(parts: Parts, is_first: bool, price: int, lots: int) -> None:
    _add(parts, LEVEL if is_first else NEXT_LEVEL, price, _PRICE)
    _add(parts, BETWEEN if lots > 0 else ZERO, lots, _QTY if lots > 0 else _NO_NUMBER)


@njit(cache=True, error_model="numpy")
def _add_side(parts: Parts, tape: Tape, row: int, side: int, levels: int) -> None:
    for level in range(levels):
        _add_level(parts, level == 0, tape.ladders[row, side, 0, level], tape.ladders[row, side, 1, level])
    _add(parts, LAST_LEVEL, 0, _NO_NUMBER)


@njit(cache=True, error_model="numpy")
def _add_changes(parts: Parts, tape: Tape, row: int, side: int) -> None:
    """Add the levels in which a ladder differs from the one before it."""
    old, new, sign = tape.ladders[row - 1, side], tape.ladders[row, side], 2 * side - 1
    old_levels, new_levels = tape.heads[row - 1, 4 + side], tape.heads[row, 4 + side]
    i, j, start = 0, 0, parts[0, 0]
    while i < old_levels or j < new_levels:
        price, lots = new[0, min(j, new_levels - 1)], new[1, min(j, new_levels - 1)]
        gone = j == new_levels or (i < old_levels and sign * old[0, i] < sign * price)
        stood = not gone and i < old_levels and old[0, i] == price
        if gone:
            price, lots = old[0, i], 0
        if not stood or old[1, i] != lots:
            _add_level(parts, parts[0, 0] == start, price, lots)
        i += gone or stood
        j += not gone
    if parts[0, 0] > start:
        _add(parts, LAST_LEVEL, 0, _NO_NUMBER)


@njit(cache=True, error_model="numpy")
def _trade(parts: Parts, values: NDArray[np.int64], t_ms: int, delay_ms: int) -> None:
    _add(parts, TRADE_OPEN, t_ms + delay_ms, _WHOLE)
    _add(parts, T, t_ms, _WHOLE)
    _add(parts, TRADE_SYMBOL, values[1], _WHOLE)
    _add(parts, PRICE, values[2], _PRICE)
    _add(parts, QTY, values[3], _QTY)
    _add(parts, MARKET, 0, _NO_NUMBER)
    # `m` says whether the buyer was the maker, so it is false where the aggressor bought.
    _add(parts, FALSE if values[4] else TRUE, 0, _NO_NUMBER)


@njit(cache=True, error_model="numpy")
def _quote(parts: Parts, values: NDArray[np.int64], t_ms: int, delay_ms: int) -> None:
    _add(parts, QUOTE_OPEN, values[1], _WHOLE)
    _add(parts, QUOTE_EVENT, 0, _NO_NUMBER)
    for what in range(4):
        _add(parts, BID + what, values[2 + what], _PRICE + what % 2)
    _add(parts, QUOTE_T, t_ms, _WHOLE)
    _add(parts, E, t_ms + delay_ms, _WHOLE)
    _add(parts, END, 0, _NO_NUMBER)


@njit(cache=True, error_model="numpy")
def _depth(parts: Parts, tape: Tape, row: int, t_ms: int, delay_ms: int, is_snapshot: bool) -> None:
    _add(parts, DEPTH10_OPEN if is_snapshot else DEPTH_OPEN, t_ms + delay_ms, _WHOLE)
    _add(parts, T, t_ms, _WHOLE)
    for what in range(3):
        _add(parts, DEPTH_SYMBOL if what == 0 else LAST_ID + what - 1, tape.heads[row, 1 + what], _WHOLE)
    for side in range(2):
        _add(parts, BIDS + side, 0, _NO_NUMBER)
        if is_snapshot:
            _add_side(parts, tape, row, side, PUBLISHED_DEPTH)
        else:
            _add_changes(parts, tape, row, side)
    _add(parts, DEPTH_END, 0, _NO_NUMBER)


@njit(cache=True, error_model="numpy")
def _rest(parts: Parts, tape: Tape, row: int, t_ms: int, delay_ms: int) -> None:
    _add(parts, REST_OPEN, tape.heads[row, 2], _WHOLE)
    _add(parts, E, t_ms + delay_ms, _WHOLE)
    _add(parts, T, t_ms, _WHOLE)
    for side in range(2):
        _add(parts, REST_BIDS + side, 0, _NO_NUMBER)
        _add_side(parts, tape, row, side, tape.heads[row, 4 + side])
    _add(parts, REST_END, 0, _NO_NUMBER)


@njit(cache=True, error_model="numpy")
def _collect(parts: Parts, w: Words, tape: Tape, line: NDArray[np.int64]) -> None:
    kind, row, delay_ms = line[0], line[1], line[3]
    parts[0, 0] = 0
    if line[4] == STRAY_BYTES:
        _add(parts, STRAY, 0, _NO_NUMBER)
    elif kind == TRADE:
        _trade(parts, tape.trades[row], w.day_ms + tape.trades[row, 0] // _MS, delay_ms)
    elif kind == QUOTE:
        _quote(parts, tape.quotes[row], w.day_ms + tape.quotes[row, 0] // _MS, delay_ms)
    elif kind == REST:
        _rest(parts, tape, row, w.day_ms + tape.heads[row, 0] // _MS, delay_ms)
    else:
        _depth(parts, tape, row, w.day_ms + tape.heads[row, 0] // _MS, delay_ms, kind == DEPTH10)


@njit(cache=True, error_model="numpy")
def _lines(out: Bytes, parts: Parts, w: Words, tape: Tape, lines: FeedLines, first: int) -> tuple[int, int]:
    at, line = 0, first
    while line < lines.shape[0] and at + _LONGEST_LINE < out.size:
        start, form = at, lines[line, 4]
        if form != STRAY_BYTES:
            at = _put_decimal(out, at, w.day_ms * _MS + lines[line, 2], 0)
        received_end = at
        _collect(parts, w, tape, lines[line])
        at = _put_parts(out, at, w, parts)
        if form == CUT_SHORT:
            at = received_end + (at - received_end) * 2 // 3
            out[at] = 10
            at += 1
        elif form == BAD_RECEIVE_TIME:
            out[start + 3] = 120
        line += 1
    return line, at


def encode(w: Words, tape: Tape, lines: FeedLines) -> Iterator[memoryview]:
    """Write lines as bytes.

    Yields:
        Blocks of whole lines in one reused buffer: use each before asking for the next.
    """
    out, parts, line = np.empty(_BUFFER_BYTES, np.uint8), np.empty((8 * BOOK_SLOTS + 64, 3), np.int64), 0
    while line < lines.shape[0]:
        line, used = _lines(out, parts, w, tape, lines, line)
        yield memoryview(out)[:used]  # type: ignore[arg-type]
