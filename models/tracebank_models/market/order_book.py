"""Order books rebuilt from differences and snapshots, by the exchange's own sequence rules.

The rules (Binance's "How to manage a local order book correctly"): a snapshot with last update id L is joined by the
first difference with `U` <= L + 1 <= `u` (spot) or `U` <= L <= `u` (futures, which also name the id before, `pu`);
older ones are dropped; from then on each difference has to follow on the last (`U` = last `u` + 1, `pu` = last `u`).
One that overlaps the last misses nothing, since quantities are absolute. Anything else is a gap: updates were missed,
and the book is stale until a snapshot heals it. Events of a source without update ids are taken in file order.

The loops over levels are in `order_book_kernel`; reading files is not done here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.chunks import BOOK_LEVELS, DECODED, DepthEvents
from tracebank_models.market.order_book_kernel import (
    AFTER_SNAPSHOT,
    ASKS,
    BIDS,
    LAST_SEQ,
    NO_SEQ,
    REMOVED_AS_CROSSED,
    STATE,
    apply_differences,
    top_of_book,
)
from tracebank_models.market.price_ticks import PriceScale

STATES = ("partial", "whole", "stale")
"""What is known of a book, as stored in `state`; the kernel counts in these indices."""

REMEMBERED_EVENTS = 4096
"""Differences kept while a book is not whole, to be played again on a snapshot that arrives after them."""


class Fate(IntEnum):
    """What became of a depth event."""

    APPLIED = 0
    DUPLICATE = 1
    BEFORE_SNAPSHOT = 2
    SNAPSHOT_NOT_NEEDED = 3
    SNAPSHOT_TOO_OLD = 4


IGNORED_AS = {
    Fate.BEFORE_SNAPSHOT: "depth:before_snapshot",
    Fate.SNAPSHOT_NOT_NEEDED: "depth_snapshot:not_needed",
    Fate.SNAPSHOT_TOO_OLD: "depth_snapshot:too_old",
}
"""Kinds under which events that give no row are counted; duplicates are counted as such."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Updates of a book that are missing before an event."""

    venue: str
    symbol: str
    ts_ns: int
    """Time of the event after the gap, in ns since 1970."""
    expected_seq: int
    """The update id that should have come next (of futures: that the event should have followed on)."""
    seq: int
    """The first update id that came (of futures: that the event said it follows on)."""
    line: int


@dataclass(slots=True)
class BookRows:
    """What a batch of depth events made of the books."""

    rows: pl.DataFrame
    """One row for each applied event, in the schema `DECODED["book"]`."""
    fates: NDArray[np.int8]
    """A `Fate` for each event."""
    gaps: list[Gap]


@dataclass(slots=True)
class _Slice:
    """The events of one instrument within a batch; levels of event i are `offsets[i]:offsets[i+1]`."""

    row: NDArray[np.int64]
    """Index of each event in the batch."""
    seq: NDArray[np.int64]
    first: NDArray[np.int64]
    prev: NDArray[np.int64]
    snapshot: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    is_bid: NDArray[np.bool_]
    price: NDArray[np.float64]
    qty: NDArray[np.float64]

    def part(self, start: int, stop: int) -> _Slice:
        """Return the events from `start` up to `stop`."""
        levels = slice(self.offsets[start], self.offsets[stop])
        events = slice(start, stop)
        offsets = self.offsets[start : stop + 1] - self.offsets[start]
        keys = (self.row[events], self.seq[events], self.first[events], self.prev[events], self.snapshot[events])
        return _Slice(*keys, offsets, self.is_bid[levels], self.price[levels], self.qty[levels])


@dataclass(slots=True)
class _Output:
    """What the events of a batch leave, by event; several books write into it."""

    levels: NDArray[np.float64]
    """Shape (40, events): `BOOK_LEVELS`, NaN where not known."""
    state: NDArray[np.int8]
    fate: NDArray[np.int8]
    seq: NDArray[np.int64]
    expected: NDArray[np.int64]
    """The update id expected where there is a gap before the event, else `NO_SEQ`."""

    @staticmethod
    def of(events: int) -> _Output:
        """Return room for a number of events."""
        bytes_ = np.zeros((2, events), np.int8)
        return _Output(
            np.full((len(BOOK_LEVELS), events), np.nan), bytes_[0], bytes_[1], *np.full((2, events), NO_SEQ, np.int64)
        )


