"""The downloadable csv.gz files of tardis.dev: trades, quotes, books, derivative_ticker and liquidations.

What their columns mean belongs here; cutting and casting is `csv_blocks`, and applying differences is the order book's.
Every file has a header line; times are in us, UTC. Source: docs.tardis.dev, "Downloadable CSV files" and "Order books".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from tracebank_models.market.cells import (
    Field,
    choice,
    conform,
    epoch,
    epoch_time,
    flag,
    integer,
    optional,
    price,
    quantity,
    resting,
    text,
    time_of,
    whole,
    without_nothing,
)
from tracebank_models.market.chunks import BOOK_DEPTH, TICKER_VALUES, DecodedChunk, Source
from tracebank_models.market.codecs import read_head
from tracebank_models.market.csv_blocks import Decoded, decode_block, numbered_blocks
from tracebank_models.market.tardis_depth import depth_chunks, shared_columns

_KEY_COLUMNS = ("exchange", "symbol", "timestamp", "local_timestamp")
_TICKER = ("funding_rate", "predicted_funding_rate", "open_interest", "last_price", "index_price", "mark_price")
_COLUMNS = {
    "trades": {*_KEY_COLUMNS, "id", "side", "price", "amount"},
    "quotes": {*_KEY_COLUMNS, "ask_amount", "ask_price", "bid_price", "bid_amount"},
    "incremental_book_L2": {*_KEY_COLUMNS, "is_snapshot", "side", "price", "amount"},
    "derivative_ticker": {*_KEY_COLUMNS, "funding_timestamp", *_TICKER},
}
_LEVEL = re.compile(r"(asks|bids)\[(\d+)\]\.(price|amount)")
_KEY_FIELDS = (text("exchange"), text("symbol"), epoch("timestamp", "us"), epoch("local_timestamp", "us"))
_TRADE_SIDES = {"buy": "buy", "sell": "sell", "unknown": "unknown"}
_FIELDS: dict[str, tuple[Field, ...]] = {
    "trades": (
        *_KEY_FIELDS,
        choice("side", _TRADE_SIDES, empty="unknown"),
        price("price"),
        quantity("amount"),
    ),
    "quotes": (
        *_KEY_FIELDS,
        *(optional(price(f"{side}_price")) for side in ("bid", "ask")),
        *(optional(quantity(f"{side}_amount")) for side in ("bid", "ask")),
    ),
    "incremental_book_L2": (
        *_KEY_FIELDS,
        flag("is_snapshot"),
        choice("side", {"bid": "bid", "ask": "ask"}),
        price("price"),
        quantity("amount"),
    ),
    "derivative_ticker": (
        *_KEY_FIELDS,
        time_of("funding_timestamp", epoch_time(integer("funding_timestamp"), "us"), form=" in us", optional=True),
        *(optional(price(name)) for name in _TICKER),
    ),
}


def matches(head: list[bytes], path: Path) -> bool:
    """Tell whether a file is one of these.

    Args:
        head: The first lines of its unpacked content; the header decides.
        path: The file; not looked at.

    Returns:
        Whether the header is that of a kind named above.
    """
    names = _names(head)
    return names is not None and _kind(names, path) is not None


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read a file of tardis.dev, packed or not.

    Kinds in the accounting are tardis's own names of the data types. Venue and symbol are the columns `exchange` and
    `symbol`; `clock` is "local" where the two times are equal, which is how tardis marks an exchange without times.
    A trade of nothing is ignored; a level whose price and amount are both 0 is empty.
    `seq` is the id of a trade if the ids of the file are whole numbers; otherwise it numbers lines (depth: events) and
    `has_ids` is false. Of a snapshot the first ten levels are kept. Liquidations have the columns of trades: the name
    of the file, or of a folder above it, tells them apart.

    Args:
        source: The file.
        chunk_lines: Most lines per chunk; a chunk of incremental_book_L2 ends with a whole event, so it may be longer.

    Yields:
        Chunks with trades, quotes, book rows, derivative tickers, liquidations or depth events.

    Raises:
        ValueError: The header is not that of a kind which is read.
        UnreadableFileError: The packed data is cut short or corrupt.
    """
    head = read_head(source.path)
    if not head:
        return
    names = _names(head)
    kind = None if names is None else _kind(names, source.path)
    if names is None or kind is None:
        columns = "none" if names is None else ",".join(names)[:200]
        allowed = f"{', '.join(_COLUMNS)}, book_ticker or book_snapshot_N"
        raise ValueError(f"{source.path}: columns {columns!r} are not allowed: those of {allowed}")
    if kind in ("trades", "liquidations"):
        yield from _trade_chunks(source.path, kind, names, chunk_lines)
        return
    fields = _FIELDS.get("quotes" if kind == "book_ticker" else kind) or _snapshot_fields(names)
    blocks = (
        (len(lines), decode_block(lines, first_line, names, fields, header=_header(names)))
        for first_line, lines in numbered_blocks(source.path, chunk_lines)
    )
    if kind == "incremental_book_L2":
        yield from depth_chunks(blocks)
    else:
        for lines, decoded in blocks:
            yield _row_chunk(lines, decoded, names, kind)


