"""Order books rebuilt from differences and snapshots, by the exchange's own sequence rules.

The rules (Binance's "How to manage a local order book correctly"): a snapshot with last update id L is joined by the
first difference with `U` <= L + 1 <= `u` (spot) or `U` <= L <= `u` (futures, which also name the id before, `pu`);
older ones are dropped; from then on each difference has to follow on the last (`U` = last `u` + 1, `pu` = last `u`).
One that overlaps the last misses nothing, since quantities are absolute. Anything else is a gap: updates were missed,
and the book is stale until a snapshot heals it. Events of a source without update ids are taken in file order.

A snapshot has so many levels and no more. What lies beyond its outermost prices and was not touched since is not known:
a row is whole only while both best prices are within, and holds no level beyond.

The loops over levels are in `order_book_kernel`, the books of many instruments in `order_books`.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tracebank_models.market.book_arrays import BookOutput, DepthSide, DepthSlice
from tracebank_models.market.carried_book import CarriedBook
from tracebank_models.market.order_book_kernel import (
    AFTER_SNAPSHOT,
    ALL_KNOWN,
    ASKS,
    ASKS_FROM,
    BEYOND,
    BIDS,
    BIDS_FROM,
    LAST_SEQ,
    NO_SEQ,
    REMOVED_AS_CROSSED,
    STATE,
    apply_differences,
    follow,
    top_of_book,
)
from tracebank_models.market.price_ticks import PriceScale

STATES = ("partial", "whole", "stale")
"""What is known of a book, as stored in `state`; the kernel counts in these indices."""

_WHOLE = STATES.index("whole")

REMEMBERED_EVENTS = 4096
"""Differences kept, to be played again on a snapshot that arrives after them."""


class Fate(IntEnum):
    """What became of a depth event."""

    APPLIED = 0
    DUPLICATE = 1
    BEFORE_SNAPSHOT = 2
    SNAPSHOT_NOT_NEEDED = 3
    SNAPSHOT_TOO_OLD = 4
    SNAPSHOT_CAUGHT_UP = 5
    """Healed the book up to the last update, whose row stands."""


IGNORED_AS = {
    Fate.BEFORE_SNAPSHOT: "depth:before_snapshot",
    Fate.SNAPSHOT_NOT_NEEDED: "depth_snapshot:not_needed",
    Fate.SNAPSHOT_TOO_OLD: "depth_snapshot:too_old",
    Fate.SNAPSHOT_CAUGHT_UP: "depth_snapshot:caught_up",
}
"""Kinds under which events that give no row are counted; duplicates are counted as such."""


class OrderBook:
    """The book of one instrument. Prices are whole ticks inside; levels beyond those known are simply not there."""

    def __init__(self) -> None:
        self._scale = PriceScale()
        self._bids, self._asks = DepthSide(), DepthSide()
        self._status = np.array([0, 0, NO_SEQ, 0, 0, 0, ALL_KNOWN, ALL_KNOWN, 0], np.int64)
        self._numbered = False
        self._remembered: deque[DepthSlice] = deque()
        self._remembered_events = 0

    @property
    def state(self) -> str:
        """What is known of the book: "partial", "whole" or "stale"."""
        return "partial" if self._status[BEYOND] else STATES[self._status[STATE]]

    @property
    def removed_as_crossed(self) -> int:
        """Levels removed so far since a newer update on the other side had passed them.

        An exchange's book never crosses, so in a book that is not whole a level on the other side of a newer one is no
        longer there. A whole book is left as the exchange sent it.
        """
        return int(self._status[REMOVED_AS_CROSSED])

    def carried(self) -> CarriedBook | None:
        """Return the book to be opened with it again, or None where no update of it says what it follows on."""
        if not self._numbered:
            return None
        bids, asks, status, unit = self._bids, self._asks, self._status, self._scale.ticks_per_unit
        whole = status[STATE] == _WHOLE
        return CarriedBook(
            int(status[LAST_SEQ]),
            bool(status[AFTER_SNAPSHOT]),
            STATES[status[STATE]],
            float(status[BIDS_FROM] / unit) if whole and status[BIDS_FROM] != ALL_KNOWN else None,
            float(-status[ASKS_FROM] / unit) if whole and status[ASKS_FROM] != ALL_KNOWN else None,
            bids.key / unit,
            bids.qty,
            -asks.key / unit,
            asks.qty,
        )

    def open(self, carried: CarriedBook, event: DepthSlice) -> bool:
        """Put a carried book in place of what is known, if it knows more and the next event follows on it without gap.

        Args:
            carried: the book.
            event: the one that comes next.
        """
        seq, first, prev = int(event.seq[0]), int(event.first[0]), int(event.prev[0])
        status = self._status.copy()
        status[[LAST_SEQ, AFTER_SNAPSHOT, STATE]] = carried.seq, carried.after_snapshot, STATES.index(carried.state)
        numbered = NO_SEQ != seq > carried.seq and not first == prev == NO_SEQ
        known_better = self.state == "whole" and carried.state != "whole"
        if known_better or not numbered or follow(seq, first, prev, status)[1] != NO_SEQ:
            return False
        bounds = [price for price in (carried.bids_from, carried.asks_to) if price is not None]
        self._scale.ticks(np.concatenate([carried.bid_price, carried.ask_price, np.array(bounds)]))
        self._bids = DepthSide(self._scale.ticks(carried.bid_price)[0], carried.bid_qty.copy())
        self._asks = DepthSide(-self._scale.ticks(carried.ask_price)[0], carried.ask_qty.copy())
        status[[BIDS, ASKS]] = len(carried.bid_price), len(carried.ask_price)
        status[BIDS_FROM], status[ASKS_FROM] = self._bound(carried.bids_from), self._bound(carried.asks_to, sign=-1)
        self._status = status
        self._forget()
        return True

    def _bound(self, price: float | None, *, sign: int = 1) -> int:
        return ALL_KNOWN if price is None else sign * int(self._scale.ticks(np.array([price]))[0][0])

    def apply(self, events: DepthSlice, output: BookOutput) -> None:
        """Apply events in order, writing the book after each into `output`."""
        start = 0
        for stop in [*np.flatnonzero(events.snapshot).tolist(), len(events.seq)]:
            if stop > start:
                self._apply_differences(events.part(start, stop), output)
            if stop < len(events.seq):
                self._apply_snapshot(events.part(stop, stop + 1), output)
            start = stop + 1

    def _apply_differences(self, events: DepthSlice, output: BookOutput) -> None:
        ticks = self._ticks(events)
        self._numbered |= bool((events.first != NO_SEQ).any() or (events.prev != NO_SEQ).any())
        bids = self._bids.with_room(int(events.is_bid.sum()))
        asks = self._asks.with_room(int((~events.is_bid).sum()))
        apply_differences(
            (events.row, events.seq, events.first, events.prev, events.offsets, events.is_bid, ticks, events.qty),
            (bids.key, bids.qty, asks.key, asks.qty, self._status),
            (output.levels, output.state, output.fate, output.seq, output.expected),
            self._scale.ticks_per_unit,
        )
        self._bids, self._asks = bids.cut(self._status[BIDS]), asks.cut(self._status[ASKS])
        self._remember(events, output)

    def _apply_snapshot(self, event: DepthSlice, output: BookOutput) -> None:
        """Put a snapshot in place of the book, and play again what came before it but is newer.

        One that is not newer than the last update gives no row: that update has one, and its time is the right one.
        """
        row, seq, last = int(event.row[0]), int(event.seq[0]), int(self._status[LAST_SEQ])
        replay: list[DepthSlice] = []
        if NO_SEQ not in (seq, last) and seq <= last:
            replay = [part for run in self._remembered if len((part := run.newer_than(seq)).seq)]
            output.fate[row] = self._fate_of_late(seq, last, replay)
            if output.fate[row] != Fate.SNAPSHOT_CAUGHT_UP:
                return
        self._stand_on(event)
        for run in replay:
            run.row = np.arange(len(run.seq))
            self._apply_differences(run, BookOutput.of(len(run.seq)))
        sides = (self._bids.key, self._bids.qty, self._asks.key, self._asks.qty, self._status)
        output.seq[row] = seq
        output.state[row] = top_of_book(sides, output.levels, row, self._scale.ticks_per_unit)

    def _fate_of_late(self, seq: int, last: int, replay: list[DepthSlice]) -> Fate:
        """Tell what becomes of a snapshot that is not newer than the last update, given what would be played again."""
        if self.state == "whole":
            return Fate.SNAPSHOT_NOT_NEEDED
        joined = replay[0].follows_on(seq) if replay else seq == last
        return Fate.SNAPSHOT_CAUGHT_UP if joined else Fate.SNAPSHOT_TOO_OLD

    def _stand_on(self, event: DepthSlice) -> None:
        """Make the levels of a snapshot the book."""
        ticks, seq = self._ticks(event), int(event.seq[0])
        self._bids, self._asks = DepthSide.of(event, ticks, bids=True), DepthSide.of(event, ticks, bids=False)
        self._status[[BIDS, ASKS, LAST_SEQ, STATE, AFTER_SNAPSHOT, BIDS_FROM, ASKS_FROM]] = (
            len(self._bids.key),
            len(self._asks.key),
            seq,
            _WHOLE,
            seq != NO_SEQ,
            self._bids.outermost,
            self._asks.outermost,
        )
        self._forget()

    def _ticks(self, events: DepthSlice) -> NDArray[np.int64]:
        """Return prices in ticks, refining the scale, and the levels kept, where a price needs more decimals."""
        ticks, factor = self._scale.ticks(events.price)
        if factor > 1:
            self._bids.key *= factor
            self._asks.key *= factor
            bounds = self._status[[BIDS_FROM, ASKS_FROM]]
            self._status[[BIDS_FROM, ASKS_FROM]] = np.where(bounds == ALL_KNOWN, bounds, bounds * factor)
        return ticks

    def _remember(self, events: DepthSlice, output: BookOutput) -> None:
        """Keep the newest differences since the last gap or snapshot: a snapshot may have to be joined to them yet."""
        if (events.seq == NO_SEQ).any():
            self._forget()
            return
        gaps = np.flatnonzero(output.expected[events.row] != NO_SEQ)
        start = 0
        if len(gaps):
            self._forget()
            start = int(gaps[-1])
        # A duplicate that is kept too does no harm: on replay its update id is no longer new.
        self._remembered.append(events.part(max(start, len(events.seq) - REMEMBERED_EVENTS), len(events.seq)))
        self._remembered_events += len(self._remembered[-1].seq)
        while self._remembered_events - len(self._remembered[0].seq) >= REMEMBERED_EVENTS:
            self._remembered_events -= len(self._remembered.popleft().seq)

    def _forget(self) -> None:
        self._remembered.clear()
        self._remembered_events = 0
