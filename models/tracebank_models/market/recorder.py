"""Reader of what a recorder wrote: a local receive time in ns, a space, and a line of Binance's (combined) stream.

Here lines are told apart and handed, by kind, to `binance_messages`; a line without a receive time, or without the
stream's name around its data, is read too. Which instrument a REST snapshot that names none belongs to is found by
`snapshot_symbol`. Books are not built here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

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
from tracebank_models.market.chunks import DecodedChunk, RejectedLine, Source
from tracebank_models.market.codecs import iter_line_blocks
from tracebank_models.market.snapshot_symbol import LineWindow, SnapshotSymbols
from tracebank_models.market.timestamps import NO_TIME, to_nanoseconds

TEXT_LIMIT = 500
"""Most characters kept of a rejected line."""

SNAPSHOT_KIND = "depth_snapshot"

_TIMED = b'0000000000000000000 {"stream'
_UNTIMED = b'{"stream'
_NAME = re.compile(rb'"([^"]*)","data')
_LINE = re.compile(rb"\s*(\d{0,20})\s*(\{.*\})\s*", re.DOTALL)
_HEAD = re.compile(rb'\s*(\d{9,20}\s+)?\{\s*"(stream|data|e|lastUpdateId|u|result|id)"\s*:')
_STREAM = re.compile(r"[\w!.@-]*")
_PARTIAL = re.compile(r"depth(5|10|20)(@\d+ms)?")
_DIFFERENCE = re.compile(r"depth(@\d+ms)?")
_SHAPES = decoders((Trade, AggregateTrade, BookTicker, DepthUpdate, DepthSnapshot))
_any_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any_value = msgspec.json.Decoder(msgspec.Raw)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


def matches(head: list[bytes], path: Path) -> bool:  # noqa: ARG001 - every reader is asked the same question
    """Tell whether a file's first lines are a recorder's: one of them starts as a line of a stream does."""
    return any(_HEAD.match(line) for line in head)


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Yield what a recorder's file holds.

    Of `trade` and `aggTrade`, and of depth differences and partial depth, the one that comes first for an instrument is
    kept and the other ignored: together they would count everything twice.

    Args:
        source: The file; `venue`, where set, is that of all its lines.
        chunk_lines: Most lines per chunk.

    Raises:
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: The file cannot be opened or read.
    """
    window = LineWindow(iter_line_blocks(source.path, chunk_lines))
    recording = _Recording(source, SnapshotSymbols(window))
    for block in window:
        yield recording.decode(block)


