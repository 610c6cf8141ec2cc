"""From rows of a stored book to ticks: which rows count, in which order, and where an unbroken stretch ends."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .ticks import Ticks

Clock = Literal["local", "exchange"]
LEVELS: Final = 10
"""Levels a side of a stored book."""
LONGEST_PAUSE_S: Final = 60.0
"""Rows further apart are of two recordings."""

_SIDES = ("bid_price", "bid_qty", "ask_price", "ask_qty")
_KEY = ("ts", "local_ts", "clock", "venue", "symbol", "seq", "state")


def level_names(what: str, levels: int) -> list[str]:
    """Columns of `bid_price`, `bid_qty`, `ask_price` or `ask_qty`, the best first."""
    return [f"{what}_{level}" for level in range(levels)]


def read_ticks(
    book: pl.DataFrame, gaps: pl.DataFrame | None = None, clock: Clock = "local", levels: int = LEVELS
) -> Ticks:
    """The ticks of one book.

    Rows that are partial, stale or lack a level are left out, and break the stretch that they lie in; so do a
    skipped update (`gaps`) and a pause of more than `LONGEST_PAUSE_S`. By the local clock a row that came after a
    younger one was old when it came: it is left out and breaks nothing.

    Args:
        book: Rows of one venue and symbol with the columns of `series.book`, in any order.
        gaps: Rows of `relational.sequence_gaps` (venue, symbol, got_seq), of any instruments.
        clock: Whose time rows are known and ordered by: local (`local_ts`, when the recorder had it) or exchange
            (`ts`, where that is the exchange's).
        levels: Levels a side that are needed.

    Raises:
        ValueError: Columns, rows, levels or times are missing, there are several instruments, or a price or
            quantity cannot be one; the line says which.
    """
    columns = {side: level_names(side, levels) for side in _SIDES}
    names = [name for side in columns.values() for name in side]
    if missing := [name for name in (*_KEY, *names) if name not in book.columns]:
        raise ValueError(f"book: no column {missing[0]}; needed: {', '.join(_KEY)} and {levels} levels a side")
    venue, symbol = _instrument(book)
    rows = _in_order(book, clock)
    whole = rows.select(pl.all_horizontal(pl.col("state") == "whole", pl.col(names).is_not_null()))
    kept = whole.to_series().fill_null(value=False).to_numpy()
    if not kept.any():
        raise ValueError(f"book: none of {len(rows):,} rows is whole with {levels} levels a side")
    times = rows["known"].to_numpy()[kept]
    broken = np.diff(np.cumsum(~kept)[kept], prepend=0) > 0
    broken |= np.diff(times, prepend=times[0]) > LONGEST_PAUSE_S * 1e9
    broken |= _after_gap(rows["seq"].to_numpy()[kept], gaps, venue, symbol)
    broken[0] = False
    whole_rows = rows.filter(kept)
    sides = {side: whole_rows.select(names).to_numpy(order="c") for side, names in columns.items()}
    _check_values(times, sides)
    return Ticks(venue, symbol, times, clock, segment=np.cumsum(broken, dtype=np.int32), **sides)


def _instrument(book: pl.DataFrame) -> tuple[str, str]:
    if book.is_empty():
        raise ValueError("book: it has no rows")
    found = book.select("venue", "symbol").unique().sort("venue", "symbol").rows()
    if len(found) > 1:
        shown = ", ".join(f"{symbol} at {venue}" for venue, symbol in found[:3])
        raise ValueError(f"book: rows of {len(found)} instruments ({shown}); allowed: one venue and symbol")
    venue, symbol = found[0]
    return str(venue), str(symbol)


def _in_order(book: pl.DataFrame, clock: Clock) -> pl.DataFrame:
    """Rows as they became known (`known`, ns), without those that were old by then."""
    if clock not in get_args(Clock):
        raise ValueError(f"clock: {clock!r} is not allowed; allowed: {', '.join(get_args(Clock))}")
    column = "local_ts" if clock == "local" else "ts"
    absent = book[column].null_count() + (0 if clock == "local" else int((book["clock"] != "exchange").sum()))
    if absent:
        other = "exchange" if clock == "local" else "local"
        raise ValueError(f"clock: {clock!r} is not allowed: {absent:,} rows have no such time; perhaps {other!r}")
    known = pl.col(column).dt.epoch("ns").alias("known")
    rows = book.sort("ts", "seq").with_row_index("age").with_columns(known).sort("known", "age")
    return rows.filter(pl.col("age") == pl.col("age").cum_max())


def _after_gap(seq: NDArray[np.int64], gaps: pl.DataFrame | None, venue: str, symbol: str) -> NDArray[np.bool_]:
    """Whether updates were skipped between a row and the one before it."""
    if gaps is None:
        return np.zeros(len(seq), bool)
    mine = gaps.filter(pl.col("venue") == venue, pl.col("symbol") == symbol)
    before = np.searchsorted(np.sort(mine["got_seq"].to_numpy()), seq, side="right")
    return np.asarray(np.diff(before, prepend=before[0]) > 0)


def _check_values(times: NDArray[np.int64], sides: dict[str, NDArray[np.float64]]) -> None:
    for name, values in sides.items():
        if not (good := np.isfinite(values) & (values > 0)).all():
            row, level = np.argwhere(~good)[0]
            raise ValueError(f"{name}_{level}: {values[row, level]} at {_shown(times[row])}; allowed: above 0")
    bids, asks = sides["bid_price"][:, 0], sides["ask_price"][:, 0]
    if (crossed := bids >= asks).any():
        row = int(np.argmax(crossed))
        at = _shown(times[row])
        raise ValueError(f"bid_price_0: {bids[row]} at {at} is crossed; allowed: below the best ask, {asks[row]}")


def _shown(time: np.int64) -> str:
    return f"{np.datetime64(int(time), 'ns')} UTC"
