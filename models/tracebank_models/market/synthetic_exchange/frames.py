"""The rows of a synthetic day as Polars frames, in the columns of the stored tables. No feed defects, no bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.chunks import BOOK, QUOTES, TRADES

from .configuration import SyntheticMarket
from .feed import Arrival, arrive, local_times, new_feed
from .instrument import Instrument
from .tape import DEPTH10, PUBLISHED_DEPTH, QUOTE, TRADE, Tape
from .venue_session import VenueSession

_MS = 1_000_000


@dataclass(slots=True)
class SimulatedDay:
    """What one venue published for one symbol, in the order it happened; the file of the day carries the same rows."""

    trades: pl.DataFrame
    """Columns of `chunks.TRADES`; `ts` is the exchange's transaction time in whole milliseconds."""
    quotes: pl.DataFrame
    """Columns of `chunks.QUOTES`."""
    book: pl.DataFrame
    """Columns of `chunks.BOOK`: the ten-level snapshots."""


@dataclass(slots=True)
class _Columns:
    """Turns integers of a tape into the columns that every table has."""

    market: SyntheticMarket
    instrument: Instrument
    venue: str

    def key(self, time_ns: NDArray[np.int64], local_ns: NDArray[np.int64], seq: NDArray[np.int64]) -> dict[str, object]:
        day_ns = int(datetime.combine(self.market.day, time(), UTC).timestamp()) * 1_000_000_000
        return {
            "ts": pl.Series(time_ns // _MS * _MS + day_ns, dtype=pl.Int64).cast(pl.Datetime("ns", "UTC")),
            "local_ts": pl.Series(local_ns + day_ns, dtype=pl.Int64).cast(pl.Datetime("ns", "UTC")),
            "clock": pl.repeat("exchange", time_ns.size, dtype=pl.String, eager=True),
            "venue": pl.repeat(self.venue, time_ns.size, dtype=pl.String, eager=True),
            "symbol": pl.repeat(self.instrument.symbol, time_ns.size, dtype=pl.String, eager=True),
            "seq": pl.Series(np.array(seq), dtype=pl.Int64),
        }

    def price(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        # Whole units over a power of ten round to the float that the written decimal parses to.
        return np.asarray(ticks * self.instrument.tick_units / 10**self.instrument.price_decimals, np.float64)

    def qty(self, lots: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(lots * self.instrument.lot_units / 10**self.instrument.qty_decimals, np.float64)

    def trades(self, tape: Tape, arrival: Arrival) -> pl.DataFrame:
        rows = int(tape.sizes[0])
        values = tape.trades[:rows]
        key = self.key(values[:, 0], local_times(tape, arrival, TRADE, rows), values[:, 1])
        side = pl.Series(values[:, 4] == 1).replace_strict({True: "buy", False: "sell"}, return_dtype=pl.String)
        return pl.DataFrame({**key, "price": self.price(values[:, 2]), "qty": self.qty(values[:, 3]), "side": side})

    def quotes(self, tape: Tape, arrival: Arrival) -> pl.DataFrame:
        rows = int(tape.sizes[1])
        values = tape.quotes[:rows]
        key = self.key(values[:, 0], local_times(tape, arrival, QUOTE, rows), values[:, 1])
        bid = {"bid_price": self.price(values[:, 2]), "bid_qty": self.qty(values[:, 3])}
        return pl.DataFrame({**key, **bid, "ask_price": self.price(values[:, 4]), "ask_qty": self.qty(values[:, 5])})

    def book(self, tape: Tape, arrival: Arrival) -> pl.DataFrame:
        rows = int(tape.sizes[2]) if tape.streams[DEPTH10] else 0
        mine = slice(1, rows + 1)
        local = local_times(tape, arrival, DEPTH10, rows, first=1)
        columns = self.key(tape.heads[mine, 0], local, tape.heads[mine, 2])
        columns["state"] = pl.repeat("whole", rows, dtype=pl.String, eager=True)
        for side, name in enumerate(("bid", "ask")):
            for level in range(PUBLISHED_DEPTH):
                columns[f"{name}_price_{level}"] = self.price(tape.ladders[mine, side, 0, level])
            for level in range(PUBLISHED_DEPTH):
                columns[f"{name}_qty_{level}"] = self.qty(tape.ladders[mine, side, 1, level])
        return pl.DataFrame(columns)


def simulate_chunks(market: SyntheticMarket, symbol: str, venue: str) -> Iterator[SimulatedDay]:
    """Simulate one venue and symbol in bounded memory.

    Yields:
        The next rows of each table; chunks put together are `simulate`.

    Raises:
        ValueError: The market has no such symbol or venue.
    """
    session = VenueSession.of(market, symbol, venue)
    columns, feed = _Columns(market, session.instrument, venue), new_feed(market, symbol, venue)
    for tape in session.tapes():
        arrival = arrive(feed, tape, market.defects)
        day = SimulatedDay(columns.trades(tape, arrival), columns.quotes(tape, arrival), columns.book(tape, arrival))
        yield day


def simulate(market: SyntheticMarket, symbol: str, venue: str) -> SimulatedDay:
    """Simulate one venue and symbol of a market.

    The rows are those of the file that `write_day` makes, before lines are lost, doubled, delayed or garbled; a
    stream that the market does not write has no rows.

    Raises:
        ValueError: The market has no such symbol or venue.
    """
    parts = list(simulate_chunks(market, symbol, venue))
    day = SimulatedDay(
        *(pl.concat([getattr(part, name) for part in parts]) for name in ("trades", "quotes", "book"))
    )  # fmt: skip
    for frame, schema in ((day.trades, TRADES), (day.quotes, QUOTES), (day.book, BOOK)):
        assert frame.schema == pl.Schema(schema), frame.schema
    return day
