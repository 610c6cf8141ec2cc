"""Whether a depth snapshot may be of a depth stream: by update ids, by prices, and by the quantities that both tell.

A snapshot is given to a stream only where no other could be meant; what is not clear is left open, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf, log
from typing import NamedTuple, Self

import msgspec
import numpy as np

from tracebank_models.market.depth_levels import read_levels

FITS = 0.02
"""Largest misfit of prices: bids 2 % above the other's asks, or 10 % below its bids, since prices move meanwhile."""
CLEAR_OF = 3 * FITS
"""Misfit of prices above which a stream is out of the question."""
_FAR = 5
_ENOUGH = 3
_Side = dict[float, float]


class StreamUpdate(NamedTuple):
    """One difference of a depth stream."""

    line: int
    first: int
    """Update id that it begins with; of futures the one that it follows on."""
    last: int
    bids: msgspec.Raw
    asks: msgspec.Raw


@dataclass(slots=True)
class DepthStream:
    """What is known of the depth stream of one instrument around a snapshot."""

    symbol: str
    first: int
    last: int
    near: list[StreamUpdate] = field(default_factory=list)
    """Differences near the snapshot, in file order."""

    def widen(self, first: int, last: int) -> Self:
        """Take the ids of more differences into account."""
        self.first, self.last = min(self.first, first), max(self.last, last)
        return self

    def has_id(self, last_update: int) -> bool:
        """Whether a snapshot's id is among the stream's, or off by no more than these span.

        A snapshot that was asked for before the stream began or after it ended has an id outside, but not far outside.
        """
        span = self.last - self.first
        return self.first - span <= last_update <= self.last + span


class SnapshotLevels:
    """The levels of a snapshot, to be held against streams."""

    def __init__(self, last_update: int, bids: msgspec.Raw, asks: msgspec.Raw) -> None:
        self.last_update = last_update
        self._bids, self._asks = _sides([(bids, asks)])

    def misfit(self, stream: DepthStream) -> float | None:
        """How far the prices of a stream's bids and asks are from those of the snapshot; None where there are none.

        As logarithms of ratios: a bid above the snapshot's best ask counts in full, as an ask below its best bid does;
        a fifth of it counts by how much the best of the stream falls short of the snapshot's.
        """
        bids, asks = _sides((update.bids, update.asks) for update in stream.near)
        best_bid = max(self._bids, default=min(self._asks, default=0.0))
        best_ask = min(self._asks, default=best_bid)
        found = []
        if bids:
            found += [_excess(max(bids), best_ask), _excess(best_bid, max(bids)) / _FAR]
        if asks:
            found += [_excess(best_bid, min(asks)), _excess(min(asks), best_ask) / _FAR]
        return max(found) if found and best_bid else None

    def agreement(self, stream: DepthStream) -> tuple[int, int]:
        """Levels within the snapshot that the stream last set to the quantity that it shows, and to another one."""
        known = [(update.bids, update.asks) for update in stream.near if update.last <= self.last_update]
        same = other = 0
        for shown, told, sign in zip((self._bids, self._asks), _sides(known), (1, -1), strict=True):
            end = min((sign * price for price in shown), default=inf)
            within = [price for price in told if sign * price >= end and (told[price] or price in shown)]
            agreed = sum(shown.get(price) == told[price] for price in within)
            same, other = same + agreed, other + len(within) - agreed
        return same, other


def may_be_of(snapshot: SnapshotLevels, streams: Sequence[DepthStream]) -> list[str]:
    """Return the symbols of the streams that a snapshot may be of; it is known to be of one if that is the only one."""
    misfits = [(stream, snapshot.misfit(stream)) for stream in streams if stream.has_id(snapshot.last_update)]
    likely = [(stream, misfit) for stream, misfit in misfits if misfit is None or misfit <= CLEAR_OF]
    if len(likely) == 1:
        return [stream.symbol for stream, misfit in likely if misfit is not None and misfit <= FITS]
    agreed = {stream.symbol: snapshot.agreement(stream) for stream, _ in likely}
    certain = [symbol for symbol, (same, other) in agreed.items() if same >= _ENOUGH and not other]
    contradicted = [symbol for symbol, (_, other) in agreed.items() if other]
    return certain if len(certain) == 1 and len(contradicted) == len(agreed) - 1 else list(agreed)


def _sides(pairs: Iterable[tuple[msgspec.Raw, msgspec.Raw]]) -> tuple[_Side, _Side]:
    """Return the quantity at each price of bids and of asks, the last that was told."""
    texts = [text for pair in pairs for text in pair]
    levels = read_levels(texts)
    is_ask = np.repeat(np.arange(len(texts)) % 2 == 1, levels.counts)
    bids, asks = (
        dict(zip(levels.price[side].tolist(), levels.qty[side].tolist(), strict=True)) for side in (~is_ask, is_ask)
    )
    return bids, asks


def _excess(price: float, other: float) -> float:
    return log(price / other) if price > 0 and other > 0 else inf
