"""Equity that follows from lots, and what it was at given moments."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .decision_points import DecisionPoints
from .settings import StrategySettings
from .trades import TIME, fee_of


def equity_rows(
    ticks: Ticks,
    points: DecisionPoints,
    lots: NDArray[np.void],
    net: NDArray[np.float64],
    settings: StrategySettings,
) -> pl.DataFrame:
    """Equity where it is known to change: on fills, and on decision points while something is held, marked at the mid.

    Args:
        ticks: The book.
        points: Where decisions are made.
        lots: In order.
        net: What each earned after fees.
        settings: Of the strategy.

    Returns:
        `ts`, `row`, `equity` (quote currency; the fee of opening is paid at once) and `position` (base currency, above
        0 is long), from the first tick on, changes alone.
    """
    if not len(lots):
        rows, equity, position = np.zeros(1, np.int64), np.array([settings.start_notional]), np.zeros(1)
        return _equity_frame(ticks, rows, equity, position)
    rows = _merged([np.zeros(1, np.int64), points.rows[_while_held(points, lots)], lots["opened"], lots["closed"]])
    done = np.searchsorted(lots["closed"], rows, "right")
    realised = np.append(0.0, np.cumsum(net))[done]
    # The lot that is closed next tells of the position, if that is open by then.
    at = np.minimum(done, len(lots) - 1)
    is_open = (done < len(lots)) & (lots["opened"][at] <= rows)
    is_begun = (done > 0) & (lots["position"][done - 1] == lots["position"][at])
    left = np.where(is_begun, lots["left"][done - 1], lots["opened_qty"][at])
    held, price, side = np.where(is_open, left, 0.0), lots["open_price"][at], lots["side"][at]
    fee = price * fee_of(lots["open_is_maker"][at], settings)
    mid = (ticks.bid_price[rows, 0] + ticks.ask_price[rows, 0]) / 2
    gain = held * (side * (mid - price) - fee)
    return _equity_frame(ticks, rows, settings.start_notional + realised + gain, side * held)


def _merged(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Rising numbers of several arrays that rise, each once; as sorted runs are merged, this is faster than a set."""
    rows = np.sort(np.concatenate(parts), kind="stable")
    once: NDArray[np.int64] = rows[np.append(True, rows[1:] != rows[:-1])]
    return once


def _while_held(points: DecisionPoints, lots: NDArray[np.void]) -> NDArray[np.bool_]:
    following = np.searchsorted(lots["closed"], points.rows, "right")
    opened = lots["opened"][np.minimum(following, len(lots) - 1)]
    held: NDArray[np.bool_] = (following < len(lots)) & (opened <= points.rows)
    return held


def _equity_frame(
    ticks: Ticks, rows: NDArray[np.int64], equity: NDArray[np.float64], position: NDArray[np.float64]
) -> pl.DataFrame:
    changes = np.append(True, (equity[1:] != equity[:-1]) | (position[1:] != position[:-1]))
    rows = rows[changes]
    ts = pl.Series(ticks.times[rows]).cast(TIME)
    return pl.DataFrame({"ts": ts, "row": rows, "equity": equity[changes], "position": position[changes] + 0.0})


def moments_of(first: int, last: int, count: int) -> NDArray[np.int64]:
    """Evenly spaced moments, both ends included; ns."""
    return first + np.arange(count) * (last - first) // (count - 1)


def equity_at(equity: pl.DataFrame, moments: NDArray[np.int64]) -> NDArray[np.float64]:
    """Equity as it was last known at moments, none of which is before its first row; ns."""
    times = equity["ts"].to_physical().to_numpy()
    known: NDArray[np.float64] = equity["equity"].to_numpy()[np.searchsorted(times, moments, "right") - 1]
    return known
