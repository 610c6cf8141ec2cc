"""What a strategy stands beside: doing nothing, holding, and random sides at its own times.

Random: the signals from each position's decision to that of the next are all multiplied by 1 or by -1, by chance. So
decisions to open and to close fall on the same rows, with the same sizes, and the sides are random. Where orders rest,
or walk a book that holds too little, other sides may be filled otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars import selectors

from tracebank_models.order_book_features.ticks import Ticks

from .decision_points import Signals, decision_points, views
from .equity import equity_at, moments_of
from .event_driven import event_driven_lots
from .lots import LOT
from .run import BacktestResult, Lots, backtest, result_of
from .settings import StrategySettings
from .vectorised import lots_of_views

_MOMENTS = 200
"""Of the band."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A strategy and what it stands beside, on the same ticks with the same fills, delays and fees."""

    strategy: BacktestResult
    holding: BacktestResult
    table: pl.DataFrame
    """`strategy` (strategy, nothing, holding, random), the columns of `Summary.as_row` (of random their means), and of
    random `pnl_net_low`, `pnl_net_high` (2.5 and 97.5 %); of the strategy `p_value`: the share of random ones that earn
    as much after fees, itself counted in, so that it is at least 1 / (seeds + 1). `seeds` are the random ones."""
    random: pl.DataFrame
    """`seed` and the columns of `Summary.as_row`, without intervals."""
    band: pl.DataFrame
    """Of random equity at 200 moments: `ts`, `low`, `middle`, `high` (5, 50 and 95 %)."""


def compare(
    ticks: Ticks, signals: Signals, settings: StrategySettings, seeds: int = 100, period_s: int = 86_400
) -> Comparison:
    """Trade on signals, and as one who knows nothing.

    Args:
        ticks: See `backtest`.
        signals: See `backtest`.
        settings: Of the strategy.
        seeds: Random ones.
        period_s: See `backtest`.

    Raises:
        ValueError: See `backtest`; or there are no seeds.
    """
    if seeds < 1:
        raise ValueError(f"seeds: {seeds} is not allowed; allowed: a whole number from 1")
    strategy = backtest(ticks, signals, settings, period_s=period_s)
    holding = _holding(ticks, strategy, period_s)
    moments = moments_of(int(ticks.times[0]), int(ticks.times[-1]), _MOMENTS)
    rows, curves = list[dict[str, Any]](), np.empty((seeds, _MOMENTS))
    lots_of = _randomly(ticks, signals, settings, strategy)
    for seed in range(seeds):
        one = result_of(ticks, lots_of(np.random.default_rng(seed)), settings, strategy.engine, period_s, draws=0)
        rows.append({"seed": seed} | one.summary.as_row())
        curves[seed] = equity_at(one.equity, moments)
    random = _frame(rows)
    nothing = result_of(ticks, np.empty(0, LOT), settings, strategy.engine, period_s)
    return Comparison(strategy, holding, _table(strategy, nothing, holding, random), random, _band(moments, curves))


def _holding(ticks: Ticks, strategy: BacktestResult, period_s: int) -> BacktestResult:
    """Long from the first decision of each segment to its end, with the mean quantity of the strategy's positions."""
    opened = strategy.trades.group_by("position").agg(pl.col("qty").sum())["qty"]
    quantity = float(opened.to_numpy().mean()) if len(opened) else strategy.settings.quantity
    settings = dataclasses.replace(
        strategy.settings,
        rule="until_flip",
        signals=(),
        sizing="fixed",
        quantity=quantity,
        threshold=0.0,
        orders="market",
    )
    return backtest(ticks, np.broadcast_to(np.float32(1), (len(ticks), 1)), settings, "vectorised", period_s)


def _randomly(
    ticks: Ticks, signals: Signals, settings: StrategySettings, strategy: BacktestResult
) -> Callable[[np.random.Generator], Lots]:
    """What makes lots with random sides."""
    points = decision_points(ticks, settings)
    decided = strategy.trades["decided_row"].unique().sort().to_numpy()
    place = np.searchsorted(decided, points.rows, "right")
    seen, changed = views(signals, points.rows, settings), signals.copy() if settings.orders != "market" else signals

    def lots_of(random: np.random.Generator) -> Lots:
        sign: NDArray[np.int8] = (2 * random.integers(2, size=len(decided) + 1, dtype=np.int8) - 1)[place]
        if settings.orders == "market":
            turned = seen._replace(side=seen.side * sign, mean=seen.mean * sign)
            return lots_of_views(ticks, points, turned, settings)
        changed[points.rows] = signals[points.rows] * sign[:, None]
        return event_driven_lots(ticks, changed, settings)

    return lots_of


def _table(
    strategy: BacktestResult, nothing: BacktestResult, holding: BacktestResult, random: pl.DataFrame
) -> pl.DataFrame:
    earned = random["pnl_net"].to_numpy()
    p_value = (1 + int((earned >= strategy.summary.pnl_net).sum())) / (1 + len(earned))
    low, high = np.quantile(earned, [0.025, 0.975])
    means = random.select(pl.exclude("seed").mean()).row(0, named=True)
    rows = [
        {"strategy": "strategy", "p_value": p_value, **strategy.summary.as_row()},
        {"strategy": "nothing", **nothing.summary.as_row()},
        {"strategy": "holding", **holding.summary.as_row()},
        {"strategy": "random", "pnl_net_low": low, "pnl_net_high": high, **means},
    ]
    return _frame(rows).with_columns(seeds=pl.lit(len(earned)))


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Columns that know no number are of numbers all the same."""
    frame = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    return frame.with_columns(selectors.by_dtype(pl.Null).cast(pl.Float64))


def _band(moments: NDArray[np.int64], curves: NDArray[np.float64]) -> pl.DataFrame:
    low, middle, high = np.quantile(curves, [0.05, 0.5, 0.95], axis=0)
    ts = pl.Series(moments).cast(pl.Datetime("ns", "UTC"))
    return pl.DataFrame({"ts": ts, "low": low, "middle": middle, "high": high})
