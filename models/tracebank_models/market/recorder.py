"""Reader of what a recorder wrote: a local receive time in ns, a space, and a line of Binance's (combined) stream.

What cryptofeed and tardis.dev record is put into this form by `recorded_lines`.

Lines are told apart by `stream_lines` and their data read by `binance_messages`; here is what is true of a whole file:
which of two streams of the same trades or the same book counts, and the order of lines. Which instrument a REST
snapshot that names none belongs to is found by `snapshot_symbol`. Books are not built here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from tracebank_models.market.bare_depth import BareDepth
from tracebank_models.market.binance_klines import Kline, kline_rows
from tracebank_models.market.binance_messages import (
    AggregateTrade,
    BookTicker,
    DepthSnapshot,
    DepthUpdate,
    Messages,
    Trade,
    book_rows,
    decode_messages,
    decoders,
    depth_events,
    depth_keys,
    quote_rows,
    trade_rows,
)
from tracebank_models.market.binance_venues import LOOK_AHEAD_LINES, venues_of
from tracebank_models.market.chunks import DecodedChunk, RejectedLine, Source
from tracebank_models.market.recorded_lines import as_recorded, recorded_blocks
from tracebank_models.market.snapshot_symbol import LineWindow, SnapshotSymbols
from tracebank_models.market.stream_lines import (
    KLINES,
    PARTIAL_DEPTH,
    SNAPSHOT_KIND,
    TRADE_KINDS,
    StreamLines,
    kind_of,
    symbol_of,
)

TEXT_LIMIT = 500
"""Most characters kept of a rejected line."""


_HEAD = re.compile(rb'\s*(\d{9,20}\s+)?\{\s*"(stream|data|e|lastUpdateId|u|result|id)"\s*:')
SHAPES = decoders((Trade, AggregateTrade, BookTicker, Kline, DepthUpdate, DepthSnapshot))
"""A decoder for each shape that a message may have."""


def matches(head: list[bytes], path: Path) -> bool:  # noqa: ARG001 - every reader is asked the same question
    """Tell whether a file's first lines are a recorder's: one of them starts as a line of a stream does."""
    return any(_HEAD.match(line) for line in as_recorded(head))


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Yield what a recorder's file holds.

    Of `trade` and `aggTrade`, and of depth differences and partial depth, the one that comes first for an instrument is
    kept and the other ignored: together they would count everything twice.

    Args:
        source: The file; `venue`, where set, is that of all its lines, and `symbol` of depth that names none.
        chunk_lines: Most lines per chunk.

    Raises:
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: The file cannot be opened or read.
    """
    window = LineWindow(recorded_blocks(source.path, chunk_lines))
    recording = _Recording(source, window)
    for block in window:
        yield recording.decode(block)


