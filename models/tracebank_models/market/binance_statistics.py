"""Binance's public archives of futures beside trades and quotes: funding rates, metrics, bands of depth, liquidations.

What the columns mean belongs here; cutting and casting is `csv_blocks`. Source: the header lines of the archives at
data.binance.vision, futures/{um,cm}; liquidations are the orders of the stream `forceOrder` (developers.binance.com).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from tracebank_models.market.binance_vision import VENUES
from tracebank_models.market.cells import (
    Field,
    choice,
    conform,
    epoch,
    iso_time,
    optional,
    price,
    quantity,
    text,
    time_of,
    without_nothing,
)
from tracebank_models.market.chunks import TICKER_VALUES, DecodedChunk, Source
from tracebank_models.market.codecs import read_head
from tracebank_models.market.csv_blocks import decode_block, numbered_blocks
from tracebank_models.market.instruments import COIN_MARGINED, COINM, USDM

_NAME = re.compile(r"(?P<symbol>[^-]+)-(?P<kind>fundingRate|metrics|bookDepth|liquidationSnapshot)-\d{4}-\d{2}.*")
_UNNAMED_FUNDING = re.compile(rb"\d{13},\d+,-?\d+(\.\d+)?([eE]-?\d+)?")
_Made = Mapping[str, pl.Expr | str | None]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of file: the columns that its header has, those that are used, and what they make."""

    table: str
    columns: tuple[str, ...]
    time: str
    fields: tuple[Field, ...]
    made: _Made = field(default_factory=dict)
    has_ids: bool = True


_METRICS = {
    "open_interest": "sum_open_interest",
    "open_interest_value": "sum_open_interest_value",
    "long_short_top_accounts": "count_toptrader_long_short_ratio",
    "long_short_top_positions": "sum_toptrader_long_short_ratio",
    "long_short_accounts": "count_long_short_ratio",
    "taker_buy_sell": "sum_taker_long_short_vol_ratio",
}
_KINDS = {
    "fundingRate": _Kind(
        "derivative_tickers",
        ("calc_time", "funding_interval_hours", "last_funding_rate"),
        "calc_time",
        (epoch("calc_time", "ms", "us"), optional(quantity("funding_interval_hours")), price("last_funding_rate")),
        {
            **dict.fromkeys(TICKER_VALUES),
            "event": "funding",
            "funding_rate": pl.col("last_funding_rate"),
            "funding_interval_h": pl.col("funding_interval_hours"),
        },
    ),
    "metrics": _Kind(
        "derivative_tickers",
        ("create_time", "symbol", *_METRICS.values()),
        "create_time",
        (
            time_of("create_time", iso_time("create_time")),
            text("symbol"),
            *(optional(quantity(column)) for column in _METRICS.values()),
        ),
        {
            **dict.fromkeys(TICKER_VALUES),
            "event": "metrics",
            **{name: pl.col(column) for name, column in _METRICS.items()},
        },
    ),
    "bookDepth": _Kind(
        "depth_bands",
        ("timestamp", "percentage", "depth", "notional"),
        "timestamp",
        (
            time_of("timestamp", iso_time("timestamp")),
            price("percentage"),
            quantity("depth"),
            quantity("notional"),
        ),
        {"percent": pl.col("percentage")},
    ),
    "liquidationSnapshot": _Kind(
        "liquidations",
        ("time", "side", "order_status", "price", "average_price", "accumulated_fill_quantity"),
        "time",
        (
            epoch("time", "ms", "us"),
            choice("side", {"buy": "buy", "sell": "sell"}),
            text("order_status"),
            price("price"),
            optional(price("average_price")),
            quantity("accumulated_fill_quantity"),
        ),
        {"qty": pl.col("accumulated_fill_quantity")},
        has_ids=False,
    ),
}


