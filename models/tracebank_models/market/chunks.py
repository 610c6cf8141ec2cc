"""The shapes that market readers hand on: one decoded chunk of a file, and the columns each frame in it has.

A reader turns bytes into `DecodedChunk`s of bounded size; what follows (order book, duplicates, accounting) knows no
file format. Frames hold the columns of the stored table of the same name, in its order, plus `line` (1-based line
number in the file) and `kind` (the stream or record kind that the line was, for the accounting).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BOOK_DEPTH = 10
"""Levels per side in a stored book row."""

_NS = pl.Datetime("ns", "UTC")
Columns = Mapping[str, pl.DataType | type[pl.DataType]]
"""Columns of a table, in their order."""

_KEY: Columns = {
    "ts": _NS,
    "local_ts": _NS,
    "clock": pl.String,
    "venue": pl.String,
    "symbol": pl.String,
    "seq": pl.Int64,
}
_LINE: Columns = {"line": pl.Int64, "kind": pl.String}

TRADES = {**_KEY, "price": pl.Float64, "qty": pl.Float64, "side": pl.String}
"""`ts` is the exchange's time where the source has one (`clock` = "exchange"), else the local receive time
(`clock` = "local"); `local_ts` is null where the source has none. `side` is the aggressor's: buy, sell, unknown."""

QUOTES = {
    **_KEY,
    "bid_price": pl.Float64,
    "bid_qty": pl.Float64,
    "ask_price": pl.Float64,
    "ask_qty": pl.Float64,
}

BOOK_LEVELS = [
    f"{side}_{what}_{level}" for side in ("bid", "ask") for what in ("price", "qty") for level in range(BOOK_DEPTH)
]

BOOK = {**_KEY, "state": pl.String, **dict.fromkeys(BOOK_LEVELS, pl.Float64)}
"""`state` is "whole" (built on a snapshot with no gap since), "partial" (no snapshot yet: levels become known as they
are touched) or "stale" (a gap was met and no snapshot has healed it). A level that is not known is null."""

BARS: Columns = {
    "ts": _NS,
    "venue": pl.String,
    "symbol": pl.String,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
    "vwap": pl.Float64,
    "trades": pl.Int64,
    "mean_spread": pl.Float64,
    "interval_s": pl.Int64,
}
"""Bars that a source publishes; `ts` is the start of each, `interval_s` its length."""

DERIVATIVE_TICKERS = {
    **_KEY,
    "event": pl.String,
    "funding_rate": pl.Float64,
    "predicted_funding_rate": pl.Float64,
    "funding_ts": _NS,
    "funding_interval_h": pl.Float64,
    "mark_price": pl.Float64,
    "index_price": pl.Float64,
    "last_price": pl.Float64,
    "open_interest": pl.Float64,
    "open_interest_value": pl.Float64,
    "long_short_accounts": pl.Float64,
    "long_short_top_accounts": pl.Float64,
    "long_short_top_positions": pl.Float64,
    "taker_buy_sell": pl.Float64,
}
"""What a venue says of a derivative beside its trades and its book; `event` is "funding" (paid), "metrics" or "ticker".
What a source does not say is null."""

TICKER_VALUES = [name for name in DERIVATIVE_TICKERS if name not in _KEY and name != "event"]

LIQUIDATIONS = {**_KEY, "price": pl.Float64, "average_price": pl.Float64, "qty": pl.Float64, "side": pl.String}
"""`side` is that of the order that closes the position: "sell" ends a long one, "buy" a short one."""

DEPTH_BANDS = {**_KEY, "percent": pl.Float64, "depth": pl.Float64, "notional": pl.Float64}
"""What rests between the mid price and `percent` away from it; bids are below zero."""

TABLES: dict[str, Columns] = {
    "trades": TRADES,
    "quotes": QUOTES,
    "book": BOOK,
    "bars": BARS,
    "derivative_tickers": DERIVATIVE_TICKERS,
    "liquidations": LIQUIDATIONS,
    "depth_bands": DEPTH_BANDS,
}
"""Columns of every table that files are read into, as they are stored (`tracebank_schemas` declares the same)."""

DECODED = {name: {**columns, **_LINE} for name, columns in TABLES.items()}
"""Schema of each frame in a `DecodedChunk`, by table."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read, and what its content cannot tell (taken from its name, its folder or the user)."""

    path: Path
    format: str
    """One of `formats.FORMATS`."""
    venue: str | None = None
    symbol: str | None = None
    day: date | None = None
    mapping: str | None = None
    """Text of the mapping by which a file of format "mapped" is read."""


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that could not be read, and why."""

    line: int
    reason: str
    text: str


@dataclass(slots=True)
class DepthEvents:
    """Order-book differences and snapshots in file order, flattened: event i owns levels `offsets[i]:offsets[i+1]`."""

    events: pl.DataFrame
    """Columns of `_KEY` (`seq` = the last update id, `u` or `lastUpdateId`) plus `first_seq` (`U`; null if absent),
    `prev_seq` (`pu`; null if absent), `is_snapshot` (Boolean), `line`, `kind`."""
    offsets: NDArray[np.int64]
    is_bid: NDArray[np.bool_]
    price: NDArray[np.float64]
    qty: NDArray[np.float64]
    """Quantity now resting at the price; 0 removes the level."""
    lines: NDArray[np.int64] | None = None
    """File lines that each event was made of, where a source writes one level per line; None means one line each."""


@dataclass(slots=True)
class DecodedChunk:
    """What a reader made of the next `lines` lines of a file. Every line is in exactly one of the members."""

    lines: int
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    """Rows by table, columns as in `DECODED`. Rows of one line stand side by side and count as one line. Of the book
    only those of sources that publish whole ten-level snapshots; differences are in `depth`."""
    depth: DepthEvents | None = None
    ignored: dict[str, int] = field(default_factory=dict)
    """Lines that carry nothing to store, counted by kind (a header, a subscription reply, another stream)."""
    rejected: list[RejectedLine] = field(default_factory=list)
    companions: dict[str, pl.DataFrame] = field(default_factory=dict)
    """Further rows to store, by table, made of lines that are counted elsewhere in this chunk (an execution is a trade
    and changes the book): never counted again. Columns as in `DECODED`."""
    has_ids: bool = True
    """Whether `seq` is the venue's own id. If not, it numbers lines or events of this file: unique within the file,
    without meaning beyond it, so that equal numbers of two files are no duplicates."""

    @property
    def trades(self) -> pl.DataFrame | None:
        """Rows of trades."""
        return self.frames.get("trades")

    @property
    def quotes(self) -> pl.DataFrame | None:
        """Rows of quotes."""
        return self.frames.get("quotes")

    @property
    def book(self) -> pl.DataFrame | None:
        """Whole rows of the book."""
        return self.frames.get("book")
