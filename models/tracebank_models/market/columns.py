"""Files in our own columns, Parquet or CSV: one of the tables trades, quotes and book, told by its column names.

Which columns there must be, and the types they may have, belongs here; what their cells may hold is `cells`. Parquet is
streamed within its row groups, so that memory is bounded by the rows of a chunk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from tracebank_models.market.cells import (
    Field,
    check,
    choice,
    conform,
    epoch_time,
    integer,
    iso_time,
    optional,
    price,
    quantity,
    resting,
    text,
    time_of,
    whole,
    without_nothing,
)
from tracebank_models.market.chunks import BOOK, QUOTES, TRADES, DecodedChunk, RejectedLine, Source
from tracebank_models.market.codecs import PARQUET_MAGIC, read_head
from tracebank_models.market.csv_blocks import MAX_TEXT, decode_block, numbered_blocks
from tracebank_models.market.parquet import parquet_batches, parquet_file

TABLES = {"book": BOOK, "quotes": QUOTES, "trades": TRADES}
OPTIONAL = ("local_ts", "clock", "seq", "state")
"""Columns that a file may lack: then there is no local time, the clock is the exchange's, rows are numbered, and every
book row is whole. `venue` and `symbol` may be lacking where the source names them."""

_TELLING = {"book": "bid_price_0", "quotes": "bid_price", "trades": "price"}
_UNITS = ("ms", "us", "ns")
_TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)
_UNNAMED_INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+|")
"""How pandas names the index of a frame when it writes one that has no name; in CSV the header is empty."""
_OWN = frozenset(name for columns in TABLES.values() for name in columns)
_WORDS = {
    "clock": ("exchange", "local"),
    "side": ("buy", "sell", "unknown"),
    "state": ("whole", "partial", "stale"),
    "venue": (),
    "symbol": (),
}


def matches(head: list[bytes], path: Path) -> bool:  # noqa: ARG001 - every reader is asked the same way
    """Tell whether a file is Parquet, or CSV whose header names `ts` and a column of one of the tables.

    Args:
        head: The first lines of its unpacked content.
        path: The file; not looked at.
    """
    if not head:
        return False
    names = _csv_names(head)
    return head[0].startswith(PARQUET_MAGIC) or ("ts" in names and _told(names) is not None)


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read a file in our own columns, in any order.

    Times are ISO 8601 text, whole numbers since 1970 in ms, us or ns (told by magnitude), or timestamps; UTC unless
    they name another zone. Kinds in the accounting are the names of the tables. A line is a line of CSV or a row of
    Parquet. The index of a pandas frame, named or not, is left out unless it is one of the columns.

    Args:
        source: The file; its venue and symbol stand in for those columns where the file lacks them.
        chunk_lines: Most lines per chunk.

    Yields:
        Chunks with one of trades, quotes and book.

    Raises:
        ValueError: Columns are missing, unknown, named twice or of a type that cannot be read.
        UnreadableFileError: The file is cut short or corrupt.
    """
    head = read_head(source.path)
    if head and head[0].startswith(PARQUET_MAGIC):
        yield from _parquet_chunks(source, chunk_lines)
    elif head:
        yield from _csv_chunks(source, head, chunk_lines)


def _csv_chunks(source: Source, head: list[bytes], chunk_lines: int) -> Iterator[DecodedChunk]:
    header = next((line for line in head if line.strip()), b"")
    names = _csv_names(head)
    used = [name for name in names if not _is_index(name, set())]
    table = _table(source, dict.fromkeys(used, pl.String()), used)
    fields = _fields(table, dict.fromkeys(used, pl.String()))
    for first_line, lines in numbered_blocks(source.path, chunk_lines):
        decoded = decode_block(lines, first_line, names, fields, header=header, quoted=True)
        yield _chunk(source, table, len(lines), decoded.rows, decoded.rejected, decoded.ignored)


def _parquet_chunks(source: Source, chunk_lines: int) -> Iterator[DecodedChunk]:
    with parquet_file(source.path) as file:
        told = _told_index(file.schema_arrow)
        names = [name for name in file.schema_arrow.names if not _is_index(name, told)]
        schema = {name: dtype for name, dtype in _polars_schema(file.schema_arrow).items() if name in names}
        table = _table(source, schema, names)
        fields = _fields(table, schema)
        words = [name for name, dtype in schema.items() if isinstance(dtype, _TEXT_TYPES)]
        done = 0
        for batch in parquet_batches(source.path, file, chunk_lines, names):
            raw = pl.DataFrame(batch).with_columns(pl.col(words).cast(pl.String))
            raw = raw.with_columns(line=pl.int_range(done + 1, done + 1 + pl.len(), dtype=pl.Int64))
            rows, bad = check(raw, fields, lambda row, raw=raw: _shown(raw, row))  # type: ignore[misc]
            yield _chunk(source, table, batch.num_rows, rows, bad, {})
            done += batch.num_rows


