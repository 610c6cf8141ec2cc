"""Lines of tardis.dev's incremental_book_L2 as depth events: one level a line, one event a message.

Grouping lines into messages, across blocks too, and telling snapshots belong here; reading the lines is `tardis`, and
applying the events is the order book's.
"""

from __future__ import annotations

from collections.abc import Iterator

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


class _Events:
    """Gathers rows into events, and remembers from block to block their number and each book's last kind of message."""

    def __init__(self) -> None:
        self._count = 0
        self._last = pl.DataFrame(schema={"venue": pl.String, "symbol": pl.String, "was_snapshot": pl.Boolean})

    def of(self, rows: pl.DataFrame) -> DepthEvents:
        """Make one event of each message; only the first of a run of snapshot messages replaces the book."""
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
        return DepthEvents(
            self._first_of_runs(events).select(EVENT_COLUMNS),
            offsets,
            (rows["side"] == "bid").to_numpy(),
            rows["price"].to_numpy(),
            rows["amount"].to_numpy(),
            np.diff(offsets),
        )

    def _first_of_runs(self, events: pl.DataFrame) -> pl.DataFrame:
        book = ["venue", "symbol"]
        joined = events.join(self._last, on=book, how="left", maintain_order="left")
        before = pl.col("is_snapshot").shift(1).over(book).fill_null(pl.col("was_snapshot")).fill_null(False)
        latest = events.group_by(book).agg(was_snapshot=pl.col("is_snapshot").last())
        self._last = pl.concat([self._last, latest]).unique(book, keep="last", maintain_order=True)
        return joined.with_columns(is_snapshot=pl.col("is_snapshot") & ~before)
