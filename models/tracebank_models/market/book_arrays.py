"""The arrays that order books work on: events of one instrument, what they leave, and the levels of a side.

What the numbers mean for a book is the business of `order_book`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracebank_models.market.chunks import BOOK_LEVELS
from tracebank_models.market.order_book_kernel import ALL_KNOWN, NO_SEQ


@dataclass(slots=True)
class DepthSlice:
    """The events of one instrument within a batch; levels of event i are `offsets[i]:offsets[i+1]`."""

    row: NDArray[np.int64]
    """Index of each event in the batch."""
    ts: NDArray[np.int64]
    """Time of each event, in ns since 1970."""
    seq: NDArray[np.int64]
    first: NDArray[np.int64]
    prev: NDArray[np.int64]
    snapshot: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    is_bid: NDArray[np.bool_]
    price: NDArray[np.float64]
    qty: NDArray[np.float64]

    def part(self, start: int, stop: int) -> DepthSlice:
        """Return the events from `start` up to `stop`."""
        levels = slice(self.offsets[start], self.offsets[stop])
        events = slice(start, stop)
        offsets = self.offsets[start : stop + 1] - self.offsets[start]
        ids = (self.seq[events], self.first[events], self.prev[events])
        told = (self.is_bid[levels], self.price[levels], self.qty[levels])
        return DepthSlice(self.row[events], self.ts[events], *ids, self.snapshot[events], offsets, *told)

    def newer_than(self, seq: int) -> DepthSlice:
        """Return the events that a snapshot with a last update id does not contain yet."""
        return self.part(int(np.searchsorted(np.maximum.accumulate(self.seq), seq, side="right")), len(self.seq))

    def follows_on(self, seq: int) -> bool:
        """Tell whether the first event follows on a snapshot with a last update id without a gap."""
        if self.prev[0] != NO_SEQ:
            return bool(self.first[0] <= seq or self.prev[0] <= seq)
        return bool(self.first[0] <= seq + 1)


@dataclass(slots=True)
class BookOutput:
    """What the events of a batch leave, by event; several books write into it."""

    levels: NDArray[np.float64]
    """Shape (40, events): `BOOK_LEVELS`, NaN where not known."""
    state: NDArray[np.int8]
    fate: NDArray[np.int8]
    seq: NDArray[np.int64]
    expected: NDArray[np.int64]
    """The update id expected where there is a gap before the event, else `NO_SEQ`."""

    @staticmethod
    def of(events: int) -> BookOutput:
        """Return room for a number of events."""
        bytes_ = np.zeros((2, events), np.int8)
        return BookOutput(
            np.full((len(BOOK_LEVELS), events), np.nan), bytes_[0], bytes_[1], *np.full((2, events), NO_SEQ, np.int64)
        )


@dataclass(slots=True)
class DepthSide:
    """Levels of one side, worst to best: keys are price ticks, negated on the ask side so that both sides ascend."""

    key: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    qty: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @staticmethod
    def of(event: DepthSlice, ticks: NDArray[np.int64], *, bids: bool) -> DepthSide:
        """Return one side of a snapshot; of a price that is there twice the last counts."""
        chosen = (event.is_bid == bids) & (event.qty > 0)
        key = ticks[chosen][::-1] if bids else -ticks[chosen][::-1]
        key, index = np.unique(key, return_index=True)
        return DepthSide(key, event.qty[chosen][::-1][index])

    @property
    def outermost(self) -> int:
        """Key from which on a snapshot of these levels knows the side. One without levels says that there are none."""
        return int(self.key[0]) if len(self.key) else ALL_KNOWN

    def with_room(self, levels: int) -> DepthSide:
        """Return a copy with room for more levels at the end."""
        return DepthSide(np.append(self.key, np.zeros(levels, np.int64)), np.append(self.qty, np.zeros(levels)))

    def cut(self, levels: int) -> DepthSide:
        """Return the first levels."""
        return DepthSide(self.key[:levels].copy(), self.qty[:levels].copy())
