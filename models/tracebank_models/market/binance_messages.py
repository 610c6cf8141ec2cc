"""Binance's stream messages: their typed shapes, and columns of them.

Spot, USD-M, COIN-M and options share these shapes; which of them a message is of is told by `binance_venues`. What
wraps a message (a recorder's line, a combined stream), which of two streams of one instrument is kept, and order books
are not the business of this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.binance_venues import Venues
from tracebank_models.market.cells import resting
from tracebank_models.market.chunks import BOOK_DEPTH, BOOK_LEVELS, DECODED, DepthEvents
from tracebank_models.market.depth_levels import Levels, Price, Quantity, read_levels
from tracebank_models.market.stream_lines import SNAPSHOT_KIND
from tracebank_models.market.timestamps import NO_TIME, time_column, to_nanoseconds

ABSENT = NO_TIME
"""Stands for a number that a message does not have."""

EVENTS = [*list(DECODED["trades"])[:6], "first_seq", "prev_seq", "is_snapshot", "line", "kind"]
"""Columns of `DepthEvents.events`."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_AnyNumber = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Trade(msgspec.Struct, gc=False):
    """`trade`, and `optionTrade`: spot ones have `M`, the others `X` (what kind of fill it was)."""

    s: _Symbol
    p: Price
    q: Quantity
    T: Number
    m: bool
    seq: Number = msgspec.field(name="t")
    X: str = ""
    M: bool | None = None


class AggregateTrade(msgspec.Struct, gc=False):
    """`aggTrade`: spot ones have `M`."""

    s: _Symbol
    p: Price
    q: Quantity
    T: Number
    m: bool
    seq: Number = msgspec.field(name="a")
    M: bool | None = None
    X: str = ""


class BookTicker(msgspec.Struct, gc=False):
    """`bookTicker`: spot ones have no time."""

    s: _Symbol
    u: Number
    b: Price
    B: Quantity
    a: Price
    A: Quantity
    T: Number = ABSENT


class DepthUpdate(msgspec.Struct, gc=False):
    """`depthUpdate`: differences, and the partial depth of futures; futures have `T` and `pu`."""

    s: _Symbol
    E: Number
    U: Number
    u: Number
    b: msgspec.Raw
    a: msgspec.Raw
    T: Number = ABSENT
    pu: _AnyNumber = ABSENT


class DepthSnapshot(msgspec.Struct, gc=False):
    """A REST depth snapshot or spot's partial depth; USD-M has `T`, COIN-M also `symbol`."""

    u: Number = msgspec.field(name="lastUpdateId")
    b: msgspec.Raw = msgspec.field(name="bids")
    a: msgspec.Raw = msgspec.field(name="asks")
    T: Number = ABSENT
    s: str = msgspec.field(name="symbol", default="")


@dataclass(slots=True)
class Messages:
    """Messages of one kind, with where each came from."""

    kind: str
    items: list[Any]
    line: NDArray[np.int64]
    local: NDArray[np.int64]
    """Local receive time in ns, `NO_TIME` where there is none."""
    problems: dict[int, str] = field(default_factory=dict)
    """Why a line could not be read, by its number; such a line is in no frame."""

    def column(self, name: str, dtype: type[np.generic]) -> NDArray[Any]:
        """Return one numeric field of all messages."""
        return np.fromiter(map(attrgetter(name), self.items), dtype, len(self.items))

    def texts(self, name: str) -> pl.Series:
        """Return one text field of all messages."""
        return pl.Series(name, list(map(attrgetter(name), self.items)), pl.String)


def decode_messages(
    shape: msgspec.json.Decoder[Any],
    kind: str,
    payloads: list[bytes],
    line: NDArray[np.int64],
    local: NDArray[np.int64],
) -> Messages:
    """Decode payloads of one kind; one that does not fit its shape becomes a problem and the rest goes on.

    Args:
        shape: The decoder of the kind.
        kind: The kind, for the accounting.
        payloads: JSON objects.
        line: Line number of each.
        local: Receive time of each in ns.
    """
    try:
        return Messages(kind, list(map(shape.decode, payloads)), line, local)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    items, kept, problems = [], [], {}
    for index, payload in enumerate(payloads):
        try:
            items.append(shape.decode(payload))
            kept.append(index)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            problems[int(line[index])] = str(error)
    return Messages(kind, items, line[kept], local[kept], problems)


