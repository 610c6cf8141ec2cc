"""Where the parts of a recorder's usual lines are: receive time, stream name, data. Compiled, and nothing but finding.

A usual line is `1723161254087896568 {"stream":"btcusdt@trade","data":{…}}`, with or without the receive time. Lines
that are written in any other way are only marked as such, for a reader that takes its time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tracebank_models.market.timestamps import NO_TIME

_OPENING = np.frombuffer(b'{"stream":"', np.uint8)
_MIDDLE = np.frombuffer(b'","data":', np.uint8)
_TIME_DIGITS = 19
_UNUSUAL = -1


@dataclass(frozen=True, slots=True)
class LineLayout:
    """Parts of n lines, as places in `text`; of lines that are not usual only `stream` is set."""

    text: bytes
    """The lines, one after the other."""
    stream: NDArray[np.int64]
    """Index into `names` of each line's stream; -1 where a line is not usual."""
    names: list[bytes]
    start: NDArray[np.int64]
    """Where each line's data starts."""
    end: NDArray[np.int64]
    """Where each line's data ends (exclusive)."""
    local: NDArray[np.int64]
    """Receive times as they are written; `NO_TIME` where there is none."""

    def of_stream(self, index: int) -> tuple[list[int], list[bytes]]:
        """Return the places of a stream's lines among the lines, and their data."""
        places = np.flatnonzero(self.stream == index)
        text = self.text
        bounds = zip(self.start[places].tolist(), self.end[places].tolist(), strict=True)
        return places.tolist(), [text[start:end] for start, end in bounds]


def layout(lines: list[bytes]) -> LineLayout:
    """Find the parts of lines.

    Args:
        lines: Lines without line ends.
    """
    text = b"".join(lines)
    count = len(lines)
    ends = np.cumsum(np.fromiter(map(len, lines), np.int64, count))
    stream, start, end, first = np.full((4, count), _UNUSUAL, np.int64)
    local = np.full(count, NO_TIME, np.int64)
    slots = np.full(1 << (2 * count).bit_length(), _UNUSUAL, np.int64)
    symbols = np.frombuffer(text, np.uint8)
    found = _find_parts(symbols, ends, _OPENING, _MIDDLE, slots, stream, start, end, local, first)
    names = [text[at : text.index(b'"', at)] for at in first[:found].tolist()]
    return LineLayout(text, stream, names, start, end, local)


@njit(cache=True)
def _find_parts(text, ends, opening, middle, slots, stream, start, end, local, first):  # type: ignore[no-untyped-def]
    """Find the parts of each line; `first` receives where each distinct name stands first. Returns how many names."""
    names, at = 0, 0
    for line in range(len(stream)):
        stop = ends[line]
        time, place = _receive_time(text, at, stop)
        name = place + len(opening)
        if place >= 0 and _stands(text, place, stop, opening):
            quote, hashed = name, np.uint64(14695981039346656037)
            while quote < stop and text[quote] != 34:
                hashed = (hashed ^ np.uint64(text[quote])) * np.uint64(1099511628211)
                quote += 1
            data = quote + len(middle)
            if _stands(text, quote, stop, middle) and data < stop - 1 and text[stop - 1] == 125:
                slot = _slot(text, name, quote, hashed, slots, first)
                if slots[slot] < 0:
                    slots[slot], first[names] = names, name
                    names += 1
                stream[line], start[line], end[line], local[line] = slots[slot], data, stop - 1, time
        at = stop
    return names


@njit(cache=True)
def _receive_time(text, at, stop):  # type: ignore[no-untyped-def]
    """Return the receive time at the start of a line and where what follows starts, -1 if there is something else."""
    if at < stop and text[at] == 123:
        return NO_TIME, at
    if stop - at <= _TIME_DIGITS or text[at + _TIME_DIGITS] != 32:
        return NO_TIME, -1
    time = 0
    for place in range(at, at + _TIME_DIGITS):
        digit = int(text[place]) - 48
        if digit < 0 or digit > 9:
            return NO_TIME, -1
        time = time * 10 + digit
    return (time, at + _TIME_DIGITS + 1) if time >= 0 else (NO_TIME, -1)  # beyond int64 it wraps to below zero


@njit(cache=True)
def _stands(text, at, stop, wanted):  # type: ignore[no-untyped-def]
    """Tell whether the wanted bytes stand at a place."""
    if stop - at < len(wanted):
        return False
    for offset in range(len(wanted)):  # noqa: SIM110 - compiled
        if text[at + offset] != wanted[offset]:
            return False
    return True


@njit(cache=True)
def _slot(text, start, end, hashed, slots, first):  # type: ignore[no-untyped-def]
    """Return the slot of a name in an open hash table of names: its own, or the free one that it can have."""
    mask = np.uint64(len(slots) - 1)
    slot = hashed & mask
    while slots[slot] >= 0:
        known = first[slots[slot]]
        offset = 0
        while start + offset < end and text[known + offset] == text[start + offset]:
            offset += 1
        if start + offset == end and text[known + offset] == 34:
            return slot
        slot = (slot + np.uint64(1)) & mask
    return slot
