"""Which of Binance's markets a stream message is of, where the source does not say: told by its symbol and its fields.

Only what is right in every era counts. Symbols of options and of COIN-M contracts have shapes that no other market's
have. Spot trades carry `M`; depth differences carry `pu` on futures alone; a transaction time, `T`, on quotes and
snapshots is of futures, but the first USD-M ones lacked it. `ps` tells nothing: COIN-M had it first, USD-M has it too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.instruments import COIN_MARGINED, COINM, OPTION, OPTIONS, SPOT, USDM
from tracebank_models.market.stream_lines import StreamLines

LOOK_AHEAD_LINES = 4096
"""Lines at the start of a file whose messages tell the market of those that by themselves are in doubt."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Venues:
    """What is known of the venues of a file's messages."""

    given: str | None = None
    """The venue of all messages, where the source names it."""
    spot: frozenset[str] = frozenset()
    """Symbols of which the file's start has messages of spot, and none of futures."""
    futures: frozenset[str] = frozenset()
    """Symbols of which it has messages of futures, and none of spot."""

    def of(self, symbol: pl.Series, spot: NDArray[np.bool_], doubtful: NDArray[np.bool_]) -> pl.Series:
        """Name the venue of messages; null where they do not tell it.

        Args:
            symbol: Their symbols.
            spot: Whether each looks like one of spot.
            doubtful: Whether its look alone does not tell it: other messages of the symbol go before.
        """
        if self.given:
            return pl.repeat(self.given, len(symbol), dtype=pl.String, eager=True).alias("venue")
        doubt, spot_like, name = pl.lit(pl.Series(doubtful)), pl.lit(pl.Series(spot)), pl.col("symbol")
        return pl.DataFrame([symbol.alias("symbol")]).select(
            pl.when(name.str.contains(OPTION))
            .then(pl.lit(OPTIONS))
            .when(name.str.contains(COIN_MARGINED))
            .then(pl.lit(COINM))
            .when(doubt & name.is_in(list(self.futures)))
            .then(pl.lit(USDM))
            .when(spot_like | (doubt & name.is_in(list(self.spot))))
            .then(pl.lit(SPOT))
            .when(~doubt)
            .then(pl.lit(USDM))
            .alias("venue")
        )["venue"]


def venues_of(head: StreamLines, given: str | None) -> Venues:
    """Find out what the first lines of a file tell of the venues of its messages.

    Args:
        head: The first `LOOK_AHEAD_LINES` lines.
        given: The venue that the source names, which decides alone.
    """
    if given:
        return Venues(given)
    seen: dict[str, set[bool]] = defaultdict(set)
    for _, payloads in head.groups.values():
        for payload in payloads:
            symbol, is_spot = _told(payload)
            if is_spot is not None:
                seen[symbol].add(is_spot)
    spot, futures = (frozenset(name for name, told in seen.items() if told == {which}) for which in (True, False))
    return Venues(None, spot, futures)


def _told(payload: bytes) -> tuple[str, bool | None]:
    """Return a message's symbol, and whether it is one of spot; None where that is in doubt."""
    try:
        members = _members.decode(payload)
        symbol = msgspec.json.decode(members["s"], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError):
        return "", None
    if "pu" in members or ("T" in members and ("U" in members or "B" in members)):
        return symbol, False
    if "U" in members or "M" in members:
        return symbol, True
    return symbol, False if "X" in members or ("a" in members and "p" in members) else None
