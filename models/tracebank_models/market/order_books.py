"""The books of any number of instruments, fed with batches of depth events in file order, for good or for one day.

Books of a day are opened with what an earlier day left, where the update ids join, and what they are at its end is
kept for the next. How one book follows its events is the business of `order_book`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.book_arrays import BookOutput, DepthSlice
from tracebank_models.market.carried_book import CarriedBook
from tracebank_models.market.chunks import BOOK_LEVELS, DECODED, DepthEvents
from tracebank_models.market.order_book import STATES, Fate, OrderBook
from tracebank_models.market.order_book_kernel import NO_SEQ

_DAY_NS = 86_400 * 10**9
_Instrument = tuple[str, str]


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


class OrderBooks:
    """The books of any number of instruments."""

    def __init__(self, day: date | None = None, opening: Mapping[_Instrument, CarriedBook] | None = None) -> None:
        """Begin with no books.

        Args:
            day: The day (UTC) that the rows are for; events around it are taken too.
            opening: What earlier days left, by venue and symbol; a book goes on with it if the day's first update that
                is newer follows on it.
        """
        self._books: dict[_Instrument, OrderBook] = {}
        self._day = None if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9
        self._opening = dict(opening or {}) if day is not None else {}
        self.opened: set[_Instrument] = set()
        """Books that went on with what an earlier day left."""
        self._of_day: set[_Instrument] = set()
        self._closed: dict[_Instrument, CarriedBook | None] = {}

    def __getitem__(self, instrument: _Instrument) -> OrderBook:
        """Return the book of a venue and symbol that has had events."""
        return self._books[instrument]

    @property
    def removed_as_crossed(self) -> int:
        """Levels removed so far from books that were not whole; see `OrderBook.removed_as_crossed`."""
        return sum(book.removed_as_crossed for book in self._books.values())

    @property
    def closing(self) -> dict[_Instrument, CarriedBook]:
        """The books with events on the day, as they are before the first event of a later one, by venue and symbol."""
        left = {each: self._books[each].carried() for each in self._of_day} | self._closed
        return {
            each: book
            for each, book in sorted(left.items(), key=lambda pair: pair[0])
            if book is not None and each in self._of_day
        }

    def apply(self, depth: DepthEvents) -> BookRows:
        """Apply depth events, in file order, to the books of their instruments.

        Args:
            depth: Events of any instruments.

        Returns:
            The book after each event that was applied, each event's fate, and the gaps.
        """
        output = BookOutput.of(len(depth.events))
        for instrument, events in _by_instrument(depth):
            book = self._books.setdefault(instrument, OrderBook())
            for part in self._around_midnight(instrument, book, events):
                book.apply(part, output)
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

    def _around_midnight(self, instrument: _Instrument, book: OrderBook, events: DepthSlice) -> Iterator[DepthSlice]:
        """Yield the events in parts; between them the book is opened and closed."""
        if self._day is None:
            yield events
            return
        start, stop = 0, len(events.ts)
        if ((events.ts >= self._day) & (events.ts < self._day + _DAY_NS)).any():
            self._of_day.add(instrument)
        if (carried := self._opening.get(instrument)) is not None:
            decisive = (events.ts >= self._day) & (events.snapshot | (events.seq > carried.seq))
            if decisive.any():
                start = int(decisive.argmax())
                yield events.part(0, start)
                if book.open(carried, events.part(start, start + 1)):
                    self.opened.add(instrument)
                del self._opening[instrument]
        later = start + np.flatnonzero(events.ts[start:] >= self._day + _DAY_NS)
        if len(later) and instrument not in self._closed:
            yield events.part(start, int(later[0]))
            self._closed[instrument] = book.carried()
            start = int(later[0])
        yield events.part(start, stop)


def _by_instrument(depth: DepthEvents) -> Iterator[tuple[tuple[str, str], DepthSlice]]:
    """Yield the events of each instrument."""
    events = depth.events
    names = events.select("venue", "symbol").unique(maintain_order=True).with_row_index("book")
    codes = events.join(names, on=["venue", "symbol"], how="left", maintain_order="left")["book"].to_numpy()
    columns = [events["ts"].dt.timestamp("ns").to_numpy()]
    columns += [_integers(events[name]) for name in ("seq", "first_seq", "prev_seq")]
    snapshot = events["is_snapshot"].to_numpy()
    counts = np.diff(depth.offsets)
    level_codes = np.repeat(codes, counts)
    for code, venue, symbol in names.iter_rows():
        row, levels = np.flatnonzero(codes == code), level_codes == code
        chosen = slice(None) if len(names) == 1 else levels
        offsets = np.concatenate(([0], np.cumsum(counts[row])))
        ts, seq, first, prev = (column[row] for column in columns)
        sides = (depth.is_bid[chosen], depth.price[chosen], depth.qty[chosen])
        yield (venue, symbol), DepthSlice(row, ts, seq, first, prev, snapshot[row], offsets, *sides)


def _integers(column: pl.Series) -> NDArray[np.int64]:
    return column.fill_null(NO_SEQ).to_numpy()


def _gaps(events: pl.DataFrame, output: BookOutput) -> Iterator[Gap]:
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
