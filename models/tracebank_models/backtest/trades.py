"""Lots as a table of trades: times, prices, fees, and what each earned; and the equity that follows from them."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .decision_points import DecisionPoints
from .lots import DECIDED
from .settings import StrategySettings

_TIME: Final = pl.Datetime("ns", "UTC")
_ROWS: Final = ("decided", "opened", "close_decided", "closed")


def trade_rows(ticks: Ticks, lots: NDArray[np.void], settings: StrategySettings) -> pl.DataFrame:
    """A row for each lot.

    Returns:
        `number`, `position` (lots of one position share it), `side` (long, short), `qty` (base currency), `signal`
        (mean, when it was decided), `decided_ts`, `opened_ts`, `close_decided_ts`, `closed_ts` and the same as `_row`,
        `open_price`, `close_price`, `open_is_maker`, `close_is_maker`, `fees`, `pnl_gross`, `pnl_net` (quote currency),
        `bps_gross`, `bps_net` (of the notional at which it was opened), `notional` (of both sides) and `reason`:
        the rule's name, or segment_end.
    """
    opened, closed = lots["qty"] * lots["open_price"], lots["qty"] * lots["close_price"]
    gross = lots["side"] * lots["qty"] * (lots["close_price"] - lots["open_price"])
    fees = opened * _fees(lots["open_is_maker"], settings) + closed * _fees(lots["close_is_maker"], settings)
    times = {f"{name}_ts": pl.Series(ticks.times[lots[name]]).cast(_TIME) for name in _ROWS}
    return pl.DataFrame(
        {
            "number": np.arange(len(lots)),
            "position": lots["position"],
            "side": _words(lots["side"] > 0, "long", "short"),
            "qty": lots["qty"],
            "signal": lots["signal"],
            **times,
            **{f"{name}_row": lots[name] for name in _ROWS},
            **{name: lots[name] for name in ("open_price", "close_price", "open_is_maker", "close_is_maker")},
            "fees": fees,
            "pnl_gross": gross,
            "pnl_net": gross - fees,
            "bps_gross": 1e4 * gross / opened,
            "bps_net": 1e4 * (gross - fees) / opened,
            "notional": opened + closed,
            "reason": _words(lots["reason"] == DECIDED, settings.rule, "segment_end"),
        }
    )


def _words(so: NDArray[np.bool_], word: str, other: str) -> pl.Series:
    return pl.select(pl.when(pl.Series(so)).then(pl.lit(word)).otherwise(pl.lit(other))).to_series()


def _fees(is_maker: NDArray[np.bool_], settings: StrategySettings) -> NDArray[np.float64]:
    return np.where(is_maker, settings.maker_fee, settings.taker_fee)


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
    rows = np.unique(np.concatenate(([0], points.rows[_while_held(points, lots)], lots["opened"], lots["closed"])))
    done = np.searchsorted(lots["closed"], rows, "right")
    realised = np.append(0.0, np.cumsum(net))[done]
    # The lot that is closed next tells of the position, if that is open by then.
    last = done == len(lots)
    following = lots[np.where(last, 0, done)]
    is_open = ~last & (following["opened"] <= rows)
    before = lots[done - 1]
    is_begun = (done > 0) & (before["position"] == following["position"])
    held = np.where(is_open, np.where(is_begun, before["left"], following["opened_qty"]), 0.0)
    price, side = following["open_price"], following["side"]
    fee = price * _fees(following["open_is_maker"], settings)
    mid = (ticks.bid_price[rows, 0] + ticks.ask_price[rows, 0]) / 2
    gain = held * (side * (mid - price) - fee)
    return _equity_frame(ticks, rows, settings.start_notional + realised + gain, side * held)


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
    ts = pl.Series(ticks.times[rows]).cast(_TIME)
    return pl.DataFrame({"ts": ts, "row": rows, "equity": equity[changes], "position": position[changes] + 0.0})