class _Recording:
    """What is known of a file while its blocks are decoded one after the other."""

    def __init__(self, source: Source, snapshots: SnapshotSymbols) -> None:
        self._venue = source.venue
        self._snapshots = snapshots
        self._lines_before = 0
        self._kept: dict[tuple[str, str, str], str] = {}

    def decode(self, block: list[bytes]) -> DecodedChunk:
        """Decode the next lines of the file."""
        chunk = DecodedChunk(len(block))
        first = self._lines_before + 1
        split = _Split(block, first)
        problems = split.problems
        for kind, count in split.ignored.items():
            chunk.ignored[kind] = chunk.ignored.get(kind, 0) + count
        groups = [(stream, self._messages(stream, split)) for stream in split.groups]
        self._trades(chunk, [messages for _, messages in groups if messages.kind in ("trade", "aggTrade")])
        self._quotes(chunk, [messages for _, messages in groups if messages.kind == "bookTicker"])
        self._depth(chunk, groups)
        for _, messages in groups:
            problems |= messages.problems
        chunk.rejected = [_rejected(line, problems[line], block[line - first]) for line in sorted(problems)]
        self._lines_before += len(block)
        return chunk

    def _messages(self, stream: str, split: _Split) -> Messages:
        """Decode the lines of one stream."""
        kind = _kind(stream)
        places, payloads = split.groups[stream]
        at = np.array(places, np.int64)
        shape = _shape(kind, payloads[0])
        return decode_messages(_SHAPES[shape], kind, payloads, at + split.first, split.local[at])

    def _trades(self, chunk: DecodedChunk, groups: list[Messages]) -> None:
        frames = []
        for messages in filter(lambda group: group.items, groups):
            frame, ignored = trade_rows(messages, self._venue)
            frames.append(frame)
            _count(chunk, ignored)
        chunk.trades = _joined(self._first_kinds("trades", chunk, frames))

    def _quotes(self, chunk: DecodedChunk, groups: list[Messages]) -> None:
        chunk.quotes = _joined([quote_rows(messages, self._venue) for messages in groups if messages.items])

    def _depth(self, chunk: DecodedChunk, groups: list[tuple[str, Messages]]) -> None:
        """Decode differences, REST snapshots and partial depth."""
        items: list[Any] = []
        owners: list[tuple[pl.DataFrame, Messages]] = []
        for stream, messages in groups:
            if messages.items and messages.kind.startswith("depth"):
                keys = self._depth_keys(stream, messages)
                self._snapshots.remember(keys)
                owners.append((keys.with_columns(pl.col("item") + len(items)), messages))
                items += messages.items
        frames = self._first_kinds("book", chunk, [keys for keys, _ in owners])
        partial = [keys for keys in frames if len(keys) and _PARTIAL.fullmatch(keys["kind"][0])]
        flowing = [keys for keys in frames if len(keys) and not _PARTIAL.fullmatch(keys["kind"][0])]
        problems: dict[int, str] = {}
        if (joined := _joined(partial)) is not None:
            chunk.book, problems = book_rows(joined, items)
        if (joined := _joined(flowing)) is not None:
            chunk.depth, more = depth_events(joined, items)
            problems |= more
        for _, messages in owners:
            messages.problems |= {line: problems[line] for line in messages.line.tolist() if line in problems}

    def _depth_keys(self, stream: str, messages: Messages) -> pl.DataFrame:
        if messages.kind == SNAPSHOT_KIND:
            self._snapshots.name(messages, self._lines_before)
            if not messages.items:
                return pl.DataFrame()
        return depth_keys(messages, self._venue, stream.partition("@")[0].upper())

    def _first_kinds(self, table: str, chunk: DecodedChunk, frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
        """Keep, for each instrument, the rows of the kind of stream that came first; count the others as ignored."""
        pairs = ["venue", "symbol"]
        rivals = [frame for frame in frames if len(frame) and frame["kind"][0] != SNAPSHOT_KIND]
        if rivals:
            firsts = pl.concat([frame.select(*pairs, "kind", "line").unique(pairs, keep="first") for frame in rivals])
            for venue, symbol, kind, _ in firsts.sort("line").iter_rows():
                self._kept.setdefault((table, venue, symbol), kind)
        return [self._without_rivals(table, chunk, frame) for frame in frames if len(frame)]

    def _without_rivals(self, table: str, chunk: DecodedChunk, frame: pl.DataFrame) -> pl.DataFrame:
        kind = frame["kind"][0]
        keys = [key for key, kept in self._kept.items() if key[0] == table and self._is_rival(kind, kept)]
        if not keys:
            return frame
        lost = pl.any_horizontal((pl.col("venue") == venue) & (pl.col("symbol") == symbol) for _, venue, symbol in keys)
        kept = frame.filter(~lost)
        if len(kept) < len(frame):
            _count(chunk, {kind: len(frame) - len(kept)})
        return kept

    @staticmethod
    def _is_rival(kind: str, kept: str) -> bool:
        if kind == SNAPSHOT_KIND:  # goes with differences, and means nothing beside partial depth
            return _PARTIAL.fullmatch(kept) is not None
        return kind != kept


class _Split:
    """The lines of a block, by stream, with their receive times."""

    def __init__(self, block: list[bytes], first: int) -> None:
        self.first = first
        self.groups: dict[str, tuple[list[int], list[bytes]]] = {}
        self.ignored: dict[str, int] = defaultdict(int)
        self.problems: dict[int, str] = {}
        # A usual line falls into `1723161254087896568 {"stream`, `"btcusdt@trade","data` and `{…}}`.
        heads: list[bytes] = []
        names: list[bytes] = []
        payloads: list[bytes] = []
        for line in block:
            try:
                head, name, payload = line.split(b'":', 2)
            except ValueError:
                head = name = payload = b""
            heads.append(head)
            names.append(name)
            payloads.append(payload)
        self.local, usual = _receive_times(heads)
        codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
        code = np.fromiter(map(codes.__getitem__, names), np.int64, len(names))
        order = np.argsort(code, kind="stable")
        bounds = np.searchsorted(code[order], np.arange(len(codes) + 1))
        for name, index in codes.items():
            places = order[bounds[index] : bounds[index + 1]]
            stream = _NAME.fullmatch(name)
            if stream is None:
                usual[places] = False
                continue
            kept = [place for place in places[usual[places]].tolist() if payloads[place][-1:] == b"}"]
            usual[places] = False
            usual[kept] = True
            if kept:
                self._add_group(stream[1].decode("utf-8", "replace"), (kept, [payloads[place][:-1] for place in kept]))
        for place in np.flatnonzero(~usual).tolist():
            self.local[place] = self._receive_time(place, self._add_unusual(place, block[place]))
        self._note_absurd_times()
        self._drop_problems()

    def _add_group(self, stream: str, group: tuple[list[int], list[bytes]]) -> None:
        """Take in the lines of one stream, or count them where nothing of it is stored."""
        known = _STREAM.fullmatch(stream) is not None
        if known and _is_stored(_kind(stream)):
            places, payloads = self.groups.setdefault(stream, ([], []))
            places += group[0]
            payloads += group[1]
            return
        for place, payload in zip(*group, strict=True):
            try:
                _any_value.decode(payload)
                reason = "" if known else f"stream name {stream[:80]!r} is not one of letters, digits and !@._-"
            except _UNREADABLE as error:
                reason = str(error)
            if reason:
                self.problems[self.first + place] = reason
            else:
                self.ignored[_kind(stream)] += 1

    def _add_unusual(self, place: int, line: bytes) -> bytes:
        """Take in a line that is not the combined stream's usual text; return its receive time."""
        if not line.strip():
            self.ignored["blank"] += 1
            return b""
        parts = _LINE.fullmatch(line)
        if parts is None:
            self.problems[self.first + place] = "not a receive time and a JSON object"
            return b""
        try:
            stream, payload = _unwrapped(parts[2])
        except (*_UNREADABLE, LookupError) as error:
            self.problems[self.first + place] = str(error.args[0] if isinstance(error, LookupError) else error)
            return b""
        if not stream:
            self.ignored["subscription_reply"] += 1
            return b""
        self._add_group(stream, ([place], [payload]))
        return parts[1]

    def _receive_time(self, place: int, head: bytes) -> int:
        text = head.strip()
        if not text:
            return NO_TIME
        if not text.isdigit() or len(text) > 19 or int(text) >= 2**63:
            self.problems[self.first + place] = "what stands before the JSON object is not a receive time"
            return NO_TIME
        return int(text)

    def _note_absurd_times(self) -> None:
        """Bring the receive times to ns, noting those that cannot be."""
        self.local, sensible = to_nanoseconds(self.local)
        for place in np.flatnonzero(~sensible & (self.local != NO_TIME)).tolist():
            self.problems[self.first + place] = "the receive time is outside the years 2000 to 2099"

    def _drop_problems(self) -> None:
        """Take the lines with problems out of the groups, in which they stand where only their receive time is bad."""
        if not self.problems:
            return
        for stream, (places, payloads) in list(self.groups.items()):
            kept = [index for index, place in enumerate(places) if self.first + place not in self.problems]
            if len(kept) < len(places):
                self.groups[stream] = ([places[index] for index in kept], [payloads[index] for index in kept])
            if not kept:
                del self.groups[stream]


def _receive_times(heads: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read what stands before the stream's name, where it is 19 digits or nothing.

    Returns:
        The receive time of each line, `NO_TIME` where there is none, and whether the line starts as it should.
    """
    times = np.full(len(heads), NO_TIME, np.int64)
    sizes = np.fromiter(map(len, heads), np.int64, len(heads))
    usual = np.zeros(len(heads), np.bool_)
    for size in (len(_TIMED), len(_UNTIMED)):
        places = np.flatnonzero(sizes == size)
        text = b"".join(heads if len(places) == len(heads) else [heads[place] for place in places.tolist()])
        characters = np.frombuffer(text, np.uint8).reshape(-1, size)
        fixed = np.frombuffer(_UNTIMED if size == len(_UNTIMED) else _TIMED[19:], np.uint8)
        good = (characters[:, -len(fixed) :] == fixed).all(axis=1)
        if size == len(_TIMED):
            digits = characters[:, :19] - np.uint8(48)
            good &= (digits <= 9).all(axis=1)
            values = np.zeros(len(places), np.int64)
            for column in range(19):
                values = values * 10 + digits[:, column]
            times[places] = np.where(good, values, NO_TIME)
        usual[places] = good
    return times, usual


def _unwrapped(text: bytes) -> tuple[str, bytes]:
    """Return the stream's name and data of a JSON object in any of the ways that Binance sends them.

    The name is empty for the reply to a subscription.

    Raises:
        LookupError: The object is none that is known.
    """
    members = _any_object.decode(text)
    if "stream" in members and "data" in members:
        return msgspec.json.decode(members["stream"], type=str), bytes(members["data"])
    if "e" in members:
        event = msgspec.json.decode(members["e"], type=str)
        return "@depth" if event == "depthUpdate" else f"@{event}", text
    if "lastUpdateId" in members:
        return f"@{SNAPSHOT_KIND}", text
    if {"u", "s", "b", "B", "a", "A"} <= members.keys():
        return "@bookTicker", text
    if {"id", "result", "error", "code"} & members.keys():
        return "", text
    raise LookupError(f"no known kind of message: members {', '.join(list(members)[:10])[:100]}")


def _kind(stream: str) -> str:
    """Return what follows the instrument in a stream's name; `!bookTicker` and the like are of all instruments."""
    symbol, at, kind = stream.partition("@")
    return kind if at and not symbol.startswith("!") else stream.removeprefix("!")


def _is_stored(kind: str) -> bool:
    if kind in ("trade", "aggTrade", "bookTicker", SNAPSHOT_KIND):
        return True
    return _DIFFERENCE.fullmatch(kind) is not None or _PARTIAL.fullmatch(kind) is not None


def _shape(kind: str, payload: bytes) -> type[msgspec.Struct]:
    """Return the shape of a stored kind; partial depth has one on spot and another on futures."""
    if kind in ("trade", "aggTrade"):
        return Trade if kind == "trade" else AggregateTrade
    if kind == "bookTicker":
        return BookTicker
    if kind == SNAPSHOT_KIND or (_PARTIAL.fullmatch(kind) and b'"lastUpdateId"' in payload[:40]):
        return DepthSnapshot
    return DepthUpdate


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
