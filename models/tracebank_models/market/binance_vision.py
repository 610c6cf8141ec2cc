"""Binance's public archives (data.binance.vision): trades, aggTrades and bookTicker of spot and futures, by symbol.

How those files are named and laid out belongs here; cutting and casting is `csv_blocks`. Files come with a header line
or without; times are in ms, or in us (spot from 2025), told by magnitude. There is no local time.
Source: the README of github.com/binance/binance-public-data, and the header lines of the archives.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tracebank_models.market.cells import conform, epoch, flag, price, quantity, resting, whole, without_nothing
from tracebank_models.market.chunks import DecodedChunk, Source
from tracebank_models.market.codecs import read_head
from tracebank_models.market.csv_blocks import Decoded, decode_block, numbered_blocks
from tracebank_models.market.instruments import COIN_MARGINED, COINM, SPOT, USDM

VENUES = {"spot": SPOT, "um": USDM, "cm": COINM}
"""Venue by market, the market named as in the archive's folders; the same names as for recorded streams."""

_NUMBER = rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_FLAG = rb"(?i:true|false)"
_NAME = re.compile(r"(?P<symbol>[^-]+)-(?P<kind>trades|aggTrades|bookTicker)-\d{4}-\d{2}(-\d{2})?\b.*")
_ALIASES = {
    "tradeid": "id",
    "aggtradeid": "id",
    "aggregatetradeid": "id",
    "quantity": "qty",
    "quotequantity": "quoteqty",
    "basequantity": "baseqty",
    "timestamp": "time",
    "transacttime": "time",
}


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of one kind of file, in order and simply named, and what a line of it looks like."""

    kind: str
    spot: bool
    columns: tuple[str, ...]
    line: re.Pattern[bytes]


def _layout(kind: str, *, spot: bool, columns: str) -> _Layout:
    cells = {"id": rb"-?\d+", "isbuyermaker": _FLAG, "isbestmatch": _FLAG}
    whole_cells = dict.fromkeys(("firsttradeid", "lasttradeid", "time", "transactiontime", "eventtime"), rb"-?\d+")
    names = tuple(columns.split(","))
    pattern = rb",".join((cells | whole_cells).get(name, _NUMBER) for name in names)
    return _Layout(kind, spot, names, re.compile(pattern))


_LAYOUTS = (
    _layout("trades", spot=True, columns="id,price,qty,quoteqty,time,isbuyermaker,isbestmatch"),
    _layout("trades", spot=False, columns="id,price,qty,quoteqty,time,isbuyermaker"),
    _layout("trades", spot=False, columns="id,price,qty,baseqty,time,isbuyermaker"),
    _layout("aggTrades", spot=True, columns="id,price,qty,firsttradeid,lasttradeid,time,isbuyermaker,isbestmatch"),
    _layout("aggTrades", spot=False, columns="id,price,qty,firsttradeid,lasttradeid,time,isbuyermaker"),
    _layout(
        "bookTicker",
        spot=False,
        columns="updateid,bestbidprice,bestbidqty,bestaskprice,bestaskqty,transactiontime,eventtime",
    ),
)


_TRADE_FIELDS = (
    whole("id"),
    epoch("time", "ms", "us"),
    price("price"),
    quantity("qty"),
    flag("isbuyermaker"),
)
_QUOTE_FIELDS = (
    whole("updateid"),
    epoch("transactiontime", "ms", "us"),
    *(quantity(f"best{side}qty") for side in ("bid", "ask")),
    *(price(f"best{side}price") for side in ("bid", "ask")),
)


@dataclass(frozen=True, slots=True)
class _Plan:
    layout: _Layout
    header: bytes | None
    venue: str
    symbol: str


def matches(head: list[bytes], path: Path) -> bool:
    """Tell whether a file is one of these archives.

    Args:
        head: The first lines of its unpacked content.
        path: The file; a name like BTCUSDT-trades-2024-08-08.zip speaks for it, but does not decide.

    Returns:
        Whether the first line is a known header, or some line has the shape of one of the kinds.
    """
    texts = [line for line in head if line.strip()]
    if not texts:
        return False
    if _of_header(texts[0]) is not None:
        return True
    return any(_of_line(line, path) is not None for line in texts)


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read an archive, packed or not.

    Kinds in the accounting are "trades", "aggTrades" and "bookTicker". `seq` is the trade id, the aggregate trade id or
    the update id; `ts` of a bookTicker line is its transaction time. A side of a quote whose price and quantity are
    both 0 is empty and becomes null. Trades of nothing (quantity 0: up to a third of some months of futures) are
    ignored.

    Args:
        source: The file. Its symbol comes from its name unless given; its venue is the one given, else that of its
            folders (data/spot/…, data/futures/um/…, data/futures/cm/…), else that which its columns and symbol show.
        chunk_lines: Most lines per chunk.

    Yields:
        Chunks with either trades or quotes.

    Raises:
        ValueError: The lines are none of the kinds, or not the kind that the name says, or symbol or venue stay open.
        UnreadableFileError: The packed data is cut short or corrupt.
    """
    head = read_head(source.path)
    if not head:
        return
    plan = _plan(source, [line for line in head if line.strip()])
    fields = _QUOTE_FIELDS if plan.layout.kind == "bookTicker" else _TRADE_FIELDS
    for first_line, lines in numbered_blocks(source.path, chunk_lines):
        decoded = decode_block(lines, first_line, plan.layout.columns, fields, header=plan.header)
        yield _chunk(plan, len(lines), decoded)


