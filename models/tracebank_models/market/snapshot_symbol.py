"""Which instrument a REST depth snapshot that names none belongs to: the one whose depth stream it fits.

Spot and USD-M snapshots carry an update id and no symbol. A recorder asks for one when it opens a depth stream, so the
file's own depth streams, before the snapshot and shortly after, are the candidates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice

import msgspec
import numpy as np
import polars as pl

from tracebank_models.market.binance_messages import Messages

LOOK_AHEAD_LINES = 4096
"""Lines after a snapshot in which its stream is looked for."""


_UNCLEAR = "a snapshot without a symbol that fits none, or several, of the depth streams: --symbol tells it"


class _DepthIds(msgspec.Struct, gc=False):
    s: str
    U: int
    u: int


_ids = msgspec.json.Decoder(_DepthIds)


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

    def following(self, place: int, count: int) -> Iterator[bytes]:
        """Yield up to `count` lines after the one at index `place` of the current block."""
        while len(self.current) - place - 1 + sum(map(len, self._ahead)) < count:
            block = next(self._blocks, None)
            if block is None:
                break
            self._ahead.append(block)
        return islice(chain(islice(self.current, place + 1, None), chain.from_iterable(self._ahead)), count)


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
        self._before: dict[str, tuple[int, int]] = {}

    def remember(self, keys: list[pl.DataFrame]) -> None:
        """Remember the update ids of a block's depth messages (of `depth_keys`), the first and last of each symbol."""
        _widen(self._before, keys)

    def name(self, messages: Messages, lines_before: int, keys: list[pl.DataFrame]) -> None:
        """Set the symbol of snapshots that have none; those whose symbol cannot be told become problems.

        Args:
            messages: Snapshots of the current block.
            lines_before: Lines of the file before the current block.
            keys: The current block's depth differences (of `depth_keys`).
        """
        kept = []
        for index, (item, line) in enumerate(zip(messages.items, messages.line.tolist(), strict=True)):
            if not item.s:
                before = dict(self._before)
                _widen(before, [part.filter(pl.col("line") < line) for part in keys])
                item.s = self._symbol(item.u, before, line - lines_before - 1) or self._given
            if item.s:
                kept.append(index)
            else:
                messages.problems[line] = _UNCLEAR
        messages.items = [messages.items[index] for index in kept]
        at = np.array(kept, np.int64)
        messages.line, messages.local = messages.line[at], messages.local[at]

    def _symbol(self, last_update: int, ranges: dict[str, tuple[int, int]], place: int) -> str:
        """Return the one symbol whose depth stream the snapshot fits, or nothing."""
        for line in self._window.following(place, LOOK_AHEAD_LINES):
            if b'"depthUpdate"' in line and (ids := _depth_ids(line)) is not None:
                first, last = ranges.get(ids.s, (ids.U, ids.u))
                ranges[ids.s] = (min(first, ids.U), max(last, ids.u))
        if len(ranges) == 1:
            return next(iter(ranges))
        fitting = [symbol for symbol, (first, last) in ranges.items() if first - 1 <= last_update <= last]
        return fitting[0] if len(fitting) == 1 else ""


def _widen(ranges: dict[str, tuple[int, int]], keys: list[pl.DataFrame]) -> None:
    """Widen the range of each symbol's update ids by those of decoded differences."""
    for part in keys:
        spans = part.filter(pl.col("first_seq").is_not_null()).group_by("symbol")
        for symbol, first, last in spans.agg(pl.col("first_seq").min(), pl.col("seq").max()).iter_rows():
            low, high = ranges.get(symbol, (first, last))
            ranges[symbol] = (min(low, first), max(high, last))


def _depth_ids(line: bytes) -> _DepthIds | None:
    """Return the symbol and update ids of a line with a depth difference in it."""
    start = line.find(b'"data":')
    payload = line[start + 7 :].rstrip()[:-1] if start >= 0 else line[line.find(b"{") :]
    try:
        return _ids.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
