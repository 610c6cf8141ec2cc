"""Lines of tardis.dev's incremental_book_L2 as depth events: one level a line, one event a message.

Grouping lines into messages, across blocks too, and telling snapshots belong here; reading the lines is `tardis`, and
applying the events is the order book's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.chunks import DecodedChunk, DepthEvents
from tracebank_models.market.csv_blocks import Decoded

EVENT_COLUMNS = (
    "ts",
    "local_ts",
    "clock",
    "venue",
    "symbol",
    "seq",
    "first_seq",
    "prev_seq",
    "is_snapshot",
    "line",
    "kind",
)
"""Order of the columns of `DepthEvents.events`."""


def shared_columns(kind: str) -> dict[str, pl.Expr | str | None]:
    """The columns that every table has, but `seq`."""
    local = pl.col("timestamp") == pl.col("local_timestamp")
    return {
        "ts": pl.col("timestamp"),
        "local_ts": pl.col("local_timestamp"),
        "clock": pl.when(local).then(pl.lit("local")).otherwise(pl.lit("exchange")),
        "venue": pl.col("exchange"),
        "kind": kind,
    }


def depth_chunks(blocks: Iterator[tuple[int, Decoded]]) -> Iterator[DecodedChunk]:
    """Make events of lines; the lines of the last event of a block wait for the next, where it may go on."""
    events = _Events()
    waiting: pl.DataFrame | None = None
    for lines, decoded in blocks:
        rows, held = decoded.rows, 0
        if waiting is not None:
            held = waiting.height
            rows = pl.concat([waiting, rows])
        last = int(_starts(rows)[-1]) if rows.height else 0
        waiting = rows[last:]
        yield DecodedChunk(
            lines + held - waiting.height,
            depth=events.of(rows[:last]),
            ignored=decoded.ignored,
            rejected=decoded.rejected,
            has_ids=False,
        )
    if waiting is not None and waiting.height:
        yield DecodedChunk(waiting.height, depth=events.of(waiting), has_ids=False)


def _starts(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Find the rows that start an event: those that came in another message than the row before."""
    message = ("exchange", "symbol", "local_timestamp", "is_snapshot")
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in message)
    return np.flatnonzero(rows.select(changed).to_series().to_numpy())


@dataclass(frozen=True, slots=True)
class _Message:
    """One message about one book: whether it is (part of) a snapshot, its time in ns, and its levels."""

    is_snapshot: bool
    ts: int
    is_bid: NDArray[np.bool_]
    price: NDArray[np.float64]

    def goes_on_with(self, after: _Message) -> bool:
        """Tell whether the next one is more of the same snapshot: of the same time, with other levels, uncrossed."""
        if not (self.is_snapshot and after.is_snapshot and self.ts == after.ts):
            return False
        is_bid, price = np.append(self.is_bid, after.is_bid), np.append(self.price, after.price)
        bids, asks = np.unique(price[is_bid]), np.unique(price[~is_bid])
        apart = len(bids) + len(asks) == len(price)
        return apart and bool(bids.max(initial=-np.inf) < asks.min(initial=np.inf))


class _Events:
    """Gathers rows into events, and remembers from block to block their number and each book's last message."""

    def __init__(self) -> None:
        self._count = 0
        self._last: dict[tuple[object, ...], _Message] = {}

    def of(self, rows: pl.DataFrame) -> DepthEvents:
        """Make one event of each message; a snapshot replaces the book unless it goes on with the one just before."""
        starts = _starts(rows)
        offsets = np.append(starts, rows.height)
        number = pl.Series(np.arange(self._count + 1, self._count + len(starts) + 1, dtype=np.int64))
        self._count += len(starts)
        events = rows[starts].with_columns(rows[offsets[1:] - 1]["timestamp"])
        events = events.select(
            *(
                (value if isinstance(value, pl.Expr) else pl.lit(value, dtype=pl.String)).alias(name)
                for name, value in shared_columns("incremental_book_L2").items()
            ),
            "symbol",
            "is_snapshot",
            "line",
            seq=number,
            first_seq=pl.lit(None, dtype=pl.Int64),
            prev_seq=pl.lit(None, dtype=pl.Int64),
        )
        is_bid, price = (rows["side"] == "bid").to_numpy(), rows["price"].to_numpy()
        marks = self._replacing(events, offsets, is_bid, price)
        events = events.with_columns(is_snapshot=pl.Series(marks, dtype=pl.Boolean)).select(EVENT_COLUMNS)
        return DepthEvents(events, offsets, is_bid, price, rows["amount"].to_numpy(), np.diff(offsets))

    def _replacing(
        self, events: pl.DataFrame, offsets: NDArray[np.int64], is_bid: NDArray[np.bool_], price: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Tell which events replace their book.

        Tardis has a run of messages marked as a snapshot stand for one. Some feeds send nothing but snapshots, though
        (Bitget, five levels of OKX), so that a file is one run: each counts, unless it can be more of the one before.
        """
        snapshot, ts = events["is_snapshot"].to_numpy(), events["ts"].dt.timestamp("ns").to_numpy()
        replacing = snapshot.copy()

        def message(place: int) -> _Message:
            levels = slice(offsets[place], offsets[place + 1])
            return _Message(snapshot[place], ts[place], is_bid[levels].copy(), price[levels].copy())

        for book, group in events.with_row_index("place").group_by("venue", "symbol"):
            places = group["place"].to_numpy()
            if book in self._last and self._last[book].goes_on_with(message(places[0])):
                replacing[places[0]] = False
            again = np.flatnonzero(snapshot[places[1:]] & snapshot[places[:-1]] & (ts[places[1:]] == ts[places[:-1]]))
            for place, after in zip(places[again], places[again + 1], strict=True):
                replacing[after] = not message(place).goes_on_with(message(after))
            self._last[book] = message(places[-1])
        return replacing
