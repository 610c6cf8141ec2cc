"""The compiled loops of the order book: levels into sorted arrays, and the ten best of each side out of them.

A side is a pair of arrays, worst level first, whose keys are price ticks, negated on the ask side. Most updates are
near the best price, so near the end, where little has to be moved. Everything is plain arrays, since it is compiled.

A snapshot ends somewhere: beyond its outermost price a whole book knows only the levels that were touched since. The
status holds the outermost key of each side from which all levels are known. It moves out as prices move, since an
exchange's book never crosses: where a bid rested, no ask did.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tracebank_models.market.chunks import BOOK_DEPTH

NO_SEQ = np.iinfo(np.int64).min
"""Stands for an update id that a source does not give."""

ALL_KNOWN = NO_SEQ
"""Stands for the outermost known key of a side of which every level is known."""

BIDS, ASKS, LAST_SEQ, STATE, AFTER_SNAPSHOT, REMOVED_AS_CROSSED, BIDS_FROM, ASKS_FROM, BEYOND = range(9)
"""Places in a book's status: levels of each side, last update id, state, whether that id is a snapshot's, a count, the
outermost key of each side from which a whole book is known, and whether a best price lies beyond it."""

_PARTIAL, _WHOLE, _STALE = 0, 1, 2
_APPLIED, _DUPLICATE, _BEFORE_SNAPSHOT = 0, 1, 2


@njit(cache=True)
def apply_differences(events, book, output, ticks_per_unit):  # type: ignore[no-untyped-def]
    """Apply differences in order, with the rules of the exchange's sequence numbers.

    Args:
        events: row, seq, first, prev (int64, shape (events,)), offsets (int64, (events + 1,)), is_bid (bool), ticks
            (int64) and qty (float64), the last three of shape (levels,). The row is where output goes.
        book: Bid keys and quantities, ask keys and quantities, with room for all new levels, and the status; changed.
        output: Levels (float64, (40, rows)), state and fate (int8), seq and expected seq (int64), (rows,); written.
        ticks_per_unit: Ticks in a price of 1.
    """
    row, seq, first, prev, offsets, is_bid, ticks, qty = events
    levels, state, fate, seq_after, expected = output
    status = book[4]
    for event in range(len(seq)):
        at = row[event]
        fate[at], wanted = follow(seq[event], first[event], prev[event], status)
        expected[at] = wanted
        if fate[at] != _APPLIED:
            continue
        if wanted != NO_SEQ:
            status[STATE] = _STALE
        for level in range(offsets[event], offsets[event + 1]):
            _set_level(book, is_bid[level], ticks[level], qty[level])
        if seq[event] != NO_SEQ:
            status[LAST_SEQ], status[AFTER_SNAPSHOT] = seq[event], 0
        seq_after[at] = seq[event]
        state[at] = top_of_book(book, levels, at, ticks_per_unit)


@njit(cache=True)
def follow(seq, first, prev, status):  # type: ignore[no-untyped-def]
    """Return the fate of a difference, and the update id expected before it if there is a gap, else `NO_SEQ`."""
    last, joining = status[LAST_SEQ], status[AFTER_SNAPSHOT] == 1
    if seq == NO_SEQ or last == NO_SEQ:
        return _APPLIED, NO_SEQ
    if prev != NO_SEQ:
        if seq < last or (seq == last and not joining):
            return _BEFORE_SNAPSHOT if joining else _DUPLICATE, NO_SEQ
        missed = prev > last and not (joining and first != NO_SEQ and first <= last)
        return _APPLIED, last if missed else NO_SEQ
    if seq <= last:
        return _BEFORE_SNAPSHOT if joining else _DUPLICATE, NO_SEQ
    missed = first != NO_SEQ and first > last + 1
    return _APPLIED, last + 1 if missed else NO_SEQ


@njit(cache=True)
def _set_level(book, bid, tick, qty):  # type: ignore[no-untyped-def]
    """Set the quantity that rests at a price; 0 removes the level."""
    bid_key, bid_qty, ask_key, ask_qty, status = book
    if bid:
        status[BIDS] = _set_in_side(bid_key, bid_qty, status[BIDS], tick, qty)
        if qty > 0 and status[STATE] != _WHOLE:
            _remove_passed(ask_key, status, ASKS, -tick)
    else:
        status[ASKS] = _set_in_side(ask_key, ask_qty, status[ASKS], -tick, qty)
        if qty > 0 and status[STATE] != _WHOLE:
            _remove_passed(bid_key, status, BIDS, tick)


@njit(cache=True)
def _remove_passed(key, status, side, limit):  # type: ignore[no-untyped-def]
    """Remove the levels of a side at or beyond a price that the other side now has."""
    while status[side] > 0 and key[status[side] - 1] >= limit:
        status[side] -= 1
        status[REMOVED_AS_CROSSED] += 1


@njit(cache=True)
def _set_in_side(key, qty, count, new_key, new_qty):  # type: ignore[no-untyped-def]
    """Set, insert or remove one level of a side; return how many levels it then has."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if key[middle] < new_key:
            low = middle + 1
        else:
            high = middle
    if low < count and key[low] == new_key:
        if new_qty > 0:
            qty[low] = new_qty
            return count
        for index in range(low, count - 1):
            key[index], qty[index] = key[index + 1], qty[index + 1]
        return count - 1
    if new_qty > 0:
        for index in range(count, low, -1):
            key[index], qty[index] = key[index - 1], qty[index - 1]
        key[low], qty[low] = new_key, new_qty
        return count + 1
    return count


