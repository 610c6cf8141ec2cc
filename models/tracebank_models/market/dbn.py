"""Databento's binary files (DBN, plain or zstd) as trades, quotes, books and bars, through Databento's own package.

What their records mean for our tables belongs here; decoding them and naming instruments is the package `databento`, an
extra (`pip install 'tracebank[databento]'`). Source: databento.com/docs, "Schemas and data formats".
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from zstandard import ZstdError

from tracebank_models.market.cells import conform, without_nothing
from tracebank_models.market.chunks import BOOK_DEPTH, DecodedChunk, RejectedLine, Source
from tracebank_models.market.codecs import UnreadableFileError
from tracebank_models.market.timestamps import EARLIEST_NS, LATEST_NS

_MAGIC = b"DBN"
_UNDEFINED_PRICE = 2**63 - 1
_PER_UNIT = 1e9
_UTC_NS = pl.Datetime("ns", "UTC")
_SIDES = {"B": "buy", "A": "sell"}
_BAR_SECONDS = {"ohlcv-1s": 1, "ohlcv-1m": 60, "ohlcv-1h": 3600, "ohlcv-1d": 86400}
SCHEMAS = ("trades", "mbp-1", "tbbo", "mbp-10", *_BAR_SECONDS)
"""Schemas that are read."""


def matches(head: list[bytes], path: Path) -> bool:  # noqa: ARG001 - every reader is asked the same way
    """Tell whether a file's unpacked content begins as DBN does.

    Args:
        head: The first lines of it.
        path: The file; not looked at.
    """
    return bool(head) and head[0].startswith(_MAGIC)


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read a DBN file of one schema.

    A line is a record. Kinds in the accounting are Databento's schemas. `ts` is `ts_event`, `local_ts` is `ts_recv`
    (when Databento received it), the venue is the publisher's and the symbol that of the file's metadata. `seq` numbers
    records: venues give one sequence number to several. Trades among `mbp-1` and `mbp-10` are trades, the other records
    quotes or books; a record of `tbbo` is a trade and the quote before it. A price that is not defined is null.

    Args:
        source: The file; its venue, where given, is that of all rows.
        chunk_lines: Most records per chunk.

    Yields:
        Chunks with trades, quotes, book rows or bars.

    Raises:
        ValueError: The package is not installed, or the file's schema is not read.
        UnreadableFileError: The file is cut short or corrupt.
    """
    try:
        databento = import_module("databento")
    except ModuleNotFoundError as error:
        message = f"{source.path}: DBN is read by Databento's package: pip install 'tracebank[databento]'"
        raise ValueError(message) from error
    with _readable(source.path, databento):
        store = databento.DBNStore.from_file(source.path)
        names = import_module("databento.common.symbology").InstrumentMap()
        names.insert_metadata(store.metadata)
    schema = str(store.schema)
    if schema not in SCHEMAS:
        raise ValueError(f"{source.path}: DBN schema {schema!r} is not read: one of {', '.join(SCHEMAS)}")
    blocks, done = store.to_ndarray(count=chunk_lines), 0
    while True:
        with _readable(source.path, databento):
            records = next(blocks, None)
        if records is None:
            return
        yield _chunk(source, schema, names, records, done)
        done += len(records)