@dataclass(slots=True)
class _Side:
    """Levels of one side, worst to best: keys are price ticks, negated on the ask side so that both sides ascend."""

    key: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    qty: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def with_room(self, levels: int) -> _Side:
        """Return a copy with room for more levels at the end."""
        return _Side(np.append(self.key, np.zeros(levels, np.int64)), np.append(self.qty, np.zeros(levels)))

    def cut(self, levels: int) -> _Side:
        """Return the first levels."""
        return _Side(self.key[:levels].copy(), self.qty[:levels].copy())


class OrderBook:
    """The book of one instrument. Prices are whole ticks inside; levels beyond those known are simply not there."""

    def __init__(self) -> None:
        self._scale = PriceScale()
        self._bids, self._asks = _Side(), _Side()
        self._status = np.array([0, 0, NO_SEQ, 0, 0, 0], np.int64)
        self._remembered: list[_Slice] = []

    @property
    def state(self) -> str:
        """What is known of the book: "partial", "whole" or "stale"."""
        return STATES[self._status[STATE]]

    @property
    def removed_as_crossed(self) -> int:
        """Levels removed so far since a newer update on the other side had passed them.

        An exchange's book never crosses, so in a book that is not whole a level on the other side of a newer one is no
        longer there. A whole book is left as the exchange sent it.
        """
        return int(self._status[REMOVED_AS_CROSSED])

    def apply(self, events: _Slice, output: _Output) -> None:
        """Apply events in order, writing the book after each into `output`."""
        start = 0
        for stop in [*np.flatnonzero(events.snapshot).tolist(), len(events.seq)]:
            if stop > start:
                self._apply_differences(events.part(start, stop), output)
            if stop < len(events.seq):
                self._apply_snapshot(events.part(stop, stop + 1), output)
            start = stop + 1

    def _apply_differences(self, events: _Slice, output: _Output) -> None:
        ticks = self._ticks(events)
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

    def _apply_snapshot(self, event: _Slice, output: _Output) -> None:
        """Put a snapshot in place of the book, and play again what came before it but is newer."""
        row, seq, last = int(event.row[0]), int(event.seq[0]), int(self._status[LAST_SEQ])
        replay: list[_Slice] = []
        if NO_SEQ not in (seq, last) and seq < last:
            if STATES[self._status[STATE]] == "whole":
                output.fate[row] = Fate.SNAPSHOT_NOT_NEEDED
                return
            replay = [part for run in self._remembered if len((part := _newer(run, seq)).seq)]
            if not replay or not _joins(replay[0], seq):
                output.fate[row] = Fate.SNAPSHOT_TOO_OLD
                return
        elif seq == last != NO_SEQ and STATES[self._status[STATE]] == "whole":
            output.fate[row] = Fate.SNAPSHOT_NOT_NEEDED
            return
        ticks = self._ticks(event)
        self._bids, self._asks = _sorted_side(event, ticks, bids=True), _sorted_side(event, ticks, bids=False)
        self._status[[BIDS, ASKS, LAST_SEQ, STATE, AFTER_SNAPSHOT]] = (
            len(self._bids.key),
            len(self._asks.key),
            seq,
            STATES.index("whole"),
            seq != NO_SEQ,
        )
        self._remembered = []
        for run in replay:
            run.row = np.arange(len(run.seq))
            self._apply_differences(run, _Output.of(len(run.seq)))
        output.state[row] = self._status[STATE]
        output.seq[row] = self._status[LAST_SEQ]
        sides = (self._bids.key, self._bids.qty, self._asks.key, self._asks.qty, self._status)
        top_of_book(sides, output.levels, row, self._scale.ticks_per_unit)

    def _ticks(self, events: _Slice) -> NDArray[np.int64]:
        """Return prices in ticks, refining the scale, and the levels kept, where a price needs more decimals."""
        ticks, factor = self._scale.ticks(events.price)
        if factor > 1:
            self._bids.key *= factor
            self._asks.key *= factor
        return ticks

    def _remember(self, events: _Slice, output: _Output) -> None:
        """Keep the differences applied since the last gap, while a snapshot may still have to be joined to them."""
        if STATES[self._status[STATE]] == "whole" or (events.seq == NO_SEQ).any():
            self._remembered = []
            return
        gaps = np.flatnonzero(output.expected[events.row] != NO_SEQ)
        start = 0
        if len(gaps):
            self._remembered, start = [], int(gaps[-1])
        # A duplicate that is kept too does no harm: on replay its update id is no longer new.
        self._remembered.append(events.part(max(start, len(events.seq) - REMEMBERED_EVENTS), len(events.seq)))
        while sum(len(run.seq) for run in self._remembered[1:]) >= REMEMBERED_EVENTS:
            del self._remembered[0]


