"""Recordings of Bybit, OKX and Kraken: `<local ns> <message>` a line, of which the trades are read.

What their messages mean belongs here; who recorded them is told by `recorded_lines`. Sources: bybit-exchange.github.io
(v5, publicTrade), www.okx.com/docs-v5 (trades, trades-all), docs.kraken.com (WebSocket v2 and v1, trade).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from tracebank_models.market.cells import (
    Field,
    check,
    choice,
    conform,
    epoch_time,
    integer,
    iso_time,
    price,
    quantity,
    seconds_time,
    text,
    time_of,
    without_nothing,
)
from tracebank_models.market.chunks import DecodedChunk, RejectedLine, Source
from tracebank_models.market.csv_blocks import MAX_TEXT
from tracebank_models.market.recorded_lines import as_recorded, recorded_blocks
from tracebank_models.market.trade_dumps import BYBIT_INVERSE

_LINE = re.compile(rb"\s*(?:(\d{9,20})\s+)?([{\[].*)", re.DOTALL)
_COLUMNS = ("line", "local", "venue", "kind", "symbol", "ts", "price", "qty", "side", "id")
_OKX_KINDS = {"trades": "aggTrades", "trades-all": "trades"}
_OF_REPLIES = {"event", "op", "method", "success", "status", "result"}
_Trade = tuple[object, ...]
"""Venue, kind, symbol, time, price, quantity, side and id, as they are written."""
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(float_hook=str)  # numbers as they are written: prices are checked with the others
_FIELDS = (
    time_of("local", epoch_time(integer("local"), "ms", "us", "ns"), optional=True),
    text("venue"),
    text("kind"),
    text("symbol"),
    time_of("ts", pl.coalesce(epoch_time(integer("ts"), "ms"), seconds_time("ts"), iso_time("ts"))),
    price("price"),
    quantity("qty"),
    choice("side", {"buy": "buy", "sell": "sell", "b": "buy", "s": "sell"}),
    Field("id", integer("id"), "anything", pl.lit(True)),
)


def matches(head: list[bytes], path: Path) -> bool:  # noqa: ARG001 - every reader is asked the same way
    """Tell whether a file's first lines are messages of these venues.

    Args:
        head: The first lines of its unpacked content.
        path: The file; not looked at.
    """
    return any(_is_theirs(line) for line in as_recorded(head))


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read the trades of a recording; other messages are ignored, and counted by what they are.

    Kinds in the accounting are "publicTrade" (Bybit), "trades" and "aggTrades" (OKX: its channels `trades-all` and
    `trades`, which aggregates) and "trade" (Kraken); of other messages the topic or channel. `seq` is the venue's trade
    id, where it is a whole number; Bybit's derivatives and Kraken's first protocol have none, and theirs are numbered.

    Args:
        source: The file; its venue, where given, is that of all lines: Bybit's messages do not name the market, which
            is told by the fields that spot has not.
        chunk_lines: Most lines per chunk.

    Raises:
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: The file cannot be opened or read.
    """
    done, rows_done, has_ids = 0, 0, True
    for block in recorded_blocks(source.path, chunk_lines):
        chunk = DecodedChunk(len(block))
        raw = _trades(block, done + 1, chunk)
        rows = _checked(raw, block, done + 1, chunk)
        has_ids = has_ids and bool((rows["id"] >= 0).fill_null(False).all())
        seq = pl.col("id") if has_ids else pl.int_range(rows_done + 1, rows_done + 1 + pl.len(), dtype=pl.Int64)
        venue = source.venue or pl.col("venue")
        made: dict[str, pl.Expr | str | None] = {
            "local_ts": pl.col("local"),
            "clock": "exchange",
            "venue": venue,
            "seq": seq,
        }
        chunk.frames["trades"] = conform("trades", rows, **made)
        chunk.has_ids = has_ids
        done, rows_done = done + len(block), rows_done + rows.height
        yield chunk


def _is_theirs(line: bytes) -> bool:
    parts = _LINE.fullmatch(line)
    try:
        message = _decode.decode(parts[2]) if parts else None
    except _UNREADABLE:
        return False
    if isinstance(message, list):
        return len(message) >= 4 and isinstance(message[0], int) and isinstance(message[-2], str)
    return isinstance(message, dict) and any({one, "data"} <= message.keys() for one in ("topic", "arg", "channel"))


