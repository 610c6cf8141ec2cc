"""Trades as Bybit, BitMEX, OKX and Kraken publish them for download, and Kraken's bars: CSV with one trade a line.

What each venue's columns mean belongs here; cutting and casting is `csv_blocks`. Sources: header lines of
public.bybit.com (trading, spot), public.bitmex.com and static.okx.com/cdn/okex/traderecords, and support.kraken.com,
"Downloadable historical market data (time and sales)" and "… OHLCVT".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tracebank_models.market.cells import (
    Field,
    choice,
    conform,
    epoch,
    iso_time,
    optional,
    price,
    quantity,
    seconds_time,
    text,
    time_of,
    whole,
    without_nothing,
)
from tracebank_models.market.chunks import DecodedChunk, Source
from tracebank_models.market.codecs import read_head
from tracebank_models.market.csv_blocks import Decoded, decode_block, numbered_blocks

_SIDES = {"buy": "buy", "sell": "sell"}
_NUMBER = rb"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_SPOT_NAME = re.compile(r"(?P<symbol>[A-Za-z0-9]+)[_-]\d{4}-\d{2}.*")
_OKX_NAME = re.compile(r"(?P<symbol>.+?)-(?P<kind>trades|aggtrades)-\d{4}-\d{2}.*")
_OKX_LINE = re.compile(rb"\d+,(?:buy|sell)," + _NUMBER + rb"," + _NUMBER + rb",\d{13}")
_KRAKEN_NAME = re.compile(r"(?P<symbol>[A-Z0-9]{5,}?)(?:_(?P<minutes>\d+))?\.csv(\.(gz|zip|zst))?")
_KRAKEN_TRADE = re.compile(rb"\d{10}(?:\.\d+)?(?:," + _NUMBER + rb"){2}")
_KRAKEN_NUMBERED = re.compile(_KRAKEN_TRADE.pattern + rb",\d+")
_KRAKEN_BAR = re.compile(rb"\d{10}(?:," + _NUMBER + rb"){5},\d+")
BYBIT_INVERSE = r"USD([FGHJKMNQUVXZ]\d{2})?$"
"""How names of Bybit's inverse contracts end: BTCUSD, BTCUSDZ24."""

_Made = Mapping[str, pl.Expr | str | None]


@dataclass(frozen=True, slots=True)
class _Dump:
    """One venue's kind of file: its columns in order, those that are used, and what they make."""

    kind: str
    names: list[str]
    header: bytes | None
    fields: tuple[Field, ...]
    made: _Made
    symbol: str | None = None
    """Where no column says it."""
    has_ids: bool = False
    table: str = "trades"