@njit(cache=True, inline="always")
def _see_how_far(book):  # type: ignore[no-untyped-def]
    """Note from which keys on a whole book is known, and whether a best price lies beyond; return the state to tell."""
    bid_key, _, ask_key, _, status = book
    bids, asks = status[BIDS], status[ASKS]
    status[BEYOND] = 0
    if status[STATE] != _WHOLE or (status[BIDS_FROM] == ALL_KNOWN and status[ASKS_FROM] == ALL_KNOWN):
        return status[STATE]
    crossed = bids > 0 and asks > 0 and bid_key[bids - 1] + ask_key[asks - 1] >= 0
    if not crossed:  # if the exchange sent it so, where one side rests tells nothing about the other
        if bids > 0:
            status[ASKS_FROM] = min(status[ASKS_FROM], -bid_key[bids - 1])
        if asks > 0:
            status[BIDS_FROM] = min(status[BIDS_FROM], -ask_key[asks - 1])
    bid_seen = status[BIDS_FROM] == ALL_KNOWN or (bids > 0 and bid_key[bids - 1] >= status[BIDS_FROM])
    ask_seen = status[ASKS_FROM] == ALL_KNOWN or (asks > 0 and ask_key[asks - 1] >= status[ASKS_FROM])
    if bid_seen and ask_seen:
        return _WHOLE
    status[BEYOND] = 1
    return _PARTIAL


@njit(cache=True)
def top_of_book(book, levels, row, ticks_per_unit):  # type: ignore[no-untyped-def]
    """Write the best levels of both sides into a column of `levels`, which holds NaN; return the state to tell.

    A row that is whole holds no level that another, not known one might precede. The others hold what is known.
    """
    bid_key, bid_qty, ask_key, ask_qty, status = book
    state = _see_how_far(book)
    bid, ask = status[BIDS] - 1, status[ASKS] - 1
    bids, asks = min(BOOK_DEPTH, bid + 1), min(BOOK_DEPTH, ask + 1)
    if state == _WHOLE:
        while bids > 0 and bid_key[bid + 1 - bids] < status[BIDS_FROM]:
            bids -= 1
        while asks > 0 and ask_key[ask + 1 - asks] < status[ASKS_FROM]:
            asks -= 1
    for depth in range(bids):
        levels[depth, row] = bid_key[bid - depth] / ticks_per_unit
        levels[BOOK_DEPTH + depth, row] = bid_qty[bid - depth]
    for depth in range(asks):
        levels[2 * BOOK_DEPTH + depth, row] = -ask_key[ask - depth] / ticks_per_unit
        levels[3 * BOOK_DEPTH + depth, row] = ask_qty[ask - depth]
    return state
