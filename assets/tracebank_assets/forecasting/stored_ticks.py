"""Ticks of a stored day: rows of `series.book` of one venue, broken where updates were lost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
from sqlalchemy import select

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank_schemas.ingest import SequenceGap
from tracebank_schemas.market import BOOK

if TYPE_CHECKING:
    from tracebank_models.order_book_features.reading import Clock
    from tracebank_models.order_book_features.ticks import Ticks


def stored_ticks(stores: Stores, day: date, symbol: str, venue: str = "", clock: "Clock | None" = None) -> "Ticks":
    """The whole rows of one book's day, in the order of a clock.

    Args:
        stores: where rows are.
        day: UTC.
        symbol: of the instrument.
        venue: of the book; empty: the one with the most rows.
        clock: that decisions are made on; None: when rows were received, or the exchange's where that is not known.

    Raises:
        dg.Failure: no book of that day, symbol and venue is stored.
        ValueError: what is stored is no book to learn from; the line says why.
    """
    from tracebank_models.order_book_features.reading import read_ticks

    book = stores.series.read(BOOK, partition={"day": day, "symbol": symbol})
    counts = dict(book["venue"].value_counts(sort=True).iter_rows())
    venue = venue or next(iter(counts), "")
    if venue not in counts:
        raise dg.Failure(
            f"venue: {venue or 'none'!r} has no book of {symbol} on {day} in series.book; "
            f"there is: {', '.join(counts) or 'none; materialise market/book first'}"
        )
    book = book.filter(venue=venue)
    usual: Clock = "exchange" if book["local_ts"].null_count() else "local"
    return read_ticks(book, gaps_of(stores, day, symbol, venue), clock or usual)


@dataclass(frozen=True, slots=True)
class DayOfTicks:
    """The ticks of a day and symbol, of each venue and clock read once."""

    stores: Stores
    day: date
    symbol: str
    _read: "dict[tuple[str, str], Ticks]" = field(default_factory=dict)

    def of(self, model: Mapping[str, Any]) -> "Ticks":
        """The ticks that a row of `forecast_models` is shown: of its venue, on its clock."""
        key = model["venue"], model["clock"]
        if key not in self._read:
            self._read[key] = stored_ticks(self.stores, self.day, self.symbol, *key)
        return self._read[key]


def moment(time: Any) -> datetime:
    """A time in ns since 1970 as a datetime, in microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time) // 1_000)


def gaps_of(stores: Stores, day: date, symbol: str, venue: str) -> pl.DataFrame:
    """Updates that the source skipped: `venue`, `symbol` and `got_seq`."""
    query = select(SequenceGap.venue, SequenceGap.symbol, SequenceGap.got_seq).where(
        SequenceGap.day == day, SequenceGap.symbol == symbol, SequenceGap.venue == venue
    )
    with stores.relational.reading() as session:
        rows = [tuple(row) for row in session.execute(query)]
    return pl.DataFrame(rows, {"venue": pl.String, "symbol": pl.String, "got_seq": pl.Int64}, orient="row")


def newest_book(settings: Settings, symbol: str) -> date:
    """The last day with a stored book of a symbol.

    Raises:
        ValueError: there is none.
    """
    days = [key["day"] for key, rows in open_series(settings).partitions(BOOK) if key["symbol"] == symbol and rows]
    if not days:
        raise ValueError(f"symbol: {symbol!r} has no book in series.book; 'tracebank ingest' stores one")
    newest = max(days)
    assert isinstance(newest, date)
    return newest
