"""One instrument's ten-level book, line by line, as `recorder` and `order_books` together make it of whole files.

A tick is a row that those would store as whole, with ten levels on both sides; between two ticks of one segment nothing
was left out. Times are the recorder's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracebank_models.market.binance_messages import ABSENT, DepthUpdate
from tracebank_models.market.book_arrays import BookOutput, DepthSlice
from tracebank_models.market.chunks import BOOK_DEPTH
from tracebank_models.market.depth_levels import Levels, read_levels
from tracebank_models.market.order_book import STATES, Fate, OrderBook
from tracebank_models.market.recorder import SHAPES, shape_of
from tracebank_models.market.stream_lines import PARTIAL_DEPTH, SNAPSHOT_KIND, StreamLines, kind_of, symbol_of
from tracebank_models.market.timestamps import NO_TIME

_WHOLE = STATES.index("whole")
_ONE = np.zeros(1, np.int64)
_UPDATE = (
    b'1700000000000000000 {"stream":"a@depth","data":{"s":"A","E":1,"U":%d,"u":%d,"b":[["1","1"]],"a":[["2","1"]]}}'
)
_SNAPSHOT = b'1700000000000000000 {"lastUpdateId":2,"bids":[["1","1"]],"asks":[["2","1"]]}'


@dataclass(frozen=True, slots=True, eq=False)
class LiveTick:
    """A book that is known whole, ten levels a side, the best first."""

    time_ns: int
    """When the recorder received it, since 1970."""
    seq: int
    """The exchange's update id."""
    segment: int
    """Number of the unbroken stretch of ticks."""
    bid_price: NDArray[np.float64]
    """`[10]`, as the others."""
    bid_qty: NDArray[np.float64]
    ask_price: NDArray[np.float64]
    ask_qty: NDArray[np.float64]


class LiveBook:
    """The book of one instrument. Of several depth streams the one that comes first counts, as it does for files."""

    def __init__(self, symbol: str) -> None:
        """Begin without a book.

        Args:
            symbol: As the exchange writes it; lines of others are passed over, and what names none is taken as its.
        """
        self.symbol = symbol
        self.lines = 0
        self.rejected = 0
        """Lines that could not be read."""
        self.left_out = 0
        """Books that were no tick: partial, stale, crossed, or of fewer levels."""
        self._book = OrderBook()
        self._kind = ""
        self._last = ABSENT
        self._segment = 0
        self._broken = False

    def take(self, line: bytes) -> LiveTick | None:
        """Take the next line; return the tick that it makes, None where it makes none.

        Args:
            line: `<receive time in ns> <JSON>`, without a line end.
        """
        self.lines += 1
        told = StreamLines([line], self.lines)
        self.rejected += len(told.problems)
        for stream, (_, payloads) in told.groups.items():
            if kind_of(stream).startswith("depth"):
                return self._take_depth(stream, payloads[0], int(told.local[0]))
        return None

    def _take_depth(self, stream: str, payload: bytes, local_ns: int) -> LiveTick | None:
        kind = kind_of(stream)
        try:
            message = SHAPES[shape_of(kind, payload)].decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.rejected += 1
            return None
        if (message.s or symbol_of(stream) or self.symbol) != self.symbol or not self._counts(kind):
            return None
        levels = read_levels([message.b, message.a])
        backward = isinstance(message, DepthUpdate) and message.u < message.U
        if levels.errors or backward or local_ns == NO_TIME:
            self.rejected += 1
            return None
        if PARTIAL_DEPTH.fullmatch(kind):
            return self._replaced(message, levels, local_ns)
        return self._changed(message, levels, local_ns)

    def _counts(self, kind: str) -> bool:
        """Tell whether a kind of depth makes the book: the first one, and snapshots beside differences."""
        if kind == SNAPSHOT_KIND:
            return not PARTIAL_DEPTH.fullmatch(self._kind)
        self._kind = self._kind or kind
        return kind == self._kind

    def _replaced(self, message: Any, levels: Levels, local_ns: int) -> LiveTick | None:
        """Take a message that is the whole of what is shown; one that comes again is dropped."""
        if message.u <= self._last:
            return None
        self._last = message.u
        sides = np.full((4, BOOK_DEPTH), np.nan)
        bids = int(levels.counts[0])
        for at, numbers in enumerate((levels.price, levels.qty)):
            for side, told in ((at, numbers[:bids]), (2 + at, numbers[bids:])):
                sides[side, : len(told)] = told[:BOOK_DEPTH]
        return self._tick(sides, local_ns, message.u)

    def _changed(self, message: Any, levels: Levels, local_ns: int) -> LiveTick | None:
        """Apply differences, or the snapshot that they stand on."""
        snapshot = not isinstance(message, DepthUpdate)
        first, prev = (ABSENT, ABSENT) if snapshot else (message.U, message.pu)
        ts, seq, before, follows = (np.array([number], np.int64) for number in (local_ns, message.u, first, prev))
        offsets = np.array([0, len(levels.price)], np.int64)
        told = np.arange(len(levels.price)) < levels.counts[0], levels.price, levels.qty
        event = DepthSlice(_ONE, ts, seq, before, follows, np.array([snapshot]), offsets, *told)
        output = BookOutput.of(1)
        self._book.apply(event, output)
        if output.fate[0] != Fate.APPLIED:
            return None
        whole = output.state[0] == _WHOLE
        sides = output.levels.reshape(4, BOOK_DEPTH) if whole else np.full((4, BOOK_DEPTH), np.nan)
        return self._tick(sides, local_ns, message.u)

    def _tick(self, sides: NDArray[np.float64], local_ns: int, seq: int) -> LiveTick | None:
        if not np.isfinite(sides).all() or sides[0, 0] >= sides[2, 0]:
            self.left_out += 1
            self._broken = True
            return None
        self._segment += self._broken
        self._broken = False
        return LiveTick(local_ns, seq, self._segment, *sides)


def warm_up() -> None:
    """Load the compiled loops: it takes a second that the first lines would have to wait."""
    book = LiveBook("A")
    for line in (_UPDATE % (1, 1), _SNAPSHOT, _UPDATE % (3, 3)):
        book.take(line)
