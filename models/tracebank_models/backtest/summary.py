"""What trades and equity come to: earnings, ratios with their intervals, drawdown, and the fee that would take it all.

Sharpe ratios are of earnings after fees: of trades as they are, and of periods, scaled to a year of 365 days. Periods
are those of the clock in which there is a tick; the first and the last may be shorter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks
from tracebank_models.sample_statistics.clustered import Interval

from .settings import StrategySettings
from .sharpe import sharpe

_YEAR_S = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one strategy on one stretch of ticks; None where there is nothing to tell it from."""

    trades: int
    """Lots; mostly one a position."""
    long_trades: int
    short_trades: int
    pnl_gross: float
    """Quote currency, as all of PnL, fees, turnover and drawdown."""
    fees: float
    pnl_net: float
    return_bps: float
    """PnL after fees, basis points of the notional at the start."""
    pnl_long: float
    """After fees, as `pnl_short`."""
    pnl_short: float
    bps_gross: float | None
    """Mean of the trades, basis points of the notional at which each was opened."""
    bps_net: float | None
    pnl_std: float | None
    """Of trades, after fees."""
    best: float | None
    worst: float | None
    hit_rate: float | None
    """Share of trades that earn after fees."""
    sharpe_trade: Interval | None
    """Per trade."""
    sharpe_year: Interval | None
    """Of a year, from returns of periods on the notional at the start."""
    period_s: int
    periods: int
    max_drawdown: float
    """Deepest fall below an earlier height, where equity is known."""
    max_drawdown_share: float
    """The deepest as a share of that height."""
    turnover: float
    """Notional of all fills."""
    break_even_fee: float | None
    """Fee on every fill, maker or taker, share of the notional, at which nothing is earned."""

    def as_row(self) -> dict[str, Any]:
        """Flat: a ratio as three columns, `sharpe_trade`, `sharpe_trade_low`, `sharpe_trade_high`."""
        row = asdict(self)
        for name in ("sharpe_trade", "sharpe_year"):
            found = getattr(self, name)
            parts = {"": "mean", "_low": "low", "_high": "high"}
            row |= {name + end: None if found is None else getattr(found, part) for end, part in parts.items()}
        return row


def summarise(
    ticks: Ticks,
    trades: pl.DataFrame,
    equity: pl.DataFrame,
    settings: StrategySettings,
    period_s: int = 86_400,
    draws: int = 1_000,
) -> Summary:
    """Sum up.

    Args:
        ticks: The book that was traded on.
        trades: See `trade_rows`.
        equity: See `equity_rows`.
        settings: Of the strategy.
        period_s: Seconds of a period.
        draws: Bootstrap samples of the ratios; 0: they have no intervals.
    """
    net, gross, side = trades["pnl_net"].to_numpy(), trades["pnl_gross"].to_numpy(), trades["side"]
    count, turnover = len(net), float(trades["notional"].sum())
    is_long = (side == "long").to_numpy()
    falls = _falls(equity["equity"].to_numpy())
    earned = period_pnl(ticks, equity, period_s)
    return Summary(
        trades=count,
        long_trades=int(is_long.sum()),
        short_trades=int((~is_long).sum()),
        pnl_gross=float(gross.sum()),
        fees=float(trades["fees"].sum()),
        pnl_net=float(net.sum()),
        return_bps=1e4 * float(net.sum()) / settings.start_notional,
        pnl_long=float(net[is_long].sum()),
        pnl_short=float(net[~is_long].sum()),
        bps_gross=_mean(trades["bps_gross"]),
        bps_net=_mean(trades["bps_net"]),
        pnl_std=float(net.std(ddof=1)) if count > 1 else None,
        best=float(net.max()) if count else None,
        worst=float(net.min()) if count else None,
        hit_rate=float((net > 0).mean()) if count else None,
        sharpe_trade=sharpe(net, draws=draws),
        sharpe_year=sharpe(earned / settings.start_notional, _YEAR_S / period_s, draws),
        period_s=period_s,
        periods=len(earned),
        max_drawdown=float(falls[0].max()),
        max_drawdown_share=float(falls[1].max()),
        turnover=turnover,
        break_even_fee=float(gross.sum()) / turnover if count else None,
    )


def _mean(values: pl.Series) -> float | None:
    return float(values.to_numpy().mean()) if len(values) else None


def _falls(equity: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    height = np.maximum.accumulate(equity)
    return height - equity, (height - equity) / height


def period_pnl(ticks: Ticks, equity: pl.DataFrame, period_s: int) -> NDArray[np.float64]:
    """What each period with a tick earned, quote currency, open positions marked at their last mark."""
    length = period_s * 1_000_000_000
    begins = np.arange(ticks.times[0] // length + 1, ticks.times[-1] // length + 1) * length
    last = np.append(np.unique(np.searchsorted(ticks.times, begins) - 1), len(ticks) - 1)
    values, rows = equity["equity"].to_numpy(), equity["row"].to_numpy()
    return np.diff(values[np.searchsorted(rows, last, "right") - 1], prepend=values[0])