@contextmanager
def _readable(path: Path, databento: Any) -> Iterator[None]:
    """The package only warns where a file is cut short within a record."""
    warning = import_module("databento.common.error").BentoWarning
    errors = (databento.BentoError, warning, import_module("databento_dbn").DBNError, ZstdError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", warning)
            yield
    except (*errors, ValueError) as error:
        raise UnreadableFileError(f"{path}: the DBN file is cut short or corrupt: {error}") from error


def _chunk(source: Source, schema: str, names: Any, records: NDArray[Any], done: int) -> DecodedChunk:
    frame = _frame(records).with_columns(line=pl.int_range(done + 1, done + 1 + pl.len(), dtype=pl.Int64))
    rows, rejected = _timed(frame)
    rows = _named(source, names, rows).with_columns(kind=pl.lit(schema))
    chunk = DecodedChunk(len(records), rejected=rejected, has_ids=schema in _BAR_SECONDS)
    if schema in _BAR_SECONDS:
        prices = {name: _price(name) for name in ("open", "high", "low", "close")}
        unsaid = {"vwap": None, "trades": None, "mean_spread": None}
        chunk.frames["bars"] = conform("bars", rows, **prices, **unsaid, interval_s=pl.lit(_BAR_SECONDS[schema]))
        return chunk
    traded = without_nothing(rows.filter(pl.col("action") == "T"), "size", schema, chunk.ignored)
    unpriced = traded.filter(pl.col("price") == _UNDEFINED_PRICE)["line"]
    chunk.rejected += [RejectedLine(line, "price: it is not defined", "") for line in unpriced]
    traded = traded.filter(pl.col("price") != _UNDEFINED_PRICE)
    side = pl.col("side").replace_strict(_SIDES, default="unknown", return_dtype=pl.String)
    seq = pl.col("line")
    chunk.frames["trades"] = conform("trades", traded, seq=seq, price=_price("price"), qty=pl.col("size"), side=side)
    if schema == "tbbo":
        chunk.companions["quotes"] = conform("quotes", traded, seq=seq, **_quote())
    elif schema == "mbp-1":
        chunk.frames["quotes"] = conform("quotes", rows.filter(pl.col("action") != "T"), seq=seq, **_quote())
    elif schema == "mbp-10":
        others = rows.filter(pl.col("action") != "T")
        chunk.frames["book"] = conform("book", others, seq=seq, state="whole", **_levels())
    return chunk


def _frame(records: NDArray[Any]) -> pl.DataFrame:
    """Columns of a structured array; letters as text."""
    columns = {name: np.ascontiguousarray(records[name]) for name in records.dtype.names or ()}
    return pl.DataFrame({n: c.astype(str) if c.dtype.kind == "S" else c for n, c in columns.items()})


def _timed(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[RejectedLine]]:
    """Give rows their times, and reject those without any from 2000 to 2099."""
    event, received = pl.col("ts_event"), pl.col("ts_recv") if "ts_recv" in frame.columns else pl.lit(None, pl.UInt64)
    known = [pl.when((time >= EARLIEST_NS) & (time < LATEST_NS)).then(time).cast(_UTC_NS) for time in (event, received)]
    timed = frame.with_columns(
        ts=pl.coalesce(known),
        local_ts=known[1],
        clock=pl.when(known[0].is_not_null()).then(pl.lit("exchange")).otherwise(pl.lit("local")),
    )
    bad = timed.filter(pl.col("ts").is_null()).select("line", "ts_event")
    reason = "ts_event: {} is not allowed: a time from 2000 to 2099 in ns"
    rejected = [RejectedLine(line, reason.format(time), "") for line, time in bad.iter_rows()]
    return timed.filter(pl.col("ts").is_not_null()), rejected


def _named(source: Source, names: Any, rows: pl.DataFrame) -> pl.DataFrame:
    """Give rows venue and symbol; an instrument that the metadata do not name keeps its number."""
    day = pl.coalesce("local_ts", "ts").dt.date().alias("day")
    keys = rows.select("publisher_id", "instrument_id", day).unique(maintain_order=True)
    publishers = import_module("databento.common.publishers").Publisher
    venues = {number: str(publishers.from_int(number).venue) for number in keys["publisher_id"].unique()}
    symbols = [
        names.resolve(number, on) or str(number) for number, on in keys.select("instrument_id", "day").iter_rows()
    ]
    told = keys.with_columns(
        venue=pl.lit(source.venue)
        if source.venue
        else pl.col("publisher_id").replace_strict(venues, return_dtype=pl.String),
        symbol=pl.Series(symbols, dtype=pl.String),
    )
    return rows.with_columns(day).join(told, on=["publisher_id", "instrument_id", "day"], maintain_order="left")


def _price(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != _UNDEFINED_PRICE).then(pl.col(name) / _PER_UNIT)


def _side(side: str, level: int) -> dict[str, pl.Expr]:
    """Price and quantity of one level; null where nothing rests."""
    price, size = f"{side}_px_{level:02}", f"{side}_sz_{level:02}"
    return {"price": _price(price), "qty": pl.when(pl.col(price) != _UNDEFINED_PRICE).then(pl.col(size))}


def _quote() -> dict[str, pl.Expr]:
    return {f"{side}_{what}": value for side in ("bid", "ask") for what, value in _side(side, 0).items()}


def _levels() -> dict[str, pl.Expr]:
    return {
        f"{side}_{what}_{level}": value
        for side in ("bid", "ask")
        for level in range(BOOK_DEPTH)
        for what, value in _side(side, level).items()
    }
