"""vectorbt, which is told the rows of our fills and trades on them at the mid; it decides nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tracebank_models.backtest.run import BacktestResult
from tracebank_models.order_book_features.ticks import Ticks

NAME: Final = "vectorbt"
_CASH = 1e9
"""Enough for every order."""


def portfolio_of(ticks: Ticks, result: BacktestResult) -> Callable[[], Any]:
    """What makes its portfolio of trades of ours; what it is made of is made here."""
    peer: Any = importlib.import_module(NAME)
    orders = {f"{side}_{end}": np.zeros(len(ticks), np.bool_) for side in ("long", "short") for end in ("in", "out")}
    for side, opened, closed in result.trades.select("side", "opened_row", "closed_row").iter_rows():
        orders[f"{side}_in"][opened] = orders[f"{side}_out"][closed] = True
    sides, mid = [orders[name] for name in ("long_in", "long_out", "short_in", "short_out")], ticks.price("mid")
    settings = result.settings
    told = {"size": settings.quantity, "fees": settings.taker_fee, "init_cash": _CASH, "freq": "100ms"}
    return lambda: peer.Portfolio.from_signals(mid, *sides, **told)


def profit_of(ticks: Ticks, result: BacktestResult) -> float:
    """What it says the trades earned after fees."""
    trades = portfolio_of(ticks, result)().trades
    return float(trades.pnl.sum())