def _names(head: list[bytes]) -> list[str] | None:
    line = next((line for line in head if line.strip()), None)
    return None if line is None else line.decode("utf-8", "replace").split(",")


def _kind(names: list[str], path: Path) -> str | None:
    """Tell the kind by the columns; only those that share their columns are told by the file's name or folders."""
    if len(names) != len(set(names)):
        return None
    kind = next((kind for kind, columns in _COLUMNS.items() if set(names) == columns), None)
    if kind is None and set(names[:4]) == set(_KEY_COLUMNS):
        levels = _levels(names)
        return f"book_snapshot_{levels}" if levels and len(names) == len(_KEY_COLUMNS) + 4 * levels else None
    twin = {"trades": "liquidations", "quotes": "book_ticker"}.get(kind or "")
    if twin is not None and (twin in path.parent.parts or re.search(rf"(^|[_.-]){twin}([_.-]|$)", path.name)):
        return twin
    return kind


def _levels(names: list[str]) -> int:
    """Count the levels of a snapshot's columns; 0 unless they are complete from level 0."""
    found = [match for name in names if (match := _LEVEL.fullmatch(name))]
    count = len({match[2] for match in found})
    complete = {
        f"{side}[{level}].{what}" for side in ("asks", "bids") for level in range(count) for what in ("price", "amount")
    }
    return count if complete == {match[0] for match in found} else 0


def _snapshot_fields(names: list[str]) -> Sequence[Field]:
    levels = range(min(_levels(names), BOOK_DEPTH))
    prices = [optional(price(f"{side}[{level}].price")) for side in ("bids", "asks") for level in levels]
    amounts = [optional(quantity(f"{side}[{level}].amount")) for side in ("bids", "asks") for level in levels]
    return [*_KEY_FIELDS, *prices, *amounts]


def _header(names: list[str]) -> bytes:
    return ",".join(names).encode()


def _trade_chunks(path: Path, kind: str, names: list[str], chunk_lines: int) -> Iterator[DecodedChunk]:
    """Read trades or liquidations; the first of them decide for the file whether ids are whole numbers."""
    any_id = Field("id", pl.col("id"), "anything", pl.lit(True))
    id_field, numeric = any_id, None
    for first_line, lines in numbered_blocks(path, chunk_lines):
        decoded = decode_block(lines, first_line, names, (*_FIELDS["trades"], id_field), header=_header(names))
        rows = decoded.rows
        if numeric is None and rows.height:
            numbers = rows["id"].cast(pl.Int64, strict=False)
            numeric = bool((numbers >= 0).fill_null(False).all())
            id_field = whole("id") if numeric else any_id
        seq = pl.col("id") if numeric else pl.col("line")
        rows = without_nothing(rows, "amount", kind, decoded.ignored)
        made = {**shared_columns(kind), "seq": seq, "qty": pl.col("amount"), "average_price": None}
        if kind == "trades":
            del made["average_price"]
        ids = numeric is not False
        frames = {kind: conform(kind, rows, **made)}
        yield DecodedChunk(len(lines), frames, ignored=decoded.ignored, rejected=decoded.rejected, has_ids=ids)


def _row_chunk(lines: int, decoded: Decoded, names: list[str], kind: str) -> DecodedChunk:
    chunk = DecodedChunk(lines, ignored=decoded.ignored, rejected=decoded.rejected, has_ids=False)
    shared = shared_columns(kind) | {"seq": pl.col("line")}
    if kind == "derivative_ticker":
        said: dict[str, pl.Expr | str | None] = {
            "event": "ticker",
            "funding_ts": pl.col("funding_timestamp"),
            **{name: pl.col(name) for name in _TICKER},
        }
        made = {**dict.fromkeys(TICKER_VALUES), **said}
        chunk.frames["derivative_tickers"] = conform("derivative_tickers", decoded.rows, **shared, **made)
    elif kind.startswith("book_snapshot"):
        levels = _levels(names)
        cells = {
            f"{side}_{what}_{level}": _level(f"{side}s[{level}]", cell) if level < levels else None
            for side in ("bid", "ask")
            for what, cell in (("price", "price"), ("qty", "amount"))
            for level in range(BOOK_DEPTH)
        }
        chunk.frames["book"] = conform("book", decoded.rows, **shared, state="whole", **cells)
    else:
        cells = {
            f"{side}_{what}": resting(f"{side}_price", f"{side}_amount", f"{side}_{cell}")
            for side in ("bid", "ask")
            for what, cell in (("price", "price"), ("qty", "amount"))
        }
        chunk.frames["quotes"] = conform("quotes", decoded.rows, **shared, **cells)
    return chunk


def _level(name: str, cell: str) -> pl.Expr:
    return resting(f"{name}.price", f"{name}.amount", f"{name}.{cell}")
