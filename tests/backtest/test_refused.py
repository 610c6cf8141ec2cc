"""Bad input: one line that names the field, the value and what is allowed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.backtest.reference import random_signals, random_ticks

from tracebank_models.backtest.equity_plot import draw_equity
from tracebank_models.backtest.nulls import compare
from tracebank_models.backtest.run import backtest
from tracebank_models.backtest.settings import StrategySettings, centred


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"taker_fee": 4.0}, r"taker_fee: 4.0 .*a share of the notional of at most 0.01 .*a basis point is 0.0001"),
        ({"maker_fee": -0.02}, r"maker_fee: -0.02 .*a share of the notional"),
        ({"taker_fee": float("nan")}, r"taker_fee: nan"),
        ({"delay": 0.0}, r"delay: 0.0 .*or 0 with allow_no_delay"),
        ({"delay": 1e-9, "delay_unit": "ms"}, r"delay: 1e-09 .*a nanosecond at least"),
        ({"delay": 1.5}, r"delay: 1.5 .*whole ticks"),
        ({"delay": float("nan")}, r"delay: nan"),
        ({"delay": float("inf")}, r"delay: inf"),
        ({"horizon": 0}, r"horizon: 0 "),
        ({"rule": "hold"}, r"rule: 'hold' .*one_run, until_flip"),
        ({"fill": "best"}, r"fill: 'best' "),
        ({"signals": (1, 1)}, r"signals: \(1, 1\) .*each column once"),
        ({"sizes": ((0.1, 1.0),)}, r"sizes: .*the last 0"),
        ({"quantity": 0.0}, r"quantity: 0.0 "),
        ({"position_limit": float("nan")}, r"position_limit: nan"),
        ({"start_notional": -1.0}, r"start_notional: -1.0 "),
    ],
)
def test_settings(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=rf"^StrategySettings\.{said}") as found:
        StrategySettings(**told)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("engine", ["vectorised", "event_driven"])
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("bid_price", np.nan, r"ticks.bid_price_0: nan in row 7 .*prices above 0"),
        ("ask_price", np.nan, r"ticks.ask_price_0: nan in row 7"),
        ("ask_price", 0.0, r"ticks.ask_price_0: 0.0 in row 7"),
        ("bid_price", 1e9, r"ticks.bid_price_0: 1000000000.0 in row 7 .*the book is crossed"),
        ("bid_qty", 0.0, r"ticks.bid_qty_0: 0.0 in row 7 .*quantities above 0"),
        ("times", -1, r"ticks.times: row 7 is before the row above it"),
    ],
)
def test_ticks(engine: Any, name: str, value: float, said: str) -> None:
    random = np.random.default_rng(0)
    ticks, signals = random_ticks(random, 20), random_signals(random, 20, 2)
    getattr(ticks, name)[7] = value
    with pytest.raises(ValueError, match=said):
        backtest(ticks, signals, StrategySettings(), engine)


def test_levels_behind_the_best_count_where_they_are_walked() -> None:
    random = np.random.default_rng(0)
    ticks, signals = random_ticks(random, 20), random_signals(random, 20, 2)
    ticks.bid_qty[3, 2] = np.nan
    assert backtest(ticks, signals, StrategySettings()).summary.trades >= 0
    with pytest.raises(ValueError, match=r"ticks.bid_qty_2: nan in row 3"):
        backtest(ticks, signals, StrategySettings(fill="walk"))


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((19, 2), np.float32, r"signals: float32 of shape \(19, 2\) .*float32 of shape \(20, signals\)"),
        ((20,), np.float32, r"signals: float32 of shape \(20,\)"),
        ((20, 0), np.float32, r"signals: float32 of shape \(20, 0\)"),
        ((20, 2), np.float64, r"signals: float64 of shape"),
    ],
)
def test_signals_of_another_shape(shape: tuple[int, ...], dtype: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        backtest(random_ticks(np.random.default_rng(0), 20), np.zeros(shape, dtype), StrategySettings())


def test_what_else_cannot_be() -> None:
    random = np.random.default_rng(0)
    ticks, signals = random_ticks(random, 20), random_signals(random, 20, 2)
    with pytest.raises(ValueError, match=r"StrategySettings.signals: 2 .*columns below 2"):
        backtest(ticks, signals, StrategySettings(signals=(2,)))
    with pytest.raises(ValueError, match=r"engine: 'vectorised' .*allowed with orders 'limit': event_driven"):
        backtest(ticks, signals, StrategySettings(orders="limit"), "vectorised")
    with pytest.raises(ValueError, match="period_s: 0 "):
        backtest(ticks, signals, StrategySettings(), period_s=0)
    with pytest.raises(ValueError, match="seeds: 0 "):
        compare(ticks, signals, StrategySettings(), seeds=0)
    with pytest.raises(ValueError, match="results: none"):
        draw_equity({}, Path("nowhere.svg"))
    with pytest.raises(ValueError, match=r"count: 5 signals around horizon 2 .*among 1, 2, 3"):
        centred([1, 2, 3], 2, 5)
    empty = dataclasses.replace(ticks, times=ticks.times[:0])
    with pytest.raises(ValueError, match="ticks: 0 rows"):
        backtest(empty, signals, StrategySettings())
    signals[5, 0] = np.inf
    with pytest.raises(ValueError, match="signals: infinity in row 5"):
        backtest(ticks, signals, StrategySettings())
