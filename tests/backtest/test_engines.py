"""Engines against each other and against a plain loop, on random books; and nothing is known beforehand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backtest.reference import Signals, random_signals, random_ticks, reference

from tracebank_models.backtest.run import BacktestResult, Engine, backtest
from tracebank_models.backtest.settings import StrategySettings
from tracebank_models.order_book_features.ticks import Ticks

MARKET: tuple[Engine, ...] = ("vectorised", "event_driven")
_LOT = ("side", "qty", "decided_row", "opened_row", "close_decided_row", "closed_row", "open_price", "close_price")


@st.composite
def strategies(draw: st.DrawFn) -> StrategySettings:
    unit = draw(st.sampled_from(["ticks", "ms"]))
    delay = draw(st.integers(0, 9) if unit == "ticks" else st.sampled_from([0.0, 0.5, 75.0, 333.3]))
    return StrategySettings(
        rule=draw(st.sampled_from(["one_run", "until_flip"])),
        horizon=draw(st.integers(1, 8)),
        signals=draw(st.sampled_from([(), (0,), (2, 0)])),
        sizing=draw(st.sampled_from(["fixed", "table"])),
        quantity=draw(st.sampled_from([0.05, 0.6])),
        threshold=draw(st.sampled_from([0.0, 0.1])),
        orders=draw(st.sampled_from(["market", "market", "limit_entry", "limit"])),
        patience=draw(st.integers(1, 6)),
        fill=draw(st.sampled_from(["weighted_mid", "mid", "touch", "walk"])),
        delay=float(delay),
        delay_unit=unit,
        allow_no_delay=True,
        taker_fee=draw(st.sampled_from([0.0, 4e-4])),
        maker_fee=draw(st.sampled_from([-1e-4, 2e-4])),
        position_limit=draw(st.sampled_from([0.125, 1.0])),
    )


def _told(result: BacktestResult) -> list[tuple[Any, ...]]:
    return result.trades.select(*_LOT, "open_is_maker", "close_is_maker", "reason").rows()


@given(strategies(), st.integers(0, 10**6), st.integers(1, 400), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_engines_trade_as_the_plain_loop(chosen: StrategySettings, seed: int, rows: int, segments: int) -> None:
    random = np.random.default_rng(seed)
    ticks, signals = random_ticks(random, rows, segments=segments), random_signals(random, rows, 3)
    lots, equity = reference(ticks, signals, chosen)
    wanted = [("long" if side > 0 else "short", qty, *rest) for side, qty, _, *rest in lots]
    for engine in MARKET if chosen.orders == "market" else MARKET[1:]:
        result = backtest(ticks, signals, chosen, engine)
        assert _told(result) == wanted
        found = dict(equity_by_row(result.equity, rows))
        for row, value, position in equity:
            assert found[row] == pytest.approx((value, position), abs=1e-8)
        end = chosen.start_notional + result.trades["pnl_net"].sum()
        assert result.equity["equity"][-1] == pytest.approx(end, abs=1e-8)


def equity_by_row(equity: pl.DataFrame, rows: int) -> list[tuple[int, tuple[float, float]]]:
    """What was last known by each row."""
    last = np.searchsorted(equity["row"].to_numpy(), np.arange(rows), "right") - 1
    values, positions = equity["equity"].to_numpy()[last], equity["position"].to_numpy()[last]
    return [(row, (float(values[row]), float(positions[row]))) for row in range(rows)]


def _doubled_after(ticks: Ticks, row: int) -> Ticks:
    later = np.where(np.arange(len(ticks)) > row, 2.0, 1.0)[:, None]
    return dataclasses.replace(ticks, bid_price=ticks.bid_price * later, ask_price=ticks.ask_price * later)


def _until(result: BacktestResult, row: int) -> tuple[list[Any], ...]:
    """What was known at a row: closed trades, how others were opened, and equity."""
    trades = result.trades
    closed = trades.filter(pl.col("closed_row") <= row).rows()
    opening = ("position", "side", "signal", "decided_row", "opened_row", "open_price", "open_is_maker")
    opened = trades.filter(pl.col("opened_row") <= row).select(opening).unique(maintain_order=True).rows()
    return closed, opened, result.equity.filter(pl.col("row") <= row).rows()


@pytest.mark.parametrize("orders", ["market", "limit_entry", "limit"])
@pytest.mark.parametrize("fill", ["weighted_mid", "touch", "walk"])
def test_prices_to_come_change_nothing_until_then(orders: Any, fill: Any) -> None:
    random = np.random.default_rng(3)
    ticks, signals = random_ticks(random, 600, segments=3), random_signals(random, 600, 3)
    chosen = StrategySettings(orders=orders, fill=fill, horizon=3, sizing="table", taker_fee=2e-4, rule="until_flip")
    for engine in MARKET if orders == "market" else MARKET[1:]:
        result = backtest(ticks, signals, chosen, engine)
        assert result.trades.height > 8
        for row in (40, 251, 455):
            other = backtest(_doubled_after(ticks, row), signals, chosen, engine)
            assert _until(other, row) == _until(result, row)
            assert other.trades.rows() != result.trades.rows()


def test_signals_to_come_change_nothing_until_then() -> None:
    random = np.random.default_rng(4)
    ticks, signals = random_ticks(random, 600), random_signals(random, 600, 3)
    chosen, changed = StrategySettings(horizon=3), signals.copy()
    changed[301:] *= -1
    for engine in MARKET:
        found = [_until(backtest(ticks, some, chosen, engine), 300) for some in (signals, changed)]
        assert found[0] == found[1]


def test_shuffled_signals_earn_the_costs_negative() -> None:
    random = np.random.default_rng(5)
    ticks = random_ticks(random, 60_000)
    mid = ticks.price("mid")
    signals = np.full((60_000, 1), np.nan, np.float32)
    signals[:-27, 0] = 0.05 * (mid[27:] - mid[2:-25])
    chosen = StrategySettings(taker_fee=1e-4, quantity=1.0)
    assert backtest(ticks, signals, chosen).summary.pnl_gross > 300
    found = [_shuffled(ticks, signals, chosen, random) for _ in range(20)]
    costs = np.array([result.summary.fees + _spreads(result, ticks) for result in found])
    off = np.array([result.summary.pnl_net for result in found]) + costs
    assert abs(off.mean()) < 4 * off.std(ddof=1) / np.sqrt(len(off))
    assert abs(off.mean()) < 0.1 * costs.mean()


def _shuffled(ticks: Ticks, signals: Signals, chosen: StrategySettings, random: np.random.Generator) -> BacktestResult:
    return backtest(ticks, random.permutation(signals), chosen)


def _spreads(result: BacktestResult, ticks: Ticks) -> float:
    half = (ticks.ask_price[:, 0] - ticks.bid_price[:, 0]) / 2
    rows = [result.trades[name].to_numpy() for name in ("opened_row", "closed_row")]
    return float((result.trades["qty"].to_numpy() * (half[rows[0]] + half[rows[1]])).sum())


def test_columns_lie_in_memory_as_they_may() -> None:
    random = np.random.default_rng(6)
    ticks, signals = random_ticks(random, 300), random_signals(random, 300, 3)
    names = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    turned = dataclasses.replace(ticks, **{name: np.asfortranarray(getattr(ticks, name)) for name in names})
    for one in (turned.times, turned.bid_price, signals):
        one.flags.writeable = False
    chosen = StrategySettings(horizon=3, fill="walk")
    for engine in MARKET:
        assert _told(backtest(turned, signals, chosen, engine)) == _told(backtest(ticks, signals, chosen, engine))
