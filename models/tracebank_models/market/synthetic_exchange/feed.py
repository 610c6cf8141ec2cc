"""From a tape to the lines of a recorded feed: when each line arrives, in what order, and which defects befall it.

Decides and counts; writes no bytes. The feed has its own random numbers, so its defects never change the market.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .configuration import FeedDefects, SyntheticMarket
from .random_stream import RandomState, exponential, random_state, uniform
from .tape import DEPTH, DEPTH10, QUOTE, REST, TRADE, Tape

READABLE, CUT_SHORT, BAD_RECEIVE_TIME, STRAY_BYTES = range(4)
"""What a written line is; the last three cannot be read."""
WRITTEN, DROPPED, DUPLICATED, LATE = range(4)
"""Columns of the counts per kind of line."""
_FASTEST_NS = 5_000_000
_NEVER = -1


class Feed(NamedTuple):
    """What is carried from chunk to chunk of one feed, and what has been planted so far."""

    random: RandomState
    memory: NDArray[np.int64]
    """Last arrival, lines still to drop, youngest id written per kind (5)."""
    counts: NDArray[np.int64]
    """(kind, what): readable lines written once, dropped, written twice, late."""
    unreadable: NDArray[np.int64]
    """Unreadable lines by form."""


FeedLines: TypeAlias = NDArray[np.int64]
"""Lines to write, in order: (lines, 5) of kind, row, arrival in ns since the start of the day, event time less
transaction time in ms, and form (`READABLE` or one of the unreadable ones)."""
Arrival: TypeAlias = NDArray[np.int64]
"""Per line of a tape, (lines, 2): arrival in ns since the start of the day, event time less transaction time in ms."""


def new_feed(market: SyntheticMarket, symbol: str, venue: str) -> Feed:
    """A feed of which nothing has been written."""
    memory = np.full(7, _NEVER, np.int64)
    memory[:2] = 0
    name = random_state(market.seed, "feed", market.day, venue, symbol)
    return Feed(name, memory, np.zeros((5, 4), np.int64), np.zeros(4, np.int64))


@njit(cache=True, error_model="numpy")
def _arrive(feed: Feed, lines: NDArray[np.int64], late: float, late_ns: float) -> Arrival:
    arrival = np.empty((lines.shape[0], 2), np.int64)
    last = feed.memory[0]
    for line in range(lines.shape[0]):
        last = max(last + 200, lines[line, 2] + _FASTEST_NS + int(2e6 * exponential(feed.random)))
        arrival[line, 0] = last
        arrival[line, 1] = int(4.0 * uniform(feed.random))
    feed.memory[0] = last
    for line in range(lines.shape[0]):
        if lines[line, 0] != REST and uniform(feed.random) < late:
            arrival[line, 0] = min(arrival[line, 0] + int(late_ns * uniform(feed.random)), last)
    return arrival


def arrive(feed: Feed, tape: Tape, defects: FeedDefects) -> Arrival:
    """Draw when each line of a tape arrives.

    A line takes 5 ms and an exponential 2 ms more, and never overtakes; a late one comes up to `late_ms` after that,
    but at the end of its chunk at the latest.
    """
    lines = tape.lines[: int(tape.sizes[3])]
    return np.asarray(_arrive(feed, lines, float(defects.late), defects.late_ms * 1e6))


@njit(cache=True, error_model="numpy")
def _identity(tape: Tape, kind: int, row: int) -> int:
    if kind == TRADE:
        return int(tape.trades[row, 1])
    return int(tape.quotes[row, 1] if kind == QUOTE else tape.heads[row, 2])


@njit(cache=True, error_model="numpy")
def _is_dropped(feed: Feed, kind: int, gaps: float, gap_lines: int) -> bool:
    if kind == REST:
        return False
    if feed.memory[1] == 0 and uniform(feed.random) < gaps:
        feed.memory[1] = gap_lines
    if feed.memory[1] == 0:
        return False
    feed.memory[1] -= 1
    return True


@njit(cache=True, error_model="numpy")
def _note_written(feed: Feed, kind: int, identity: int) -> None:
    feed.counts[kind, WRITTEN] += 1
    if identity < feed.memory[2 + kind]:
        feed.counts[kind, LATE] += 1
    else:
        feed.memory[2 + kind] = identity


@njit(cache=True, error_model="numpy")
def _lay_out(
    feed: Feed, tape: Tape, arrival: Arrival, order: NDArray[np.int64], rates: NDArray[np.float64], gap_lines: int
) -> FeedLines:
    out, used = np.empty((3 * order.size, 5), np.int64), 0
    gaps, twice, unreadable = rates[0], rates[1], rates[2]
    for line in order:
        kind, row = tape.lines[line, 0], tape.lines[line, 1]
        if _is_dropped(feed, kind, gaps, gap_lines):
            feed.counts[kind, DROPPED] += 1
            continue
        _note_written(feed, kind, _identity(tape, kind, row))
        copies, form = 1, READABLE
        if kind != REST and uniform(feed.random) < twice:
            copies = 2
            feed.counts[kind, DUPLICATED] += 1
        if uniform(feed.random) < unreadable:
            form = CUT_SHORT + int(3.0 * uniform(feed.random))
            feed.unreadable[form] += 1
        for copy in range(copies + (form != READABLE)):
            out[used, 0], out[used, 1], out[used, 2], out[used, 3] = kind, row, arrival[line, 0], arrival[line, 1]
            out[used, 4] = form if copy == copies else READABLE
            used += 1
    return out[:used]


def lay_out(feed: Feed, tape: Tape, arrival: Arrival, defects: FeedDefects) -> FeedLines:
    """Put a tape's lines in the order of arrival and plant the defects, counting each."""
    order = np.argsort(arrival[:, 0], kind="stable")
    shares = np.array([defects.gaps, defects.duplicates, defects.unreadable], np.float64)
    return np.asarray(_lay_out(feed, tape, arrival, order, shares, defects.gap_lines))


def local_times(tape: Tape, arrival: Arrival, kind: int, rows: int, first: int = 0) -> NDArray[np.int64]:
    """Arrival of each row of one stream, in row order.

    Args:
        tape: The chunk.
        arrival: Its arrivals.
        kind: `TRADE`, `QUOTE`, `DEPTH10` or `DEPTH`.
        rows: Rows of that stream in the chunk.
        first: Number of the stream's first row (1 for ladders, whose row 0 is the chunk before's).
    """
    assert kind in (TRADE, QUOTE, DEPTH10, DEPTH)
    lines, local = tape.lines[: int(tape.sizes[3])], np.empty(rows, np.int64)
    mine = lines[:, 0] == kind
    local[lines[mine, 1] - first] = arrival[mine, 0]
    return local
