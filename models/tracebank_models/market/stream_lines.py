"""A recorder's lines, told apart: which stream each is of, when it was received, and what its data is.

A line may come with or without a receive time, with the stream's name around its data or without. What the data of a
stream mean is not read here.
"""

from __future__ import annotations

import re
from collections import defaultdict

import msgspec
import numpy as np

from tracebank_models.market.line_layout import layout
from tracebank_models.market.timestamps import NO_TIME, to_nanoseconds

SNAPSHOT_KIND = "depth_snapshot"
"""Kind of REST depth snapshots, which come between a recorder's lines and are of no stream."""

KLINES = re.compile(r"kline(_\d+[smhdwM])?")
"""Kinds of streams of bars."""

PARTIAL_DEPTH = re.compile(r"depth(5|10|20)(@\d+ms)?")
"""Kinds of partial depth: whole snapshots of the best levels."""

TRADE_KINDS = ("trade", "aggTrade", "optionTrade")
"""Kinds of trades; as bare JSON, those of options call themselves `trade`."""

_DEPTH_DIFFERENCE = re.compile(r"depth(@\d+ms)?")
_LINE = re.compile(rb"\s*(\d{0,20})\s*(\{.*\})\s*", re.DOTALL)
_STREAM = re.compile(r"[\w!.@-]*")
_any_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any_value = msgspec.json.Decoder(msgspec.Raw)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class StreamLines:
    """The lines of a block, by stream, with their receive times.

    Attributes:
        groups: Of each stream of which something is stored, the places of its lines in the block, ascending, and their
            data.
        local: Receive time of each line of the block in ns, `NO_TIME` where there is none.
        ignored: Lines that carry nothing to store, by kind.
        problems: Why a line could not be read, by its number.
    """

    def __init__(self, block: list[bytes], first: int) -> None:
        """Tell lines apart.

        Args:
            block: Lines.
            first: Number of the first of them.
        """
        self.first = first
        self.groups: dict[str, tuple[list[int], list[bytes]]] = {}
        self.ignored: dict[str, int] = defaultdict(int)
        self.problems: dict[int, str] = {}
        self._added_to: set[str] = set()
        found = layout(block)
        self.local = found.local
        for index, name in enumerate(found.names):
            self._add_group(name.decode("utf-8", "replace"), found.of_stream(index))
        for place in np.flatnonzero(found.stream < 0).tolist():
            self.local[place] = self._receive_time(place, self._add_unusual(place, block[place]))
        self._note_absurd_times()
        unordered = set(self.groups) if self.problems else self._added_to
        for stream in unordered & self.groups.keys():
            self._tidy(stream)

    def _add_group(self, stream: str, group: tuple[list[int], list[bytes]]) -> None:
        """Take in the lines of one stream, or count them where nothing of it is stored."""
        known = _STREAM.fullmatch(stream) is not None
        if known and _is_stored(kind_of(stream)):
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
                self.ignored[kind_of(stream)] += 1

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
        self._added_to.add(stream)
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

    def _tidy(self, stream: str) -> None:
        """Bring a stream's lines into file order, and drop those whose receive time turned out to be bad."""
        places, payloads = self.groups[stream]
        kept = sorted(
            (index for index, place in enumerate(places) if self.first + place not in self.problems),
            key=places.__getitem__,
        )
        self.groups[stream] = ([places[index] for index in kept], [payloads[index] for index in kept])
        if not kept:
            del self.groups[stream]


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


def kind_of(stream: str) -> str:
    """Return what follows the instrument in a stream's name; `!bookTicker` and the like are of all instruments."""
    symbol, at, kind = stream.partition("@")
    return kind if at and not symbol.startswith("!") else stream.removeprefix("!")


def symbol_of(stream: str) -> str:
    """Return the instrument in a stream's name as the exchange writes it; empty where there is none."""
    symbol, at, _ = stream.partition("@")
    return symbol.upper() if at and not symbol.startswith("!") else ""


def _is_stored(kind: str) -> bool:
    if kind in (*TRADE_KINDS, "bookTicker", SNAPSHOT_KIND) or KLINES.fullmatch(kind):
        return True
    return _DEPTH_DIFFERENCE.fullmatch(kind) is not None or PARTIAL_DEPTH.fullmatch(kind) is not None