def matches(head: list[bytes], path: Path) -> bool:
    """Tell whether a file is one of these dumps.

    Args:
        head: The first lines of its unpacked content; the header decides.
        path: The file; where there is no header, its name must be one that the venue gives.
    """
    return _dump(head, path) is not None


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read a dump, packed or not.

    Kinds in the accounting are `trades`, `aggTrades` (OKX) and `bars` (Kraken). `seq` is OKX's trade id; the others
    have none that are whole numbers and last beyond the file, and their lines are numbered. Sizes are as published: of
    OKX' and BitMEX' derivatives in contracts, of Bybit's inverse ones in USD. Kraken does not say who was the
    aggressor. Trades of nothing are ignored, and of BitMEX those that are no regular trades.

    Args:
        source: The file. Its venue, where given, is that of files without a header, its symbol that of rows that name
            none; where it is not given, the file's name tells it.
        chunk_lines: Most lines per chunk.

    Yields:
        Chunks with trades or bars.

    Raises:
        ValueError: The file is none of these dumps, or the symbol is in neither the lines nor the name.
        UnreadableFileError: The packed data is cut short or corrupt.
    """
    head = read_head(source.path)
    if not head:
        return
    dump = _dump(head, source.path)
    if dump is None:
        raise ValueError(f"{source.path}: the first line is that of no trades of Bybit, BitMEX, OKX or Kraken")
    symbol = source.symbol or dump.symbol
    if symbol is None and "symbol" not in dump.made:
        raise ValueError(f"{source.path}: symbol is in neither the name nor the lines: pass --symbol, e.g. BTCUSDT")
    always: _Made = {"local_ts": None, "clock": "exchange", "kind": dump.kind, "seq": pl.col("line"), "symbol": symbol}
    key = {**always, **dump.made}
    if source.venue and dump.header is None:  # a header says whose it is
        key["venue"] = source.venue
    for first_line, lines in numbered_blocks(source.path, chunk_lines):
        decoded = decode_block(lines, first_line, dump.names, dump.fields, header=dump.header)
        yield _chunk(dump, key, len(lines), decoded)


def _chunk(dump: _Dump, key: _Made, lines: int, decoded: Decoded) -> DecodedChunk:
    rows, ignored = decoded.rows, dict(decoded.ignored)
    if "trdType" in rows.columns:
        others = rows.filter(pl.col("trdType") != "Regular")["trdType"].value_counts()
        ignored |= {f"{dump.kind}:{what}": count for what, count in others.iter_rows()}
        rows = rows.filter(pl.col("trdType") == "Regular")
    if dump.table == "trades":
        rows = without_nothing(rows, next(name for name in ("size", "volume") if name in rows), dump.kind, ignored)
    frames = {dump.table: conform(dump.table, rows, **key)}
    return DecodedChunk(lines, frames, ignored=ignored, rejected=decoded.rejected, has_ids=dump.has_ids)


def _dump(head: list[bytes], path: Path) -> _Dump | None:
    texts = [line.strip() for line in head if line.strip()]
    if not texts:
        return None
    # Older headers of OKX name each column twice, `size/数量`, in GBK: what stands before the slash is ASCII.
    names = [cell.partition(b"/")[0].strip().decode("ascii", "replace") for cell in texts[0].split(b",")]
    header = next(line for line in head if line.strip())
    for columns, dump in _BY_HEADER.items():
        if set(columns) <= set(names):
            return dump(names, header, texts, path)
    if _OKX_NAME.fullmatch(path.name) and all(map(_OKX_LINE.fullmatch, texts)):
        return _okx(["trade_id", "side", "size", "price", "created_time"], None, texts, path)
    if named := _KRAKEN_NAME.fullmatch(path.name):
        return _kraken(named, names, header, texts)
    return None


def _bybit_or_bitmex(names: list[str], header: bytes, texts: list[bytes], _path: Path) -> _Dump:
    """Both have the same header; BitMEX writes its times as dates."""
    bitmex = len(texts) > 1 and re.match(rb"\d{4}-", texts[1]) is not None
    if bitmex:
        time = time_of("timestamp", iso_time("timestamp"))
        venue: pl.Expr | str = "bitmex"
        size = optional(quantity("size"))  # index values stand among the trades, without a size
        more: tuple[Field, ...] = (text("trdType"),) if "trdType" in names else ()
    else:
        time, size, more = time_of("timestamp", seconds_time("timestamp"), form=" in s"), quantity("size"), ()
        inverse = pl.col("symbol").str.contains(BYBIT_INVERSE)
        venue = pl.when(inverse).then(pl.lit("bybit_inverse")).otherwise(pl.lit("bybit_linear"))
    side = choice("side", _SIDES, empty="unknown")
    made: _Made = {"ts": pl.col("timestamp"), "venue": venue, "symbol": pl.col("symbol"), "qty": pl.col("size")}
    return _Dump("trades", names, header, (time, text("symbol"), side, size, price("price"), *more), made)


def _bybit_spot(names: list[str], header: bytes, _texts: list[bytes], path: Path) -> _Dump:
    named = _SPOT_NAME.fullmatch(path.name)
    fields = (epoch("timestamp", "ms", "us"), price("price"), quantity("volume"), choice("side", _SIDES))
    made: _Made = {"ts": pl.col("timestamp"), "venue": "bybit_spot", "qty": pl.col("volume")}
    return _Dump("trades", names, header, fields, made, named["symbol"] if named else None)


def _okx(names: list[str], header: bytes | None, _texts: list[bytes], path: Path) -> _Dump:
    named = _OKX_NAME.fullmatch(path.name)
    kind = "aggTrades" if named and named["kind"] == "aggtrades" else "trades"
    made: _Made = {"ts": pl.col("created_time"), "venue": "okx", "qty": pl.col("size"), "seq": pl.col("trade_id")}
    more: tuple[Field, ...] = ()
    if "instrument_name" in names:
        more, made = (text("instrument_name"),), {**made, "symbol": pl.col("instrument_name")}
    fields = (whole("trade_id"), epoch("created_time", "ms", "us"), choice("side", _SIDES), *more)
    return _Dump(
        kind,
        names,
        header,
        (*fields, price("price"), quantity("size")),
        made,
        named["symbol"] if named else None,
        has_ids=True,
    )


def _kraken(named: re.Match[str], names: list[str], header: bytes, texts: list[bytes]) -> _Dump | None:
    """Without a header, or with one that names the columns, a trade's number among them."""
    titled = names[0] in ("timestamp", "time")
    lines, skipped = (texts[1:], header) if titled else (texts, None)
    time = time_of("time", seconds_time("time"), form=" in s")
    made: _Made = {"ts": pl.col("time"), "venue": "kraken"}
    if named["minutes"] is not None and lines and all(map(_KRAKEN_BAR.fullmatch, lines)):
        prices = ("open", "high", "low", "close")
        fields = (time, *map(price, prices), quantity("volume"), whole("trades"))
        made = {**made, "vwap": None, "mean_spread": None, "interval_s": pl.lit(int(named["minutes"]) * 60)}
        columns = ["time", *prices, "volume", "trades"]
        return _Dump("bars", columns, skipped, fields, made, named["symbol"], has_ids=True, table="bars")
    columns = ["time", *names[1:]] if titled else ["time", "price", "volume"]
    numbered = columns == ["time", "price", "volume", "trade_id"]
    line = _KRAKEN_NUMBERED if numbered else _KRAKEN_TRADE
    if (
        named["minutes"] is not None
        or columns[:3] != ["time", "price", "volume"]
        or not all(map(line.fullmatch, lines))
    ):
        return None
    more = (whole("trade_id"),) if numbered else ()
    made = {**made, "side": "unknown", "qty": pl.col("volume")} | ({"seq": pl.col("trade_id")} if numbered else {})
    fields = (time, price("price"), quantity("volume"), *more)
    return _Dump("trades", columns, skipped, fields, made, named["symbol"], has_ids=numbered) if lines else None


_BY_HEADER: dict[tuple[str, ...], Callable[[list[str], bytes, list[bytes], Path], _Dump]] = {
    ("timestamp", "symbol", "side", "size", "price", "trdMatchID"): _bybit_or_bitmex,
    ("id", "timestamp", "price", "volume", "side"): _bybit_spot,
    ("trade_id", "side", "size", "price", "created_time"): _okx,
}
"""Who makes what of a file whose header names these columns, among others, in any order."""