def _chunk(plan: _Plan, lines: int, decoded: Decoded) -> DecodedChunk:
    rows = decoded.rows
    key = {"local_ts": None, "clock": "exchange", "venue": plan.venue, "symbol": plan.symbol, "kind": plan.layout.kind}
    chunk = DecodedChunk(lines, ignored=decoded.ignored, rejected=decoded.rejected)
    if plan.layout.kind == "bookTicker":
        sides = {
            f"{side}_{what}": resting(f"best{side}price", f"best{side}qty", f"best{side}{what}")
            for side in ("bid", "ask")
            for what in ("price", "qty")
        }
        times = {"ts": pl.col("transactiontime"), "seq": pl.col("updateid")}
        chunk.frames["quotes"] = conform("quotes", rows, **times, **key, **sides)
    else:
        rows = without_nothing(rows, "qty", plan.layout.kind, chunk.ignored)
        side = pl.when(pl.col("isbuyermaker")).then(pl.lit("sell")).otherwise(pl.lit("buy"))
        chunk.frames["trades"] = conform("trades", rows, ts=pl.col("time"), seq=pl.col("id"), side=side, **key)
    return chunk


def _plan(source: Source, texts: list[bytes]) -> _Plan:
    path = source.path
    named = _NAME.fullmatch(path.name)
    layout = _of_header(texts[0]) if texts else None
    header = None if layout is None else texts[0]
    if layout is None:
        found = Counter(layout for line in texts if (layout := _of_line(line, path)) is not None)
        layout = found.most_common(1)[0][0] if found else None  # by majority: a cut first line is like another kind
    if layout is None:
        first = texts[0][:80].decode("utf-8", "replace") if texts else ""
        raise ValueError(
            f"{path}: first line {first!r} is not allowed: a line of Binance trades, aggTrades or bookTicker"
        )
    if named is not None and named["kind"] != layout.kind:
        raise ValueError(f"{path}: the name says {named['kind']}, but the lines have the columns of {layout.kind}")
    symbol = source.symbol or (named["symbol"] if named is not None else None)
    if symbol is None:
        raise ValueError(f"{path}: symbol is in neither the name nor the lines: pass symbol, e.g. symbol=BTCUSDT")
    return _Plan(layout, header, source.venue or _venue(path, layout, symbol), symbol)


def _venue(path: Path, layout: _Layout, symbol: str) -> str:
    """Tell the venue by the folders and by the columns, which must not contradict each other."""
    market = next((part for part in reversed(path.parent.parts) if part in VENUES), None)
    if layout.kind == "bookTicker" and market is not None:
        return VENUES[market]
    if market is None:
        market = "spot" if layout.spot else _futures_market(layout, symbol)
    elif (market == "spot") != layout.spot:
        raise ValueError(
            f"{path}: folder {market!r} does not fit the {len(layout.columns)} columns of {layout.kind} in the file: "
            f"pass venue, one of {', '.join(VENUES.values())}"
        )
    return VENUES[market]


def _futures_market(layout: _Layout, symbol: str) -> str:
    """USD-M or COIN-M: the symbols of COIN-M end in USD_PERP or USD_<yymmdd>, and no other symbols do."""
    return "cm" if "baseqty" in layout.columns or re.match(COIN_MARGINED, symbol) else "um"


def _of_header(line: bytes) -> _Layout | None:
    cells = [re.sub(r"[_\s]", "", cell).lower() for cell in line.decode("utf-8", "replace").split(",")]
    names = tuple(_ALIASES.get(cell, cell) for cell in cells)
    return next((layout for layout in _LAYOUTS if layout.columns == names), None)


def _of_line(line: bytes, path: Path) -> _Layout | None:
    """Tell the layout of a line without a header; the file's name must be an archive's, or the line be unmistakable."""
    found = next((layout for layout in _LAYOUTS if layout.line.fullmatch(line.strip())), None)
    unmistakable = found is not None and (b"true" in line.lower() or b"false" in line.lower())
    return found if unmistakable or _NAME.fullmatch(path.name) else None