def matches(head: list[bytes], path: Path) -> bool:
    """Tell whether a file is one of these archives.

    Args:
        head: The first lines of its unpacked content; the header decides.
        path: The file; its name tells funding rates without a header.
    """
    return _kind(head, path) is not None


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read an archive, packed or not.

    Kinds in the accounting are Binance's names. `seq` is the time in ms, of liquidations the line. Liquidations are
    stored when they are filled: lines of another status and lines that stand there twice are ignored.

    Args:
        source: The file. Its symbol is the column's, where there is one, else the one given or that of its name; its
            venue is the one given, else that of its folders (futures/um, futures/cm), else that which the symbol shows.
        chunk_lines: Most lines per chunk.

    Yields:
        Chunks with derivative tickers, liquidations or bands of depth.

    Raises:
        ValueError: The lines are none of the kinds, or the symbol stays open.
        UnreadableFileError: The packed data is cut short or corrupt.
    """
    head = read_head(source.path)
    if not head:
        return
    name = _kind(head, source.path)
    if name is None:
        raise ValueError(f"{source.path}: the first line is that of none of {', '.join(_KINDS)}")
    kind, names, header = _KINDS[name], *_header(head, _KINDS[name])
    fields = list(kind.fields)
    if "symbol" in names and all(one.name != "symbol" for one in fields):
        fields.append(text("symbol"))
    key = _key(source, name, names)
    met = pl.DataFrame()
    for first_line, lines in numbered_blocks(source.path, chunk_lines):
        decoded = decode_block(lines, first_line, names, fields, header=header)
        rows, ignored = decoded.rows, dict(decoded.ignored)
        if name == "liquidationSnapshot":
            rows, met = _filled_once(rows, met, ignored)
        made = {"ts": pl.col(kind.time), "seq": _milliseconds(kind) if kind.has_ids else pl.col("line"), **kind.made}
        frames = {kind.table: conform(kind.table, rows, **key, **made)}
        yield DecodedChunk(len(lines), frames, ignored=ignored, rejected=decoded.rejected, has_ids=kind.has_ids)


def _kind(head: list[bytes], path: Path) -> str | None:
    names = set(_cells(head))
    found = next((name for name, kind in _KINDS.items() if names.issuperset(kind.columns)), None)
    named = _NAME.fullmatch(path.name)
    texts = [line for line in head if line.strip()]
    if found is None and named is not None and named["kind"] == "fundingRate" and texts:
        return "fundingRate" if all(_UNNAMED_FUNDING.fullmatch(line.strip()) for line in texts) else None
    return found


def _cells(head: list[bytes]) -> list[str]:
    first = next((line for line in head if line.strip()), b"")
    return [cell.strip() for cell in first.decode("utf-8", "replace").split(",")]


def _header(head: list[bytes], kind: _Kind) -> tuple[list[str], bytes | None]:
    names = _cells(head)
    if set(names).issuperset(kind.columns):
        return names, next(line for line in head if line.strip())
    return list(kind.columns), None


def _key(source: Source, kind: str, names: list[str]) -> _Made:
    """The columns that say whose the rows are."""
    named = _NAME.fullmatch(source.path.name)
    symbol = source.symbol or (named["symbol"] if named else None)
    if "symbol" not in names and symbol is None:
        raise ValueError(f"{source.path}: symbol is in neither the name nor the lines: pass --symbol, e.g. BTCUSDT")
    of_rows = pl.col("symbol") if "symbol" in names else pl.lit(symbol)
    market = next((VENUES[part] for part in reversed(source.path.parent.parts) if part in ("um", "cm")), None)
    told = pl.when(of_rows.str.contains(COIN_MARGINED)).then(pl.lit(COINM)).otherwise(pl.lit(USDM))
    venue = source.venue or market or told
    return {"local_ts": None, "clock": "exchange", "venue": venue, "symbol": of_rows, "kind": kind}


def _milliseconds(kind: _Kind) -> pl.Expr:
    return pl.col(kind.time).dt.timestamp("ms")


def _filled_once(rows: pl.DataFrame, met: pl.DataFrame, ignored: dict[str, int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep the liquidations that are filled, each once: the archive repeats many of its lines."""
    open_ones = rows.filter(pl.col("order_status") != "FILLED")
    for status, count in open_ones["order_status"].value_counts().iter_rows():
        ignored[f"liquidationSnapshot:{status}"] = count
    rows = rows.filter(pl.col("order_status") == "FILLED")
    what = [name for name in rows.columns if name != "line"]
    fresh = rows.filter(pl.struct(what).is_first_distinct())
    if met.height:
        fresh = fresh.join(met, on=what, how="anti", nulls_equal=True, maintain_order="left")
    if fresh.height < rows.height:
        ignored["liquidationSnapshot:repeated"] = rows.height - fresh.height
    met = pl.concat([met, fresh.select(what)]) if met.width else fresh.select(what)
    return without_nothing(fresh, "accumulated_fill_quantity", "liquidationSnapshot", ignored), met
