"""LOBSTER's pairs: a message file and the order-book file that goes with it line by line, of one stock and one day.

How the two are named, laid out and joined belongs here; cutting and casting is `csv_blocks`. One line counted is one
line of the message file: it gives a book row (the book after the message) and, if it executed something, a trade too.
Source: lobsterdata.com, "Output structure".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from tracebank_models.market.cells import Field, conform, integer, whole
from tracebank_models.market.chunks import BOOK_DEPTH, DecodedChunk, RejectedLine, Source
from tracebank_models.market.csv_blocks import Decoded, decode_block
from tracebank_models.market.lobster_pair import Pair, aligned_lines, companion, find_pair, is_orderbook, part_of

__all__ = ["companion", "is_orderbook", "matches", "read"]

VENUE = "nasdaq"
PRICE_UNIT = 10_000
"""Prices are whole ten-thousandths of a dollar."""

EMPTY_ASK, EMPTY_BID = 9_999_999_999, -9_999_999_999
"""Stand in for the price of a level at which nothing rests."""

CROSS, HALT = 6, 7
EXECUTIONS = (4, 5, CROSS)
"""Types of message that are trades: of a visible order, of a hidden one, and in an auction."""

BUY, SELL = 1, -1
DAY_NS = 86_400 * 10**9
_MESSAGE = ("time", "type", "order_id", "size", "price", "direction")
_MESSAGE_LINE = re.compile(rb"\d+(\.\d+)?,\d+,-?\d+,\d+,-?\d+,-?1(,[^,]*)?\s*")


def matches(head: list[bytes], path: Path) -> bool:
    """Tell whether a file is the message file of a pair.

    Args:
        head: The first lines of its unpacked content.
        path: The file. An order-book file matches not: it is read with its message file, and `is_orderbook` tells it.

    Returns:
        Whether the name is a message file's and some line looks like a message.
    """
    return part_of(path) == "message" and any(_MESSAGE_LINE.fullmatch(line) for line in head)


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read a pair.

    Every message gives a book row (kind "message:<type>"; at most the first ten levels; a level that is empty or not in
    the file is null). Messages of type 4 and 5 (a visible or hidden order was executed) and 6 (a cross) give a trade
    as well, in `companions` (kind "message:<type>:trade"): of 4 and 5 the side is the aggressor's, opposite to that
    of the order; a cross has none. An execution of nothing (size 0) gives no trade. `seq` numbers the lines. Digits of
    a time beyond nanoseconds are dropped.

    Args:
        source: The message file; the order-book file lies beside it. The venue is "nasdaq" unless given, symbol and
            day come from the name unless given.
        chunk_lines: Most lines per chunk.

    Yields:
        Chunks with book rows, and trades in `companions`.

    Raises:
        ValueError: The name is not a message file's, the order-book lines have another number of levels than the name
            says, or one file has more lines than the other.
        FileNotFoundError: There is no order-book file.
        UnreadableFileError: The packed data is cut short or corrupt.
    """
    pair = find_pair(source)
    fields = _book_fields(pair.levels)
    names = [name for level in range(pair.levels) for name in _level_names(level)]
    columns = (*_MESSAGE, "extra") if pair.message_fields == len(_MESSAGE) + 1 else _MESSAGE
    for first_line, messages, books in aligned_lines(pair, chunk_lines):
        message = decode_block(messages, first_line, columns, _message_fields())
        book = decode_block(books, first_line, names, fields)
        yield _chunk(source, pair, range(first_line, first_line + len(messages)), message, book)


def _chunk(source: Source, pair: Pair, lines: range, message: Decoded, book: Decoded) -> DecodedChunk:
    rows = message.rows.join(book.rows, on="line", how="inner", maintain_order="left")
    ignored, rejected = _leftovers(lines, message, book, set(rows["line"])) if rows.height < len(lines) else ({}, [])
    rows = rows.with_columns(_dollars(rows[name]) for name in rows.columns if "price" in name)
    shared: dict[str, pl.Expr | str | None] = {
        "ts": pl.lit(pair.midnight, dtype=pl.Datetime("ns", "UTC")) + pl.col("time").cast(pl.Duration("ns")),
        "local_ts": None,
        "clock": "exchange",
        "venue": source.venue or VENUE,
        "symbol": pair.symbol,
        "seq": pl.col("line"),
    }
    kind = pl.concat_str(pl.lit("message:"), pl.col("type"))
    side = pl.when(pl.col("direction") == SELL).then(pl.lit("buy")).otherwise(pl.lit("sell"))
    side = pl.when(pl.col("type") == CROSS).then(pl.lit("unknown")).otherwise(side)
    trades = conform(
        "trades",
        rows.filter(pl.col("type").is_in(EXECUTIONS) & (pl.col("size") > 0)),
        **shared,
        qty=pl.col("size"),
        side=side,
        kind=kind + ":trade",
    )
    books = conform("book", rows, **shared, state="whole", kind=kind, **_book_columns(pair.levels))
    return DecodedChunk(
        len(lines), {"book": books}, ignored=ignored, rejected=rejected, companions={"trades": trades}, has_ids=False
    )


