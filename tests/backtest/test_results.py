"""Trades, equity and figures that can be worked out by hand."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.backtest.reference import random_signals, random_ticks

from tracebank_models.backtest.equity_plot import draw_equity
from tracebank_models.backtest.nulls import compare
from tracebank_models.backtest.run import ENGINES, BacktestResult, Engine, backtest
from tracebank_models.backtest.settings import PAPER_SIZES, StrategySettings, centred
from tracebank_models.backtest.sharpe import sharpe
from tracebank_models.order_book_features.ticks import Ticks

BIDS = [100, 100, 101, 104, 104, 103, 100, 99, 100, 100, 101, 99, 99]
THREE = StrategySettings(horizon=2, delay=1.0, quantity=2.0, position_limit=2.0, taker_fee=1e-3)
engines = pytest.mark.parametrize("engine", list(ENGINES))


def book(bids: list[float], asks: list[float] | None = None, levels: int = 1, qty: float = 5.0) -> Ticks:
    """Rows a second apart, levels 1 apart; the ask is 1 above the bid."""
    bid = np.array(bids, np.float64)[:, None] - np.arange(levels)
    ask = np.array(asks or [one + 1 for one in bids], np.float64)[:, None] + np.arange(levels)
    times, segment = np.arange(len(bids)) * 1_000_000_000, np.zeros(len(bids), np.int32)
    return Ticks(
        "made_up", "BTCUSDT", times, "local", bid, np.full(bid.shape, qty), ask, np.full(bid.shape, qty), segment
    )


def signals(rows: int, **at: float) -> Any:
    """NaN but on the rows named `r0`, `r4` and so on."""
    made = np.full((rows, 1), np.nan, np.float32)
    for name, value in at.items():
        made[int(name[1:]), 0] = value
    return made


def three_trades(engine: Engine) -> BacktestResult:
    return backtest(book(BIDS), signals(13, r0=0.2, r2=0.2, r4=-0.2, r8=0.2), THREE, engine)


@engines
def test_three_trades_by_hand(engine: Engine) -> None:
    trades = three_trades(engine).trades
    assert trades["side"].to_list() == ["long", "short", "long"]
    assert trades["decided_row"].to_list() == [0, 4, 8], "what is closed on row 2 is not opened there again"
    assert trades["opened_row"].to_list() == [1, 5, 9]
    assert trades["close_decided_row"].to_list() == [2, 6, 10]
    assert trades["closed_ts"].dt.second().to_list() == [3, 7, 11]
    assert trades["open_price"].to_list() == [101, 103, 101]
    assert trades["close_price"].to_list() == [104, 100, 99]
    assert trades["pnl_gross"].to_list() == [6, 6, -4]
    assert trades["fees"].to_list() == pytest.approx([0.410, 0.406, 0.400])
    assert trades["bps_gross"].to_list() == pytest.approx([3e4 / 101, 3e4 / 103, -2e4 / 101])
    assert trades["bps_net"].to_list()[0] == pytest.approx(1e4 * 5.59 / 202)
    assert trades["reason"].to_list() == ["one_run"] * 3


@engines
def test_three_trades_summed_up(engine: Engine) -> None:
    result = three_trades(engine)
    found = result.summary
    assert (found.trades, found.long_trades, found.short_trades) == (3, 2, 1)
    assert (found.pnl_gross, found.turnover) == (8, 1216)
    assert (found.pnl_net, found.fees, found.pnl_short) == pytest.approx((6.784, 1.216, 5.594))
    assert found.return_bps == pytest.approx(1.696)
    assert found.break_even_fee == 8 / 1216
    assert found.hit_rate == pytest.approx(2 / 3)
    net = np.array([5.59, 5.594, -4.4])
    assert found.sharpe_trade is not None
    assert found.sharpe_trade.mean == pytest.approx(net.mean() / net.std(ddof=1))
    assert found.sharpe_trade.low is None, "three trades have no interval"
    assert found.sharpe_year is None, "one day has no spread"
    equity = dict(zip(result.equity["row"], result.equity["equity"], strict=True))
    assert equity[9] == pytest.approx(40_011.184 - 1 - 0.202), "bought at 101, worth 100.5"
    assert equity[10] == pytest.approx(40_011.184 + 1 - 0.202)
    assert found.max_drawdown == pytest.approx(5.198)
    assert result.equity["position"].to_list() == [0, 2, 2, 0, -2, -2, 0, 2, 2, 0]


@engines
def test_held_until_the_signals_flip_and_closed_at_the_end(engine: Engine) -> None:
    chosen = StrategySettings(rule="until_flip", horizon=2, delay=1.0, fill="mid", quantity=1.0)
    seen = signals(13, r0=0.2, r2=0.1, r6=-0.2, r8=-0.1, r10=-0.1)
    trades = backtest(book(BIDS), seen, chosen, engine).trades
    assert trades.select("decided_row", "close_decided_row", "closed_row", "reason").rows() == [
        (0, 6, 7, "until_flip"),
        (8, 12, 12, "segment_end"),
    ]


@engines
def test_sizes_and_threshold_are_of_the_mean_signal(engine: Engine) -> None:
    chosen = StrategySettings(horizon=2, delay=1.0, sizing="table", threshold=0.06, fill="mid")
    seen = np.repeat(signals(13, r0=0.1875, r4=0.03125, r8=-0.140625), 2, axis=1) + np.float32([[0, 0.03125]])
    trades = backtest(book(BIDS), seen, chosen, engine).trades
    assert trades["qty"].to_list() == [0.15, 0.1], "the second is -0.125, which is not above 0.125"
    assert PAPER_SIZES[-1] == (0, 0.025)


@engines
def test_a_walked_book_fills_what_it_holds(engine: Engine) -> None:
    chosen = StrategySettings(horizon=2, delay=1.0, fill="walk", quantity=1.0)
    ticks = book(BIDS, levels=2, qty=0.4)
    ticks.bid_qty[3] = 0.25
    trades = backtest(ticks, signals(13, r0=0.2), chosen, engine).trades
    assert trades["open_price"].to_list() == pytest.approx([101.5, 101.5])
    assert trades["qty"].to_list() == pytest.approx([0.5, 0.3])
    assert trades["close_price"].to_list() == pytest.approx([103.5, 103])
    assert trades["closed_row"].to_list() == [3, 5]


@engines
def test_what_was_not_closed_is_closed_whatever_the_signals_say_then(engine: Engine) -> None:
    chosen = StrategySettings(rule="until_flip", horizon=2, delay=1.0, fill="walk", quantity=1.0)
    ticks = book(BIDS, qty=1.0)
    ticks.bid_qty[5] = 0.25
    trades = backtest(ticks, signals(13, r0=0.2, r4=-0.2, r6=0.2), chosen, engine).trades
    assert trades.select("qty", "close_decided_row", "closed_row").rows() == [(0.25, 4, 5), (0.75, 6, 7)]


def test_a_resting_order_is_filled_when_the_other_side_comes_to_it() -> None:
    bids = [100, 100, 100, 99, 99, 99, 99, 101, 103, 103]
    chosen = StrategySettings(horizon=5, delay=1.0, orders="limit", patience=3, taker_fee=1e-3, maker_fee=-1e-4)
    found = backtest(book(bids), signals(10, r0=0.1), chosen).trades
    assert found.select("opened_row", "open_price", "closed_row", "close_price").rows() == [(3, 100, 7, 100)]
    assert found["fees"][0] == pytest.approx(-2e-3), "both are filled at their price, and paid for"
    thin = book(bids)
    thin.ask_qty[3:5] = 0.05
    assert backtest(thin, signals(10, r0=0.1), chosen).trades.height == 0, "too few to be sure of a fill"
    late = backtest(book([100, 100, 100, 99, *[98] * 9]), signals(13, r0=0.1), chosen).trades
    assert late.select("opened_row", "closed_row", "close_price", "close_is_maker").rows() == [(3, 9, 98, False)]


@pytest.mark.parametrize("orders", ["market", "limit_entry", "limit"])
def test_nothing_is_earned_at_the_break_even_fee(orders: Any) -> None:
    random = np.random.default_rng(0)
    ticks, seen = random_ticks(random, 20_000, segments=3), random_signals(random, 20_000, 3)
    for engine in list(ENGINES) if orders == "market" else ["event_driven"]:
        told = {"horizon": 5, "orders": orders, "fill": "mid", "patience": 5, "quantity": 0.05}
        summary = backtest(ticks, seen, StrategySettings(**told), engine).summary
        assert summary.trades > 100
        fee = summary.break_even_fee
        even = backtest(ticks, seen, StrategySettings(**told, taker_fee=fee, maker_fee=fee), engine).summary
        assert abs(even.pnl_net) < 1e-9
        assert abs(even.fees) > 0.1


def test_a_ratio_of_neighbours_that_are_alike_is_less_sure() -> None:
    random = np.random.default_rng(1)
    alike = np.convolve(random.normal(0.2, 1, 5_000), np.ones(10), "valid")
    apart = random.permutation(alike)
    widths = []
    for values in (alike, apart):
        found = sharpe(values)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.mean < found.high
        widths.append(found.high - found.low)
    assert widths[0] > 1.8 * widths[1]
    assert widths[1] == pytest.approx(2 * 1.96 / np.sqrt(len(apart)) * np.sqrt(1 + found.mean**2 / 2), rel=0.15)
    assert sharpe(np.ones(9)) is None
    few = sharpe(np.arange(4.0))
    assert few is not None
    assert few.low is None


def test_each_drawn_sample_has_its_own_spread() -> None:
    values = np.array([0.3, -0.2, 0.9, 0.1, 0.4, 0.2])
    drawn = values[np.random.default_rng(0).integers(6, size=(1_000, 6))]
    spread = drawn.std(axis=1, ddof=1)
    ratios = drawn.mean(axis=1)[spread > 0] / spread[spread > 0]
    found = sharpe(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])))


def test_a_year_is_scaled_from_periods() -> None:
    random = np.random.default_rng(2)
    ticks, seen = random_ticks(random, 20_000), random_signals(random, 20_000, 1)
    result = backtest(ticks, seen, StrategySettings(horizon=5), period_s=60)
    minutes = (ticks.times - ticks.times[0] // 60_000_000_000 * 60_000_000_000) // 60_000_000_000
    last = [np.flatnonzero(minutes == one)[-1] for one in np.unique(minutes)]
    known = [result.equity.filter(result.equity["row"] <= row)["equity"][-1] for row in last]
    returns = np.diff([40_000, *known]) / 40_000
    found = result.summary.sharpe_year
    assert found is not None
    assert found.mean == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(365 * 24 * 60))
    assert result.summary.periods == len(last)


def test_random_sides_trade_on_the_same_rows() -> None:
    random = np.random.default_rng(3)
    ticks, seen = random_ticks(random, 5_000, segments=2), random_signals(random, 5_000, 3)
    seen[:-30, :1] += 0.05 * (ticks.price("mid")[30:] - ticks.price("mid")[:-30])[:, None].astype(np.float32)
    for rule in ("one_run", "until_flip"):
        chosen = StrategySettings(rule=rule, horizon=25, signals=(0,), taker_fee=1e-5)
        found = compare(ticks, seen, chosen, seeds=39)
        strategy = found.strategy.summary
        assert (found.random["trades"] == strategy.trades).all()
        assert found.random["turnover"].to_numpy() == pytest.approx(strategy.turnover, rel=1e-3)
        assert found.random["long_trades"].n_unique() > 5
        rows = {row["strategy"]: row for row in found.table.iter_rows(named=True)}
        assert rows["strategy"]["p_value"] == 1 / 40, "it knows what comes"
        assert rows["nothing"]["pnl_net"] == 0
        assert rows["nothing"]["bps_net"] is None
        assert rows["holding"]["trades"] == 2
        assert rows["random"]["pnl_net_low"] < rows["random"]["pnl_net"] < rows["random"]["pnl_net_high"]


def test_holding_is_long_from_end_to_end_of_each_segment() -> None:
    found = compare(book(BIDS), signals(13, r0=0.2), THREE, seeds=2).holding.trades
    assert found.select("opened_row", "closed_row", "open_price", "close_price", "qty").rows() == [(1, 12, 101, 99, 2)]


def test_holding_is_as_large_as_the_strategy_s_mean_position() -> None:
    chosen = StrategySettings(horizon=2, delay=1.0, sizing="table")
    found = compare(book(BIDS), signals(13, r0=0.2, r4=-0.02), chosen, seeds=2)
    assert found.holding.trades["qty"].to_list() == [(0.15 + 0.025) / 2]


def test_random_sides_of_resting_orders() -> None:
    random = np.random.default_rng(4)
    ticks, seen = random_ticks(random, 5_000), random_signals(random, 5_000, 3)
    before = seen.copy()
    found = compare(ticks, seen, StrategySettings(orders="limit", horizon=5, quantity=0.05), seeds=3)
    assert found.random["trades"].to_numpy() == pytest.approx(found.strategy.summary.trades, rel=0.2)
    assert np.array_equal(seen, before, equal_nan=True)


def test_a_strategy_that_never_trades() -> None:
    found = compare(book(BIDS), signals(13), THREE, seeds=2)
    assert found.strategy.summary.trades == 0
    assert found.strategy.summary.break_even_fee is None
    assert found.strategy.equity.rows() == [(found.strategy.equity["ts"][0], 0, 40_000.0, 0.0)]
    assert found.table["pnl_net"].to_list()[:2] == [0, 0]
    assert found.table["p_value"][0] == 1


def test_the_vectorised_engine_needs_little_memory() -> None:
    random = np.random.default_rng(5)
    ticks, seen = random_ticks(random, 100_000, levels=1), random_signals(random, 100_000, 3)
    read = [getattr(ticks, name) for name in ("times", "bid_price", "bid_qty", "ask_price", "ask_qty", "segment")]
    backtest(ticks, seen, StrategySettings())
    tracemalloc.start()
    try:
        backtest(ticks, seen, StrategySettings())
        assert tracemalloc.get_traced_memory()[1] < sum(one.nbytes for one in read) + seen.nbytes
    finally:
        tracemalloc.stop()


def test_hashes_tell_settings_apart() -> None:
    assert StrategySettings().hash == StrategySettings().hash != StrategySettings(delay=3.0).hash
    assert centred([20, 22, 25, 28, 30], 25, 3) == (1, 2, 3)


def test_the_picture_is_the_same_each_time(tmp_path: Path) -> None:
    found = compare(book(BIDS), signals(13, r0=0.2, r4=-0.1), THREE, seeds=3)
    lines = {"1 signal": found.strategy, "holding": found.holding}
    first, second = (draw_equity(lines, tmp_path / name, found.band).read_text() for name in ("a.svg", "b.svg"))
    assert first == second
    assert all(name in first for name in ("1 signal", "holding", "random sides"))