def trade_rows(messages: Messages, venues: Venues) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return messages of trades as rows, and how many were ignored, by kind.

    Ignored are fills outside the order book (insurance fund, auto-deleveraging, blocks) and those of nothing.
    """
    spot = np.fromiter((item.M is not None for item in messages.items), np.bool_, len(messages.items))
    plain = np.fromiter((not item.X for item in messages.items), np.bool_, len(messages.items))
    doubtful = ~spot & plain & (messages.kind != "aggTrade")
    maker = messages.column("m", np.bool_)
    seq = messages.column("seq", np.int64)
    frame = message_keys(messages, venues, messages.column("T", np.int64), seq, spot, doubtful)
    frame = frame.with_columns(
        pl.Series("price", messages.column("p", np.float64)),
        pl.Series("qty", messages.column("q", np.float64)),
        pl.when(pl.Series(maker)).then(pl.lit("sell")).otherwise(pl.lit("buy")).alias("side"),
        messages.texts("X").alias("fill"),
    )
    frame = without_problems(messages, frame)
    nothing = pl.col("qty") == 0
    off_book = nothing | ~pl.col("fill").is_in(["", "MARKET"])
    ignored: dict[str, int] = {}
    if frame.select(off_book.any()).item():
        marks = pl.when(pl.col("fill").is_in(["", "MARKET"])).then(pl.lit("nothing")).otherwise(pl.col("fill"))
        counts = frame.filter(off_book).select(pl.concat_str(pl.lit(f"{messages.kind}:"), marks)).to_series()
        ignored = dict(counts.value_counts().iter_rows())
        frame = frame.filter(~off_book)
    return frame.select(list(DECODED["trades"])), ignored


def quote_rows(messages: Messages, venues: Venues) -> pl.DataFrame:
    """Return `bookTicker` messages as rows. The price and quantity of a side that is empty are null."""
    time = messages.column("T", np.int64)
    frame = message_keys(messages, venues, time, messages.column("u", np.int64), time == ABSENT, time == ABSENT)
    sides = {"bid_price": "b", "bid_qty": "B", "ask_price": "a", "ask_qty": "A"}
    frame = frame.with_columns(pl.Series(to, messages.column(of, np.float64)) for to, of in sides.items())
    frame = frame.with_columns(
        resting(f"{side}_price", f"{side}_qty", f"{side}_{what}")
        for side in ("bid", "ask")
        for what in ("price", "qty")
    )
    return without_problems(messages, frame).select(list(DECODED["quotes"]))


def depth_keys(messages: Messages, venues: Venues, symbol: str = "") -> pl.DataFrame:
    """Return what identifies depth messages: the columns of `DepthEvents.events`, and `item`, the message's index.

    Args:
        messages: `DepthUpdate` or `DepthSnapshot` messages.
        venues: Of the file.
        symbol: The instrument of messages that do not name it.
    """
    snapshot = bool(messages.items) and isinstance(messages.items[0], DepthSnapshot)
    time = messages.column("T", np.int64)
    previous = np.full(len(time), ABSENT) if snapshot else messages.column("pu", np.int64)
    timeless = time == ABSENT
    doubtful = timeless & (messages.kind == SNAPSHOT_KIND)  # a stream of snapshots without a time is spot's
    exchange = time if snapshot else np.where(timeless, messages.column("E", np.int64), time)
    spot = timeless & (previous == ABSENT)
    frame = message_keys(messages, venues, exchange, messages.column("u", np.int64), spot, doubtful, symbol)
    first = None if snapshot else pl.Series(messages.column("U", np.int64))
    before = None if snapshot else pl.Series(previous)
    frame = frame.with_columns(
        pl.lit(first, pl.Int64).alias("first_seq"),
        pl.lit(before, pl.Int64).replace(ABSENT, None).alias("prev_seq"),
        pl.lit(snapshot).alias("is_snapshot"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("item"),
    )
    frame = without_problems(messages, frame)
    backward = frame.filter(pl.col("first_seq") > pl.col("seq"))
    messages.problems |= dict.fromkeys(backward["line"], "first update id U is above the last, u")
    return frame.filter((pl.col("first_seq") <= pl.col("seq")).fill_null(True))


def depth_events(keys: pl.DataFrame, items: list[Any]) -> tuple[DepthEvents, dict[int, str]]:
    """Return depth messages with their levels, and why some could not be read, by line.

    Args:
        keys: From `depth_keys`, of one or several kinds; `item` is the index into `items`.
        items: The messages.
    """
    keys, levels, problems = _with_levels(keys, items)
    per_event = levels.counts.reshape(-1, 2)
    offsets = np.concatenate(([0], np.cumsum(per_event.sum(axis=1))))
    is_bid = np.repeat(np.tile([True, False], len(per_event)), levels.counts)
    return DepthEvents(keys.select(EVENTS), offsets, is_bid, levels.price, levels.qty), problems


def book_rows(keys: pl.DataFrame, items: list[Any]) -> tuple[pl.DataFrame, dict[int, str]]:
    """Return partial depth messages as whole book rows, and why some could not be read, by line."""
    keys, levels, problems = _with_levels(keys, items)
    starts = np.cumsum(levels.counts) - levels.counts
    index = starts[:, None] + np.arange(BOOK_DEPTH)
    known = np.arange(BOOK_DEPTH) < levels.counts[:, None]
    values = [
        np.where(known, np.append(numbers, np.nan)[np.minimum(index, len(numbers))], np.nan)
        for numbers in (levels.price, levels.qty)
    ]
    blocks = [numbers[side::2] for side in (0, 1) for numbers in values]
    table = np.hstack(blocks) if len(keys) else np.empty((0, len(BOOK_LEVELS)))
    frame = keys.hstack(pl.from_numpy(table, BOOK_LEVELS).fill_nan(None))
    return frame.with_columns(pl.lit("whole").alias("state")).select(list(DECODED["book"])), problems


def _with_levels(keys: pl.DataFrame, items: list[Any]) -> tuple[pl.DataFrame, Levels, dict[int, str]]:
    """Read the levels of the messages in `keys`, in their order, leaving out those that cannot be read."""
    order = keys["item"].to_list()
    levels = read_levels([text for index in order for text in (items[index].b, items[index].a)])
    if not levels.errors:
        return keys, levels, {}
    problems = {int(keys["line"][index // 2]): f"levels: {reason}" for index, reason in levels.errors.items()}
    kept = keys.filter(~pl.col("line").is_in(list(problems)))
    again, levels, _ = _with_levels(kept, items)
    return again, levels, problems


def message_keys(
    messages: Messages,
    venues: Venues,
    exchange: NDArray[np.int64],
    seq: NDArray[np.int64],
    spot: NDArray[np.bool_],
    doubtful: NDArray[np.bool_],
    symbol: str = "",
) -> pl.DataFrame:
    """Return the key columns of messages; lines without a sensible time, a symbol or a venue are noted as problems."""
    time, sensible = to_nanoseconds(exchange)
    has_time = exchange != ABSENT
    unclear = has_time & ~sensible
    timeless = ~has_time & (messages.local == NO_TIME)
    _note(messages, unclear, "the exchange's time is outside the years 2000 to 2099")
    _note(messages, timeless, "neither an exchange time nor a receive time")
    symbols = messages.texts("s").replace("", symbol)
    venue = venues.of(symbols, spot, doubtful)
    _note(messages, (symbols == "").to_numpy(), "no symbol in it, nor in its stream's name: --symbol tells it")
    _note(messages, venue.is_null().to_numpy(), "neither one of spot (no M) nor of futures (no X): --venue tells it")
    frame = pl.DataFrame(
        [
            time_column("ts", np.where(has_time, time, messages.local)),
            time_column("local_ts", messages.local),
            pl.Series("line", messages.line),
            symbols.alias("symbol"),
            pl.Series("seq", seq),
            venue,
        ]
    )
    return frame.with_columns(
        pl.when(pl.Series(has_time)).then(pl.lit("exchange")).otherwise(pl.lit("local")).alias("clock"),
        pl.lit(messages.kind).alias("kind"),
    )


def _note(messages: Messages, wrong: NDArray[np.bool_], reason: str) -> None:
    if wrong.any():
        messages.problems |= dict.fromkeys(messages.line[wrong].tolist(), reason)


def without_problems(messages: Messages, frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out rows of messages that turned out to have a problem."""
    return frame.filter(~pl.col("line").is_in(list(messages.problems))) if messages.problems else frame


def decoders(shapes: Iterable[type[msgspec.Struct]]) -> dict[type[msgspec.Struct], msgspec.json.Decoder[Any]]:
    """Return a decoder for each shape that also takes numbers written as strings."""
    return {shape: msgspec.json.Decoder(shape, strict=False) for shape in shapes}