def _leftovers(
    lines: range, message: Decoded, book: Decoded, stored: set[int]
) -> tuple[dict[str, int], list[RejectedLine]]:
    """Say of each line that gave no row whether it is blank in both files, or why it is rejected."""
    bad = {line.line: line for line in message.rejected}
    bad_books = {line.line: line for line in book.rejected}
    known, known_books = set(message.rows["line"]), set(book.rows["line"])
    ignored: dict[str, int] = {}
    rejected = []
    for line in lines:
        if line in stored:
            continue
        if line in bad:
            rejected.append(bad[line])
        elif line in bad_books:
            rejected.append(replace(bad_books[line], reason=f"order book: {bad_books[line].reason}"))
        elif line in known:
            rejected.append(RejectedLine(line, "order book: the line is blank", ""))
        elif line in known_books:
            rejected.append(RejectedLine(line, "the line is blank, but that of the order book is not", ""))
        else:
            ignored["blank"] = ignored.get("blank", 0) + 1
    return ignored, rejected


def _message_fields() -> tuple[Field, ...]:
    directed = ~pl.col("type").is_in([CROSS, HALT])
    return (
        Field("time", _nanoseconds("time"), "seconds after midnight, from 0 to 86400", pl.col("time") < DAY_NS),
        Field("type", integer("type"), f"a whole number from 1 to {HALT}", pl.col("type").is_between(1, HALT)),
        whole("size"),
        Field("price", integer("price"), "a whole number", pl.col("price").is_not_null()),
        Field("direction", integer("direction"), "1 or -1", pl.col("direction").is_in([BUY, SELL]) | ~directed),
    )


def _nanoseconds(name: str) -> pl.Expr:
    """Decimal text of seconds as whole nanoseconds, exactly."""
    parts = pl.col(name).str.splitn(".", 2)
    seconds = parts.struct.field("field_0").cast(pl.Int64, strict=False)
    digits = parts.struct.field("field_1").fill_null("").str.slice(0, 9).str.pad_end(9, "0")
    exact = seconds * 10**9 + digits.cast(pl.Int64, strict=False)
    return pl.when(pl.col(name).str.contains(r"^\d{1,5}(\.\d+)?$")).then(exact)


def _dollars(prices: pl.Series) -> pl.Series:
    # Not by polars: it multiplies by the reciprocal, and 585.8 becomes 585.8000000000001.
    return pl.Series(prices.name, prices.to_numpy() / PRICE_UNIT)


def _level_names(level: int) -> tuple[str, ...]:
    return tuple(f"{side}_{what}_{level}" for side in ("ask", "bid") for what in ("price", "qty"))


def _book_fields(levels: int) -> list[Field]:
    fields = []
    for level in range(min(levels, BOOK_DEPTH)):
        for side, empty in (("ask", EMPTY_ASK), ("bid", EMPTY_BID)):
            price, qty = f"{side}_price_{level}", f"{side}_qty_{level}"
            real = pl.col(price).is_between(EMPTY_BID, EMPTY_ASK)
            allowed = f"a whole number from {EMPTY_BID} to {EMPTY_ASK}, {empty} for no level"
            fields += [Field(price, integer(price), allowed, real), whole(qty)]
    return fields


def _book_columns(levels: int) -> dict[str, pl.Expr | None]:
    """The stored levels: prices in dollars, and nulls where nothing rests or the file has no such level."""
    columns: dict[str, pl.Expr | None] = {}
    for level in range(BOOK_DEPTH):
        for side, empty in (("ask", EMPTY_ASK), ("bid", EMPTY_BID)):
            price, qty = f"{side}_price_{level}", f"{side}_qty_{level}"
            there = pl.when(pl.col(price) != empty / PRICE_UNIT)
            columns[price] = there.then(pl.col(price)) if level < levels else None
            columns[qty] = there.then(pl.col(qty)) if level < levels else None
    return columns