def _trades(block: list[bytes], first: int, chunk: DecodedChunk) -> pl.DataFrame:
    """The trades of all messages, as text; other messages are counted in the chunk."""
    rows: list[tuple[object, ...]] = []
    for number, line in enumerate(block, first):
        parts = _LINE.fullmatch(line)
        try:
            kind, trades = _told(_decode.decode(parts[2])) if parts else _unread(line)
            found = list(trades)
        except (*_UNREADABLE, LookupError, TypeError, AttributeError) as error:
            chunk.rejected.append(RejectedLine(number, f"not a message that is known: {error}", _shown(line)))
            continue
        if not found:
            chunk.ignored[kind] = chunk.ignored.get(kind, 0) + 1
        local = parts[1].decode() if parts and parts[1] else None
        rows += [(number, local, *(None if cell is None else str(cell) for cell in trade)) for trade in found]
    return pl.DataFrame(rows, schema={"line": pl.Int64, **dict.fromkeys(_COLUMNS[1:], pl.String)}, orient="row")


def _unread(line: bytes) -> tuple[str, Iterable[_Trade]]:
    if line.strip():
        raise LookupError("neither a JSON object nor an array after a receive time")
    return "blank", ()


def _told(message: Any) -> tuple[str, Iterable[_Trade]]:
    """What kind of message it is, and the trades in it."""
    if isinstance(message, list):
        kind = str(message[-2])
        return kind, _kraken_1(message) if kind == "trade" else ()
    if "topic" in message:
        kind = message["topic"].partition(".")[0]
        return kind, map(_bybit, message["data"]) if kind == "publicTrade" else ()
    if "arg" in message and "data" in message:
        channel = message["arg"]["channel"]
        kind = _OKX_KINDS.get(channel, channel)
        return kind, (_okx(one, kind) for one in message["data"]) if channel in _OKX_KINDS else ()
    if "channel" in message:
        kind = message["channel"]
        return kind, map(_kraken_2, message["data"]) if kind == "trade" else ()
    if message.keys() & _OF_REPLIES:
        return "subscription_reply", ()
    raise LookupError(f"members {', '.join(message)[:100]}")


def _bybit(one: dict[str, Any]) -> _Trade:
    """Spot has no `L`, the direction of the price."""
    if "L" not in one:
        venue = "bybit_spot"
    else:
        venue = "bybit_inverse" if re.search(BYBIT_INVERSE, one["s"]) else "bybit_linear"
    return venue, "publicTrade", one["s"], one["T"], one["p"], one["v"], one["S"], one["i"]


def _okx(one: dict[str, Any], kind: str) -> _Trade:
    return "okx", kind, one["instId"], one["ts"], one["px"], one["sz"], one["side"], one["tradeId"]


def _kraken_2(one: dict[str, Any]) -> _Trade:
    return "kraken", "trade", one["symbol"], one["timestamp"], one["price"], one["qty"], one["side"], one["trade_id"]


def _kraken_1(message: list[Any]) -> Iterator[_Trade]:
    for cost, volume, time, side, *_ in message[1]:
        yield "kraken", "trade", message[-1], time, cost, volume, side, None


def _checked(raw: pl.DataFrame, block: list[bytes], first: int, chunk: DecodedChunk) -> pl.DataFrame:
    """Values of trades; a line with a bad one is rejected with all that are in it."""
    rows, bad = check(raw, _FIELDS, lambda index: _shown(block[raw["line"][index] - first]))
    if bad:
        worst = {one.line: one for one in reversed(bad)}
        chunk.rejected = sorted([*chunk.rejected, *worst.values()], key=lambda one: one.line)
        rows = rows.filter(~pl.col("line").is_in(list(worst)))
    kept = rows.filter(pl.col("qty") != 0)
    if (
        kept.height < rows.height
    ):  # a line that is left without any trade is ignored; another counts with the rest of it
        gone = rows.join(kept, on="line", how="anti").unique("line")
        without_nothing(gone, "qty", gone["kind"][0] if gone.height else "", chunk.ignored)
    return kept


def _shown(line: bytes) -> str:
    return line[: 4 * MAX_TEXT].decode("utf-8", "replace")[:MAX_TEXT]