def _told_index(schema: pa.Schema) -> set[str]:
    """Return the columns that pandas, by what it left in the file, wrote as the frame's index."""
    told = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    return {name for name in told if isinstance(name, str)}


def _is_index(name: str, told: set[str]) -> bool:
    """Tell whether a column is a frame's index and nothing else: an index may also be one of our own columns."""
    return _UNNAMED_INDEX.fullmatch(name) is not None or (name in told and name not in _OWN)


def _polars_schema(schema: pa.Schema) -> dict[str, pl.DataType]:
    return dict(pl.DataFrame(schema.empty_table()).schema)


def _chunk(
    source: Source, table: str, lines: int, rows: pl.DataFrame, rejected: list[RejectedLine], ignored: dict[str, int]
) -> DecodedChunk:
    made: dict[str, pl.Expr | str | None] = {"kind": table}
    given = {"local_ts": None, "clock": "exchange", "venue": source.venue, "symbol": source.symbol, "state": "whole"}
    made |= {name: value for name, value in given.items() if name not in rows.columns and name in TABLES[table]}
    if "seq" not in rows.columns:
        made["seq"] = pl.col("line")
    chunk = DecodedChunk(lines, ignored=ignored, rejected=rejected, has_ids="seq" in rows.columns)
    if table == "trades":
        rows = without_nothing(rows, "qty", table, ignored)
    else:
        made |= {name: _of_level(name) for name in rows.columns if "price" in name or "qty" in name}
    chunk.frames[table] = conform(table, rows, **made)
    return chunk


def _of_level(name: str) -> pl.Expr:
    return resting(name.replace("qty", "price"), name.replace("price", "qty"), name)


def _csv_names(head: list[bytes]) -> list[str]:
    header = next((line for line in head if line.strip()), b"")
    return [cell.strip().strip('"') for cell in header.decode("utf-8", "replace").split(",")]


def _told(names: list[str]) -> str | None:
    return next((table for table, name in _TELLING.items() if name in names), None)


def _table(source: Source, schema: dict[str, pl.DataType], names: list[str]) -> str:
    """Tell the table, and refuse columns that do not make it."""
    table = _told(names)
    if table is None:
        told = ", ".join(f"{name} ({table})" for table, name in _TELLING.items())
        raise ValueError(f"{source.path}: columns {', '.join(names)[:200]!r} make no table: one of {told} is missing")
    lacking = {*OPTIONAL, *(name for name in ("venue", "symbol") if getattr(source, name) is not None)}
    wrong = {
        "named twice": sorted({name for name in names if names.count(name) > 1}),
        "missing": [name for name in TABLES[table] if name not in names and name not in lacking],
        "unknown": [name for name in names if name not in TABLES[table]],
        "of a wrong type": [f"{name} ({schema[name]})" for name in names if not _readable_type(name, schema[name])],
    }
    if any(wrong.values()):
        said = "; ".join(f"{what}: {', '.join(map(repr, columns))}" for what, columns in wrong.items() if columns)
        raise ValueError(f"{source.path}: columns of {table} {said}; allowed: {', '.join(TABLES[table])}")
    return table


def _readable_type(name: str, dtype: pl.DataType) -> bool:
    if isinstance(dtype, _TEXT_TYPES):
        return True
    if name in ("ts", "local_ts"):
        return dtype.is_integer() or isinstance(dtype, pl.Datetime)
    if name == "seq":
        return dtype.is_integer()
    return name not in _WORDS and dtype.is_numeric()


def _fields(table: str, schema: dict[str, pl.DataType]) -> list[Field]:
    return [_field(table, name, schema[name]) for name in TABLES[table] if name in schema]


def _field(table: str, name: str, dtype: pl.DataType) -> Field:
    """What a column of a table may hold, and how it is read from cells of a type."""
    if name in ("ts", "local_ts"):
        return _time_field(name, dtype)
    if name in ("venue", "symbol"):
        return text(name)
    if name in _WORDS:
        return choice(name, {word: word for word in _WORDS[name]})
    if name == "seq":
        return whole(name)
    if "price" in name:
        return price(name) if table == "trades" else optional(price(name))
    return quantity(name) if table == "trades" else optional(quantity(name))


def _time_field(name: str, dtype: pl.DataType) -> Field:
    if isinstance(dtype, pl.Datetime):
        time = epoch_time(pl.col(name).dt.timestamp(dtype.time_unit), dtype.time_unit)
    elif dtype.is_integer():
        time = epoch_time(integer(name), *_UNITS)
    else:
        time = pl.coalesce(epoch_time(integer(name), *_UNITS), iso_time(name))
    return time_of(name, time, optional=name != "ts")


def _shown(raw: pl.DataFrame, row: int) -> str:
    cells = raw.row(row, named=True)
    return ",".join(f"{name}={value}" for name, value in cells.items() if name != "line")[:MAX_TEXT]
