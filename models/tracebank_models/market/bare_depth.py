"""Depth messages that come without their stream's name: which of them are differences, and which whole snapshots.

Futures send both in one shape, so that only a stream of them tells: partial depth has 5, 10 or 20 levels on both sides,
best first and none of quantity zero, in every message. Spot's partial depth has a shape of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec
import numpy as np

from tracebank_models.market.binance_messages import Messages
from tracebank_models.market.stream_lines import StreamLines

_STREAM = "@depth"
_SIZES = (5, 10, 20)
_ENOUGH = 2


class _Depth(msgspec.Struct, gc=False):
    s: str
    pu: int
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]


_depth = msgspec.json.Decoder(_Depth, strict=False)


class BareDepth:
    """What the first lines of a file tell of its depth messages without a stream's name."""

    def __init__(self, head: StreamLines) -> None:
        """Look at the messages of a file's first lines."""
        sizes: dict[str, list[int]] = defaultdict(list)
        for payload in head.groups.get(_STREAM, ((), ()))[1]:
            try:
                message = _depth.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # a difference of spot (no `pu`), or a bad line that is rejected where it is read
            sizes[message.s].append(_size(message))
        self._sizes = {
            symbol: found[0]
            for symbol, found in sizes.items()
            if len(found) >= _ENOUGH and {*found} == {found[0]} != {0}
        }

    def told_apart(self, stream: str, messages: Messages) -> Iterator[Messages]:
        """Yield messages of a stream, those of partial depth with the kind that their stream's name would give them."""
        if stream != _STREAM or not self._sizes or not messages.items:
            yield messages
            return
        kinds = [self._kind(item.s, messages.kind) for item in messages.items]
        for kind in dict.fromkeys(kinds):
            at = np.array([index for index, its_kind in enumerate(kinds) if its_kind == kind])
            items = [messages.items[index] for index in at]
            yield Messages(kind, items, messages.line[at], messages.local[at], dict(messages.problems))

    def _kind(self, symbol: str, kind: str) -> str:
        return f"{kind}{self._sizes[symbol]}" if symbol in self._sizes else kind


def _size(message: _Depth) -> int:
    """Return how many levels a message has if it may be a snapshot, else 0."""
    bids, asks = [price for price, _ in message.b], [price for price, _ in message.a]
    best_first = bids == sorted(bids, reverse=True) and asks == sorted(asks)
    something = all(qty > 0 for side in (message.b, message.a) for _, qty in side)
    return len(bids) if len(bids) == len(asks) and len(bids) in _SIZES and best_first and something else 0
