"""Binance's klines as bars: the public archives (data.binance.vision) and the streams `<symbol>@kline_<interval>`.

What their columns and members mean belongs here. Only bars that are closed are stored. Files come with a header line or
without; times are in ms, or in us (spot from 2025), told by magnitude; a bar is as long as from its open time to its
close time. Klines of mark prices, index prices and premiums look the same but are no bars of trades: they are told by
their folders and not read. Source: the README of github.com/binance/binance-public-data, and developers.binance.com.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import polars as pl

from tracebank_models.market.binance_messages import Messages, Number, message_keys, without_problems
from tracebank_models.market.binance_venues import Venues
from tracebank_models.market.binance_vision import VENUES
from tracebank_models.market.cells import conform, epoch, optional, price, quantity
from tracebank_models.market.chunks import DECODED, DecodedChunk, Source
from tracebank_models.market.codecs import read_head
from tracebank_models.market.csv_blocks import decode_block, numbered_blocks
from tracebank_models.market.depth_levels import Price, Quantity
from tracebank_models.market.instruments import COIN_MARGINED, COINM
from tracebank_models.market.timestamps import time_column, to_nanoseconds

_COLUMNS = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_HEADER = re.compile(rb"open_?time,open,high,low,close,volume,close_?time,.*", re.IGNORECASE)
_NUMBER = rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_LINE = re.compile(rb"\d{13,16}," + rb",".join([_NUMBER] * 5) + rb",\d{13,16}," + rb",".join([_NUMBER] * 5))
_NAME = re.compile(r"(?P<symbol>[^-]+)-\d+(?:s|m|h|d|w|mo)-\d{4}-\d{2}(-\d{2})?\b.*")
_NO_TRADES = ("markPriceKlines", "indexPriceKlines", "premiumIndexKlines")
_MICROSECONDS = 10**15
_FIELDS = (
    epoch("open_time", "ms", "us"),
    epoch("close_time", "ms", "us"),
    *(price(name) for name in ("open", "high", "low", "close")),
    quantity("volume"),
    optional(quantity("quote_volume")),
    optional(quantity("count")),
)


class _Bar(msgspec.Struct, gc=False):
    t: Number
    T: Number
    o: Price
    h: Price
    l: Price  # noqa: E741 - the venue's own name
    c: Price
    v: Quantity
    q: Quantity
    n: Number
    x: bool


class Kline(msgspec.Struct, gc=False):
    """`kline`: a bar of an interval, sent again and again until it is closed (`x`)."""

    s: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    k: _Bar


def matches(head: list[bytes], path: Path) -> bool:
    """Tell whether a file holds klines of trades.

    Args:
        head: The first lines of its unpacked content.
        path: The file; its folders tell klines of other prices.
    """
    texts = [line.strip() for line in head if line.strip()]
    if not texts or any(part in _NO_TRADES for part in path.parts):
        return False
    return _HEADER.fullmatch(texts[0]) is not None or _LINE.fullmatch(texts[0]) is not None


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read an archive of klines, packed or not; the kind in the accounting is "klines".

    Args:
        source: The file. Its symbol comes from its name unless given; its venue is the one given, else that of its
            folders (data/spot/…, data/futures/um/…, data/futures/cm/…), else what its times or its symbol show.
        chunk_lines: Most lines per chunk.

    Raises:
        ValueError: Symbol or venue stay open.
        UnreadableFileError: The packed data is cut short or corrupt.
    """
    head = [line for line in read_head(source.path) if line.strip()]
    if not head:
        return
    header = head[0] if _HEADER.fullmatch(head[0].strip()) else None
    named = _NAME.fullmatch(source.path.name)
    symbol = source.symbol or (named["symbol"] if named else None)
    if symbol is None:
        raise ValueError(f"{source.path}: symbol is in neither the name nor the lines: pass symbol, e.g. BTCUSDT")
    venue = source.venue or _venue(source.path, symbol, head[-1])
    for first_line, lines in numbered_blocks(source.path, chunk_lines):
        decoded = decode_block(lines, first_line, _COLUMNS, _FIELDS, header=header)
        chunk = DecodedChunk(len(lines), ignored=decoded.ignored, rejected=decoded.rejected)
        chunk.frames["bars"] = conform(
            "bars",
            decoded.rows,
            **_made(venue, pl.col("open_time"), pl.col("close_time")),
            venue=venue,
            symbol=symbol,
            kind="klines",
            trades=pl.col("count"),
        )
        yield chunk


def _made(venue: str | None, opened: pl.Expr, closed: pl.Expr) -> dict[str, pl.Expr | str | None]:
    """Columns of bars that are reckoned; contracts, in which COIN-M's volumes are, have no mean price by them."""
    traded = (pl.col("volume") > 0) & (pl.col("venue") != COINM if venue is None else pl.lit(venue != COINM))
    return {
        "ts": opened,
        "vwap": pl.when(traded).then(pl.col("quote_volume") / pl.col("volume")),
        "mean_spread": None,
        "interval_s": (closed - opened).dt.total_nanoseconds() // 10**9 + 1,
    }


def _venue(path: Path, symbol: str, line: bytes) -> str:
    market = next((part for part in reversed(path.parent.parts) if part in VENUES), None)
    if market is None and re.match(COIN_MARGINED, symbol):
        market = "cm"
    if market is None and int(line.partition(b",")[0]) >= _MICROSECONDS:
        market = "spot"
    if market is None:
        raise ValueError(
            f"{path}: klines of spot and futures look the same: pass venue, one of {', '.join(VENUES.values())}"
        )
    return VENUES[market]


def kline_rows(messages: Messages, venues: Venues) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return messages of klines as bars, and how many were ignored, by kind: those of bars that are not closed yet."""
    nothing = np.zeros(len(messages.items), np.bool_)
    opened = messages.column("k.t", np.int64)
    keys = message_keys(messages, venues, opened, opened, nothing, ~nothing)
    names = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "q": "quote_volume", "n": "trades"}
    values = [pl.Series(name, messages.column(f"k.{of}", np.float64)) for of, name in names.items()]
    closed = time_column("closed", to_nanoseconds(messages.column("k.T", np.int64))[0])
    frame = keys.with_columns(*values, closed, pl.Series("done", messages.column("k.x", np.bool_)))
    frame = without_problems(messages, frame)
    kept = frame.filter(pl.col("done"))
    waiting = frame.height - kept.height
    made = conform("bars", kept, **_made(None, pl.col("ts"), pl.col("closed")))
    return made.select(list(DECODED["bars"])), {f"{messages.kind}:not_closed": waiting} if waiting else {}
