"""Files to rows ready to be stored: `scan` tells what a file holds, `load` gives its rows and accounts for each line.

A load reads its files one after the other in the order of their first times, removes duplicates across them and carries
the order books from one to the next. What a file's bytes mean is the readers' business, where rows go the stores'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.accounting import Accounting, LineAccounting, with_lines
from tracebank_models.market.chunks import TABLES, DecodedChunk, DepthEvents, RejectedLine, Source
from tracebank_models.market.duplicates import CoveredTimes, SeenIds
from tracebank_models.market.file_scan import FileScan, ObservedInstrument, TooManyBadLines, lines_of, scan
from tracebank_models.market.formats import reader, sniff_format, source_of
from tracebank_models.market.order_book import IGNORED_AS, Fate
from tracebank_models.market.order_books import Gap, OrderBooks

__all__ = [
    "Accounting",
    "FileScan",
    "Gap",
    "LineAccounting",
    "LoadedChunk",
    "ObservedInstrument",
    "TooManyBadLines",
    "load",
    "scan",
    "sniff_format",
    "source_of",
]

_PROBE_LINES = 64
_PROBE_CHUNKS = 64


@dataclass(slots=True)
class LoadedChunk:
    """Rows to store, from the next lines of one file."""

    path: Path
    lines: int
    batches: dict[str, pl.DataFrame] = field(default_factory=dict)
    """Non-empty frames by table, in the stored columns."""
    gaps: list[Gap] = field(default_factory=list)
    rejected: list[RejectedLine] = field(default_factory=list)


def load(
    sources: Iterable[Source],
    *,
    day: date | None = None,
    symbol: str | None = None,
    tables: Iterable[str] = tuple(TABLES),
    chunk_lines: int = 65536,
    accounting: Accounting | None = None,
    books: OrderBooks | None = None,
) -> Iterator[LoadedChunk]:
    """Yield the rows of files, without duplicates and with order books built, chunk by chunk.

    Args:
        sources: The files.
        day: Take only rows whose time is on this day (UTC); the books are built from all events.
        symbol: Take only this symbol.
        tables: Tables wanted, of `TABLES`; lines for others are read past.
        chunk_lines: Lines decoded at a time.
        accounting: Receives what became of each line that is of the day, symbol and tables, and of each of none.
        books: Books to go on with, and to be asked for what they are at the end.

    Raises:
        ValueError: A table is not known.
        UnreadableFileError: The packed data of a file is cut short or corrupt.
        OSError: A file cannot be opened or read.
    """
    wanted = frozenset(tables)
    if unknown := wanted - TABLES.keys():
        raise ValueError(f"tables: {', '.join(sorted(unknown))} is not known: of {', '.join(TABLES)}")
    loading = _Load(
        day,
        symbol,
        wanted,
        Accounting() if accounting is None else accounting,
        OrderBooks() if books is None else books,
    )
    for source in in_time_order(sources):
        for chunk in reader(source.format).read(source, chunk_lines=chunk_lines):
            yield loading.take(source.path, chunk)


def in_time_order(sources: Iterable[Source]) -> list[Source]:
    """Return files in the order of their first times, those without one last, ties by name."""
    times = [(first_time(source), source) for source in sources]
    return [source for _, source in sorted(times, key=lambda pair: (pair[0] is None, pair[0] or 0, pair[1].path))]


def first_time(source: Source) -> int | None:
    """Return the earliest time near the start of a file in ns since 1970, or None where there is none."""
    with closing(reader(source.format).read(source, chunk_lines=_PROBE_LINES)) as chunks:  # type: ignore[type-var]
        for chunk in islice(chunks, _PROBE_CHUNKS):
            frames = [*chunk.frames.values(), *([] if chunk.depth is None else [chunk.depth.events])]
            times = [frame["ts"].dt.timestamp("ns").min() for frame in frames if len(frame)]
            if times:
                return int(min(times))  # type: ignore[type-var, arg-type]
    return None


class _Load:
    """What a load knows across chunks and files."""

    def __init__(
        self,
        day: date | None,
        symbol: str | None,
        tables: frozenset[str],
        accounting: Accounting,
        books: OrderBooks,
    ) -> None:
        self._day = day
        self._symbol = symbol
        self._tables = tables
        self._accounting = accounting
        self._seen = SeenIds()
        self._covered = CoveredTimes()
        self._books = books
        self._aggregates: dict[tuple[str, str], bool] = {}

    def take(self, path: Path, chunk: DecodedChunk) -> LoadedChunk:
        """Turn a decoded chunk into rows to store."""
        loaded = LoadedChunk(path, chunk.lines, rejected=chunk.rejected)
        self._accounting.add_file_lines(path, chunk.lines)
        self._accounting.add_rejected(path, len(chunk.rejected))
        for kind, lines in chunk.ignored.items():
            self._accounting.add_ignored(path, kind, lines)
        for table in TABLES:
            if table in self._tables:
                self._take_table(loaded, chunk, table)
        return loaded

    def _take_table(self, loaded: LoadedChunk, chunk: DecodedChunk, table: str) -> None:
        rows = []
        if table in chunk.frames:
            rows.append(self._rows(loaded.path, table, with_lines(chunk.frames[table]), chunk.has_ids))
        if table in chunk.companions:
            counted = with_lines(chunk.companions[table], elsewhere=True)
            rows.append(self._rows(loaded.path, table, counted, chunk.has_ids))
        if table == "book" and chunk.depth is not None:
            rows.append(self._book(loaded, chunk.depth))
        filled = [part for part in rows if len(part)]
        if filled:
            loaded.batches[table] = pl.concat(filled)

    def _rows(self, path: Path, table: str, frame: pl.DataFrame, has_ids: bool) -> pl.DataFrame:
        """Account for decoded rows, and return those to store."""
        asked = frame if self._symbol is None else frame.filter(pl.col("symbol") == self._symbol)
        asked = self._of_day(asked)
        if not len(asked):
            return pl.DataFrame()
        fates = np.zeros(len(asked), np.uint32)
        if has_ids:
            fates[self._seen.repeats(table, asked)] = 1
        if table == "trades":
            fates[self._covered.repeats(path, asked, has_ids)] = 1
            fates[self._counted_already(asked)] = 2
        fate = pl.Series("fate", ["stored", "duplicate", "ignored"]).gather(fates)
        self._accounting.add_rows(path, table, asked.with_columns(fate))
        return (asked.filter(pl.Series(fates == 0)) if fates.any() else asked).select(list(TABLES[table]))

    def _counted_already(self, trades: pl.DataFrame) -> NDArray[np.bool_]:
        """Tell which trades would count volume twice: of single and aggregate ones, the kind that was met second."""
        kinds = trades.select("venue", "symbol", pl.col("kind").str.starts_with("aggTrade").alias("aggregate"))
        found = list(kinds.unique(maintain_order=True).iter_rows())
        for venue, symbol, aggregate in found:
            self._aggregates.setdefault((venue, symbol), aggregate)
        second = [row for row in found if self._aggregates[row[0], row[1]] != row[2]]
        if not second:
            return np.zeros(len(trades), np.bool_)
        others = pl.DataFrame(second, schema=kinds.schema, orient="row").with_columns(pl.lit(True).alias("second"))
        joined = kinds.join(others, on=kinds.columns, how="left", maintain_order="left")
        return joined["second"].fill_null(False).to_numpy()

    def _book(self, loaded: LoadedChunk, depth: DepthEvents) -> pl.DataFrame:
        """Apply depth events to the books, account for them, and return the rows to store."""
        if self._symbol is not None:
            depth = _of_symbol(depth, self._symbol)
        if not len(depth.events):
            return pl.DataFrame()
        built = self._books.apply(depth)
        fates = pl.Series("fate", built.fates)
        names = {Fate.APPLIED: "stored", Fate.DUPLICATE: "duplicate"}
        records = depth.events.select(
            "ts",
            "venue",
            "symbol",
            fates.replace_strict({int(fate): IGNORED_AS.get(fate) for fate in Fate}, return_dtype=pl.String).alias(
                "as"
            ),
            "kind",
            fates.replace_strict({int(fate): names.get(fate, "ignored") for fate in Fate}, return_dtype=pl.String),
            lines_of(depth),
        ).with_columns(pl.coalesce("as", "kind").alias("kind"))
        self._accounting.add_rows(loaded.path, "book", self._of_day(records))
        loaded.gaps += [gap for gap in built.gaps if self._day is None or _day_of(gap.ts_ns) == self._day]
        return self._of_day(built.rows).select(list(TABLES["book"]))

    def _of_day(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame if self._day is None else frame.filter(pl.col("ts").dt.date() == self._day)


def _day_of(ts_ns: int) -> date:
    return date.fromordinal(date(1970, 1, 1).toordinal() + ts_ns // (86_400 * 10**9))


def _of_symbol(depth: DepthEvents, symbol: str) -> DepthEvents:
    """Return the events of one symbol."""
    chosen = (depth.events["symbol"] == symbol).to_numpy()
    if chosen.all():
        return depth
    counts = np.diff(depth.offsets)
    levels = np.repeat(chosen, counts)
    offsets = np.concatenate(([0], np.cumsum(counts[chosen])))
    lines = None if depth.lines is None else depth.lines[chosen]
    events = depth.events.filter(pl.Series(chosen))
    return DepthEvents(events, offsets, depth.is_bid[levels], depth.price[levels], depth.qty[levels], lines)
