"""A strategy on ticks: checked, traded by an engine, and summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .checks import check_inputs
from .decision_points import Signals, decision_points
from .equity import equity_rows
from .event_driven import event_driven_lots
from .settings import StrategySettings
from .summary import Summary, summarise
from .trades import trade_rows
from .vectorised import vectorised_lots

Engine = Literal["vectorised", "event_driven"]
Lots = NDArray[np.void]
ENGINES: Final[Mapping[Engine, Callable[[Ticks, Signals, StrategySettings], Lots]]] = {
    "vectorised": vectorised_lots,
    "event_driven": event_driven_lots,
}


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """What a strategy did on ticks."""

    settings: StrategySettings
    engine: Engine
    clock: str
    """Of the ticks: what a delay in milliseconds is measured on."""
    trades: pl.DataFrame
    """See `trade_rows`."""
    equity: pl.DataFrame
    """See `equity_rows`."""
    summary: Summary


def backtest(
    ticks: Ticks,
    signals: Signals,
    settings: StrategySettings,
    engine: Engine | None = None,
    period_s: int = 86_400,
) -> BacktestResult:
    """Trade on signals.

    What is open at the end of a segment is closed on its last row, at the price of an order that takes there, and no
    position is opened on that row: that the row is the last is known here and to no trader.

    Args:
        ticks: The book; only what strategies and fills look at is checked.
        signals: `[n, k]`, what each tick lets expect, above 0 a rise; NaN where there is none.
        settings: Of the strategy.
        engine: None: the vectorised one, or where orders rest the event-driven one.
        period_s: Seconds of the periods of the yearly Sharpe ratio.

    Raises:
        ValueError: See `check_inputs`; or the engine is unknown, or knows no orders that rest.
    """
    chosen = engine_of(settings, engine)
    if period_s < 1:
        raise ValueError(f"period_s: {period_s} is not allowed; allowed: a whole number from 1")
    check_inputs(ticks, signals, settings)
    return result_of(ticks, ENGINES[chosen](ticks, signals, settings), settings, chosen, period_s)


def engine_of(settings: StrategySettings, engine: Engine | None = None) -> Engine:
    """The engine that is used.

    Raises:
        ValueError: It is unknown, or knows no orders that rest.
    """
    able: tuple[Engine, ...] = ("vectorised", "event_driven") if settings.orders == "market" else ("event_driven",)
    if engine is not None and engine not in able:
        raise ValueError(
            f"engine: {engine!r} is not allowed; allowed with orders {settings.orders!r}: {', '.join(able)}"
        )
    return engine or able[0]


def result_of(
    ticks: Ticks, lots: Lots, settings: StrategySettings, engine: Engine, period_s: int, draws: int = 1_000
) -> BacktestResult:
    """What lots come to; see `summarise`."""
    trades = trade_rows(ticks, lots, settings)
    points = decision_points(ticks, settings)
    equity = equity_rows(ticks, points, lots, trades["pnl_net"].to_numpy(), settings)
    summary = summarise(ticks, trades, equity, settings, period_s, draws)
    return BacktestResult(settings, engine, ticks.clock, trades, equity, summary)
