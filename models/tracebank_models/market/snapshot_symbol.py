"""Which instrument a REST depth snapshot that names none belongs to: the one whose depth stream it fits.

Spot and USD-M snapshots carry an update id and no symbol. A recorder asks for one when it opens a depth stream, so the
file's own depth streams, before the snapshot and for some while after, are the candidates. Ids alone do not tell: all
symbols of USD-M share one sequence. What fits is the business of `stream_fit`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy as np
import polars as pl

from tracebank_models.market.binance_messages import (
    ABSENT,
    DepthSnapshot,
    DepthUpdate,
    Messages,
    decode_messages,
    decoders,
    depth_keys,
)
from tracebank_models.market.binance_venues import Venues
from tracebank_models.market.stream_fit import DepthStream, SnapshotLevels, StreamUpdate, may_be_of
from tracebank_models.market.stream_lines import SNAPSHOT_KIND, StreamLines, kind_of

LOOK_AHEAD_LINES = 16_384
"""Lines after a snapshot in which its stream is looked for."""
_NEAR = 16
_NAMED = 5


_difference = decoders([DepthUpdate])[DepthUpdate]
_Key = tuple[str, bool]
"""Symbol, and whether it is of futures, whose streams and snapshots have fields that those of spot do not."""


class LineWindow:
    """Blocks of lines, and a look at the lines that follow the block last given out."""

    def __init__(self, blocks: Iterator[list[bytes]]) -> None:
        self._blocks = blocks
        self._ahead: deque[list[bytes]] = deque()
        self.current: list[bytes] = []

    def __iter__(self) -> Iterator[list[bytes]]:
        """Give out the blocks in turn."""
        while True:
            block = self._ahead.popleft() if self._ahead else next(self._blocks, None)
            if block is None:
                return
            self.current = block
            yield block

    def beyond(self, count: int) -> Iterator[bytes]:
        """Yield up to `count` lines after the current block."""
        while sum(map(len, self._ahead)) < count and (block := next(self._blocks, None)) is not None:
            self._ahead.append(block)
        return islice(chain.from_iterable(self._ahead), max(count, 0))


class SnapshotSymbols:
    """Names the snapshots of one file."""

    def __init__(self, window: LineWindow, given: str = "") -> None:
        """Name snapshots.

        Args:
            window: The file's lines.
            given: The symbol of those that no depth stream names, where the source says it.
        """
        self._window = window
        self._given = given
        self._before: dict[_Key, DepthStream] = {}

    def remember(self, keys: list[pl.DataFrame], items: list[Any]) -> None:
        """Remember of each depth stream of a block the range of its ids, and its last differences.

        Args:
            keys: The block's depth messages (of `depth_keys`).
            items: The messages.
        """
        for key, update in _updates(keys, items, _NEAR):
            _take(self._before, key, update)
            del self._before[key].near[:-_NEAR]
        for part in keys:
            ids = (pl.coalesce("prev_seq", "first_seq").min().alias("low"), pl.col("seq").max())
            spans = part.filter(pl.col("first_seq").is_not_null()).group_by("symbol", pl.col("prev_seq").is_not_null())
            for symbol, futures, low, high in spans.agg(*ids).iter_rows():
                self._before[symbol, futures].widen(low, high)

    def name(self, messages: Messages, lines_before: int, keys: list[pl.DataFrame], items: list[Any]) -> None:
        """Set the symbol of snapshots that have none; those whose symbol cannot be told become problems.

        Args:
            messages: Snapshots of the current block.
            lines_before: Lines of the file before the current block.
            keys: The current block's depth differences (of `depth_keys`).
            items: The messages of these.
        """
        nameless = [line for item, line in zip(messages.items, messages.line.tolist(), strict=True) if not item.s]
        if not nameless:
            return
        around = sorted(chain(_updates(keys, items), self._ahead(lines_before, nameless[-1])), key=_line)
        kept = []
        for index, (item, line) in enumerate(zip(messages.items, messages.line.tolist(), strict=True)):
            if not item.s:
                item.s, problem = self._symbol(item, line, around)
                if problem:
                    messages.problems[line] = problem
                    continue
            kept.append(index)
        messages.items = [messages.items[index] for index in kept]
        at = np.array(kept, np.int64)
        messages.line, messages.local = messages.line[at], messages.local[at]

    def _ahead(self, lines_before: int, last_line: int) -> Iterator[tuple[_Key, StreamUpdate]]:
        """Yield the differences after the current block that are near enough to its last nameless snapshot."""
        first = lines_before + len(self._window.current) + 1
        lines = StreamLines(list(self._window.beyond(last_line + LOOK_AHEAD_LINES - first + 1)), first)
        for stream, (places, payloads) in lines.groups.items():
            kind = kind_of(stream)
            if kind.startswith("depth") and kind != SNAPSHOT_KIND:
                at = np.array(places)
                messages = decode_messages(_difference, kind, payloads, at + first, lines.local[at])
                yield from _updates([depth_keys(messages, Venues())], messages.items)

    def _symbol(self, item: DepthSnapshot, line: int, around: Iterable[tuple[_Key, StreamUpdate]]) -> tuple[str, str]:
        """Return the symbol of the one stream that a snapshot fits, or why there is none."""
        futures = item.T != ABSENT
        streams = {key: replace(stream, near=[*stream.near]) for key, stream in self._before.items()}
        after: dict[_Key, int] = {}
        for key, update in around:
            if update.line > line + LOOK_AHEAD_LINES:
                break
            if update.line > line:
                after[key] = after.get(key, 0) + 1
            _take(streams, key, update, is_near=after.get(key, 0) <= _NEAR)
        candidates = [stream for (_, of_futures), stream in streams.items() if of_futures == futures]
        for stream in candidates:
            before = sum(update.line < line for update in stream.near)
            del stream.near[: max(before - _NEAR, 0)]
        fitting = may_be_of(SnapshotLevels(item.u, item.b, item.a), candidates)
        if len(fitting) == 1:
            return fitting[0], ""
        told = fitting or [stream.symbol for stream in candidates]
        if self._given and (self._given in fitting or not candidates):
            return self._given, ""
        names = ", ".join(sorted(told)[:_NAMED]) + (f" and {len(told) - _NAMED} more" if len(told) > _NAMED else "")
        which = (
            f"several depth streams: {names}" if fitting else f"no depth stream near it ({names or 'there is none'})"
        )
        return "", f"a snapshot without a symbol, whose update id and prices fit {which}; --symbol tells it"


def _take(streams: dict[_Key, DepthStream], key: _Key, update: StreamUpdate, *, is_near: bool = True) -> None:
    """Take one more difference into account."""
    known = streams.setdefault(key, DepthStream(key[0], update.first, update.last))
    known.widen(update.first, update.last)
    if is_near:
        known.near.append(update)


def _updates(
    keys: list[pl.DataFrame], items: list[Any], last: int | None = None
) -> Iterator[tuple[_Key, StreamUpdate]]:
    """Yield the depth differences of a block, or the last so many of each stream, in file order within each kind."""
    for part in keys:
        differences = part.filter(pl.col("first_seq").is_not_null())
        if last is not None:
            differences = differences.group_by("symbol", pl.col("prev_seq").is_not_null(), maintain_order=True).tail(
                last
            )
        for line, symbol, item in differences.select("line", "symbol", "item").iter_rows():
            message = items[item]
            of_futures = message.pu != ABSENT
            first = message.pu if of_futures else message.U
            yield (symbol, of_futures), StreamUpdate(line, first, message.u, message.b, message.a)


def _line(pair: tuple[_Key, StreamUpdate]) -> int:
    return pair[1].line