class OrderBooks:
    """The books of any number of instruments, fed with batches of depth events in file order."""

    def __init__(self) -> None:
        self._books: dict[tuple[str, str], OrderBook] = {}

    def __getitem__(self, instrument: tuple[str, str]) -> OrderBook:
        """Return the book of a venue and symbol that has had events."""
        return self._books[instrument]

    @property
    def removed_as_crossed(self) -> int:
        """Levels removed so far from books that were not whole; see `OrderBook.removed_as_crossed`."""
        return sum(book.removed_as_crossed for book in self._books.values())

    def apply(self, depth: DepthEvents) -> BookRows:
        """Apply depth events, in file order, to the books of their instruments.

        Args:
            depth: Events of any instruments.

        Returns:
            The book after each event that was applied, each event's fate, and the gaps.
        """
        output = _Output.of(len(depth.events))
        for instrument, events in _by_instrument(depth):
            self._books.setdefault(instrument, OrderBook()).apply(events, output)
        gaps = list(_gaps(depth.events, output))
        seq = pl.Series("seq", output.seq)
        rows = depth.events.with_columns(
            pl.when(seq != NO_SEQ).then(seq).alias("seq"),
            pl.Series("state", STATES, pl.String).gather(output.state),
        )
        levels = pl.DataFrame([pl.Series(name, output.levels[at]) for at, name in enumerate(BOOK_LEVELS)])
        rows = rows.hstack(levels.fill_nan(None)).select(list(DECODED["book"]))
        applied = output.fate == Fate.APPLIED
        return BookRows(rows if applied.all() else rows.filter(pl.Series(applied)), output.fate, gaps)


def _by_instrument(depth: DepthEvents) -> Iterator[tuple[tuple[str, str], _Slice]]:
    """Yield the events of each instrument."""
    events = depth.events
    names = events.select("venue", "symbol").unique(maintain_order=True).with_row_index("book")
    codes = events.join(names, on=["venue", "symbol"], how="left", maintain_order="left")["book"].to_numpy()
    columns = [_integers(events[name]) for name in ("seq", "first_seq", "prev_seq")]
    snapshot = events["is_snapshot"].to_numpy()
    counts = np.diff(depth.offsets)
    level_codes = np.repeat(codes, counts)
    for code, venue, symbol in names.iter_rows():
        row, levels = np.flatnonzero(codes == code), level_codes == code
        chosen = slice(None) if len(names) == 1 else levels
        offsets = np.concatenate(([0], np.cumsum(counts[row])))
        seq, first, prev = (column[row] for column in columns)
        sides = (depth.is_bid[chosen], depth.price[chosen], depth.qty[chosen])
        yield (venue, symbol), _Slice(row, seq, first, prev, snapshot[row], offsets, *sides)


def _integers(column: pl.Series) -> NDArray[np.int64]:
    return column.fill_null(NO_SEQ).to_numpy()


def _newer(run: _Slice, seq: int) -> _Slice:
    """Return the events of a run that a snapshot with a last update id does not contain yet."""
    return run.part(int(np.searchsorted(np.maximum.accumulate(run.seq), seq, side="right")), len(run.seq))


def _joins(run: _Slice, seq: int) -> bool:
    """Tell whether the first event of a run follows on a snapshot without a gap."""
    if run.prev[0] != NO_SEQ:
        return bool(run.first[0] <= seq or run.prev[0] <= seq)
    return bool(run.first[0] <= seq + 1)


def _sorted_side(event: _Slice, ticks: NDArray[np.int64], *, bids: bool) -> _Side:
    """Return one side of a snapshot; of a price that is there twice the last counts."""
    chosen = (event.is_bid == bids) & (event.qty > 0)
    key = ticks[chosen][::-1] if bids else -ticks[chosen][::-1]
    key, index = np.unique(key, return_index=True)
    return _Side(key, event.qty[chosen][::-1][index])


def _gaps(events: pl.DataFrame, output: _Output) -> Iterator[Gap]:
    places = np.flatnonzero(output.expected != NO_SEQ)
    columns = events.select(
        "venue",
        "symbol",
        pl.col("ts").dt.timestamp("ns").alias("ts_ns"),
        pl.coalesce("prev_seq", "first_seq", "seq").alias("got"),
        "line",
    )[places]
    for (venue, symbol, ts_ns, got, line), expected in zip(
        columns.iter_rows(), output.expected[places].tolist(), strict=True
    ):
        yield Gap(venue, symbol, ts_ns, expected, got, line)
