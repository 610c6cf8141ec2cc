"""Binance's live streams: which there are of each market, what they are called and at which addresses they are had.

Nothing is connected to here, and what the messages mean is read by `stream_lines` and `binance_messages`. Sources:
developers.binance.com, "WebSocket Streams" of spot and "Websocket Market Streams" of USD-M and COIN-M futures, and the
change notice of USD-M of 2026-03-06, since which books and trades are at /public and what is aggregated at /market.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tracebank_models.market.instruments import COINM, SPOT, USDM

MOST_STREAMS: Final = 100
"""Streams of one connection: the venues take 200 or 1,024, but all have to be named in one address."""
MOST_CONNECTIONS: Final = 20
"""Connections of one recording: the venues take 300 of an address in five minutes, those after a loss counted."""

_MINUTES = "1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d|3d|1w|1M"
_SYMBOL = re.compile(r"\w{2,40}")
_DIFFERENCES = re.compile(r"depth(@\d+ms)?")


@dataclass(frozen=True, slots=True)
class StreamVenue:
    """One of Binance's markets, as far as a recorder has to know it."""

    name: str
    roots: tuple[tuple[str, str], ...]
    """Regular expressions of streams, and the address up to `/stream` at which those that match are had."""
    depth_address: str
    """Of REST snapshots, up to the `?`."""
    depth_limit: int
    """Levels of a side to ask a snapshot for."""
    speeds: tuple[int, ...]
    """Milliseconds that may be asked for between two messages of depth."""
    intervals: str
    """Of bars, as a regular expression."""

    def root(self, stream: str) -> str | None:
        """The address up to `/stream` of a stream such as "depth10@100ms"; None where the venue has no such stream."""
        speeds = "|".join(map(str, self.speeds))
        form = rf"trade|aggTrade|bookTicker|kline_({self.intervals})|depth(5|10|20)?(@({speeds})ms)?"
        if not re.fullmatch(form, stream):
            return None
        return next(root for pattern, root in self.roots if re.match(pattern, stream))

    @property
    def allowed(self) -> str:
        """The streams that there are, in words."""
        speeds = ", ".join(f"@{speed}ms" for speed in self.speeds)
        return (
            "trade, aggTrade, bookTicker, kline_1m (and other intervals), depth, depth5, depth10, depth20,"
            f" the last four also with {speeds}"
        )


VENUES: Final = {
    venue.name: venue
    for venue in (
        StreamVenue(
            SPOT,
            (("", "wss://data-stream.binance.vision"),),
            "https://data-api.binance.vision/api/v3/depth",
            5000,
            (100,),
            f"1s|{_MINUTES}",
        ),
        StreamVenue(
            USDM,
            (("aggTrade|kline", "wss://fstream.binance.com/market"), ("", "wss://fstream.binance.com/public")),
            "https://fapi.binance.com/fapi/v1/depth",
            1000,
            (0, 100, 500),
            _MINUTES,
        ),
        StreamVenue(
            COINM,
            (("", "wss://dstream.binance.com"),),
            "https://dapi.binance.com/dapi/v1/depth",
            1000,
            (0, 100, 500),
            _MINUTES,
        ),
    )
}
"""Venues whose streams can be followed, by the name that their rows have. `@0ms` is not documented, and works."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One connection, and what comes over it."""

    address: str
    streams: dict[str, str]
    """Symbol of each stream, by the stream's whole name, such as "btcusdt@depth10@100ms"."""


def venue_named(name: str) -> StreamVenue:
    """Return a venue.

    Raises:
        ValueError: There is no such venue.
    """
    if name not in VENUES:
        raise ValueError(f"venue: {name!r} is not allowed; allowed: {', '.join(VENUES)}")
    return VENUES[name]


def subscriptions(venue: StreamVenue, symbols: Sequence[str], streams: Sequence[str]) -> list[Subscription]:
    """Return the connections that give all these streams of all these symbols.

    Args:
        venue: Where they trade.
        symbols: In any case, each counted once.
        streams: Such as "trade" or "depth10@100ms".

    Raises:
        ValueError: Nothing is named, a name cannot be one, or they are too many.
    """
    by_root: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for symbol in checked_symbols(symbols):
        for stream in _checked_streams(venue, streams):
            by_root[venue.root(stream) or ""].append((f"{symbol.lower()}@{stream}", symbol))
    parts = [
        (root, dict(named[at : at + MOST_STREAMS]))
        for root, named in by_root.items()
        for at in range(0, len(named), MOST_STREAMS)
    ]
    if len(parts) > MOST_CONNECTIONS:
        count = sum(map(len, by_root.values()))
        raise ValueError(f"streams: {count:,} are too many; allowed: up to {MOST_STREAMS * MOST_CONNECTIONS:,}")
    return [Subscription(f"{root}/stream?streams={quote('/'.join(named), safe='/@')}", named) for root, named in parts]


def checked_symbols(symbols: Iterable[str]) -> list[str]:
    """Return symbols as the venues write them, each once.

    Raises:
        ValueError: There is none, or one cannot be a symbol.
    """
    found = list(dict.fromkeys(symbol.strip().upper() for symbol in symbols))
    if not found:
        raise ValueError("symbols: none is named; allowed: one or more, such as BTCUSDT")
    for symbol in found:
        if not _SYMBOL.fullmatch(symbol):
            raise ValueError(f"symbol: {symbol[:60]!r} is not allowed; allowed: letters and digits, such as BTCUSDT")
    return found


def is_of_differences(stream: str) -> bool:
    """Tell whether a stream's whole name is one of depth differences, whose book needs a snapshot to stand on."""
    return _DIFFERENCES.fullmatch(stream.partition("@")[2]) is not None


def _checked_streams(venue: StreamVenue, streams: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(stream.strip() for stream in streams))
    if not found:
        raise ValueError(f"streams: none is named; allowed: {venue.allowed}")
    for stream in found:
        if venue.root(stream) is None:
            raise ValueError(f"stream: {stream[:60]!r} is not one of {venue.name}; allowed: {venue.allowed}")
    return found