class _Recording:
    """What is known of a file while its blocks are decoded one after the other."""

    def __init__(self, source: Source, window: LineWindow) -> None:
        head = StreamLines(list(window.beyond(LOOK_AHEAD_LINES)), 1)
        self._venues = venues_of(head, source.venue)
        self._bare_depth = BareDepth(head)
        self._symbol = (source.symbol or "").upper()
        self._snapshots = SnapshotSymbols(window, self._symbol)
        self._lines_before = 0
        self._kept: dict[tuple[str, str, str], tuple[str, int]] = {}

    def decode(self, block: list[bytes]) -> DecodedChunk:
        """Decode the next lines of the file."""
        chunk = DecodedChunk(len(block))
        first = self._lines_before + 1
        split = StreamLines(block, first)
        problems = split.problems
        _count(chunk, split.ignored)
        groups = [(stream, messages) for stream in split.groups for messages in self._messages(stream, split)]
        self._trades(chunk, [messages for _, messages in groups if messages.kind in TRADE_KINDS])
        self._quotes(chunk, [messages for _, messages in groups if messages.kind == "bookTicker"])
        self._bars(chunk, [messages for _, messages in groups if KLINES.fullmatch(messages.kind)])
        self._depth(chunk, groups)
        for _, messages in groups:
            problems |= messages.problems
        chunk.rejected = [_rejected(line, problems[line], block[line - first]) for line in sorted(problems)]
        self._lines_before += len(block)
        return chunk

    def _messages(self, stream: str, lines: StreamLines) -> Iterator[Messages]:
        """Decode the lines of one stream; partial depth has one shape on spot and another on futures."""
        kind = kind_of(stream)
        places, payloads = lines.groups[stream]
        by_shape: dict[type[msgspec.Struct], tuple[list[int], list[bytes]]] = {}
        if PARTIAL_DEPTH.fullmatch(kind):
            for place, payload in zip(places, payloads, strict=True):
                shape = by_shape.setdefault(shape_of(kind, payload), ([], []))
                shape[0].append(place)
                shape[1].append(payload)
        else:
            by_shape[shape_of(kind, payloads[0])] = places, payloads
        for its_shape, (its_places, its_payloads) in by_shape.items():
            at = np.array(its_places)
            messages = decode_messages(SHAPES[its_shape], kind, its_payloads, at + lines.first, lines.local[at])
            yield from self._bare_depth.told_apart(stream, messages)

    def _trades(self, chunk: DecodedChunk, groups: list[Messages]) -> None:
        frames = []
        for messages in filter(lambda group: group.items, groups):
            frame, ignored = trade_rows(messages, self._venues)
            frames.append(frame)
            _count(chunk, ignored)
        _put(chunk, "trades", self._first_kinds("trades", chunk, frames))

    def _quotes(self, chunk: DecodedChunk, groups: list[Messages]) -> None:
        _put(chunk, "quotes", [quote_rows(messages, self._venues) for messages in groups if messages.items])

    def _bars(self, chunk: DecodedChunk, groups: list[Messages]) -> None:
        frames = []
        for messages in filter(lambda group: group.items, groups):
            frame, ignored = kline_rows(messages, self._venues)
            frames.append(frame)
            _count(chunk, ignored)
        _put(chunk, "bars", frames)

    def _depth(self, chunk: DecodedChunk, groups: list[tuple[str, Messages]]) -> None:
        """Decode differences, REST snapshots and partial depth."""
        items: list[Any] = []
        owners: list[tuple[pl.DataFrame, Messages]] = []
        for stream, messages in sorted(groups, key=lambda group: group[1].kind == SNAPSHOT_KIND):
            if messages.kind == SNAPSHOT_KIND:
                self._snapshots.name(messages, self._lines_before, [keys for keys, _ in owners], items)
            if messages.items and messages.kind.startswith("depth"):
                keys = depth_keys(messages, self._venues, symbol_of(stream) or self._symbol)
                owners.append((keys.with_columns(pl.col("item") + len(items)), messages))
                items += messages.items
        self._snapshots.remember([keys for keys, _ in owners], items)
        frames = self._first_kinds("book", chunk, [keys for keys, _ in owners])
        partial = [keys for keys in frames if len(keys) and PARTIAL_DEPTH.fullmatch(keys["kind"][0])]
        flowing = [keys for keys in frames if len(keys) and not PARTIAL_DEPTH.fullmatch(keys["kind"][0])]
        problems: dict[int, str] = {}
        if (joined := _joined(partial)) is not None:
            chunk.frames["book"], problems = book_rows(joined, items)
        if (joined := _joined(flowing)) is not None:
            chunk.depth, more = depth_events(joined, items)
            problems |= more
        for _, messages in owners:
            messages.problems |= {line: problems[line] for line in messages.line.tolist() if line in problems}

    def _first_kinds(self, table: str, chunk: DecodedChunk, frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
        """Keep, for each instrument, the rows of the kind of stream that came first; count the others as ignored."""
        pairs = ["venue", "symbol"]
        rivals = [frame for frame in frames if len(frame) and frame["kind"][0] != SNAPSHOT_KIND]
        if rivals:
            firsts = pl.concat([frame.select(*pairs, "kind", "line").unique(pairs, keep="first") for frame in rivals])
            for venue, symbol, kind, line in firsts.sort("line").iter_rows():
                self._kept.setdefault((table, venue, symbol), (kind, line))
        return [self._without_rivals(table, chunk, frame) for frame in frames if len(frame)]

    def _without_rivals(self, table: str, chunk: DecodedChunk, frame: pl.DataFrame) -> pl.DataFrame:
        kind = frame["kind"][0]
        lost = pl.lit(False)
        for (of, venue, symbol), (kept_kind, since) in self._kept.items():
            if of == table and self._is_rival(kind, kept_kind):
                lost |= (pl.col("venue") == venue) & (pl.col("symbol") == symbol) & (pl.col("line") > since)
        kept = frame.filter(~lost)
        if len(kept) < len(frame):
            _count(chunk, {kind: len(frame) - len(kept)})
        return kept

    @staticmethod
    def _is_rival(kind: str, kept: str) -> bool:
        if kind == SNAPSHOT_KIND:  # goes with differences, and means nothing beside partial depth
            return PARTIAL_DEPTH.fullmatch(kept) is not None
        return kind != kept


def shape_of(kind: str, payload: bytes) -> type[msgspec.Struct]:
    """Return the shape of a stored kind; partial depth has one on spot and another on futures."""
    if kind in TRADE_KINDS:
        return AggregateTrade if kind == "aggTrade" else Trade
    if kind == "bookTicker":
        return BookTicker
    if KLINES.fullmatch(kind):
        return Kline
    if kind == SNAPSHOT_KIND or (PARTIAL_DEPTH.fullmatch(kind) and b'"lastUpdateId"' in payload[:40]):
        return DepthSnapshot
    return DepthUpdate


def _put(chunk: DecodedChunk, table: str, frames: list[pl.DataFrame]) -> None:
    if (rows := _joined(frames)) is not None:
        chunk.frames[table] = rows


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame | None:
    """Return the rows of several kinds in file order."""
    filled = [frame for frame in frames if len(frame)]
    if len(filled) < 2:
        return filled[0] if filled else None
    return pl.concat(filled).sort("line")


def _count(chunk: DecodedChunk, ignored: dict[str, int]) -> None:
    for kind, count in ignored.items():
        chunk.ignored[kind] = chunk.ignored.get(kind, 0) + count


def _rejected(line: int, reason: str, text: bytes) -> RejectedLine:
    return RejectedLine(line, reason, text[: 4 * TEXT_LIMIT].decode("utf-8", "replace")[:TEXT_LIMIT])
