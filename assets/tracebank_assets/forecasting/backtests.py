"""Asset `forecasting/backtests`: what trading on forecasts would have earned, beside doing nothing and chance."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field
from sqlalchemy import select

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.artifacts import artifact
from tracebank_assets.forecasting.catalogue import Row, judged_models, judged_rows, models_for
from tracebank_assets.forecasting.forecasts import STORED
from tracebank_assets.forecasting.keys import BOOK_KEY, FORECASTS_KEY, GROUP
from tracebank_assets.forecasting.shown import label
from tracebank_assets.forecasting.stored_ticks import DayOfTicks
from tracebank_assets.market.partitions import DAY_BY_SYMBOL, day_and_symbol
from tracebank_assets.materialised import Figure, Materialised, materialised
from tracebank_assets.sparklines import sparkline
from tracebank_schemas.forecasting import BACKTEST_EQUITY, FORECASTS, Backtest, BacktestTrade

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracebank_models.backtest.nulls import Comparison
    from tracebank_models.backtest.run import BacktestResult
    from tracebank_models.backtest.settings import StrategySettings
    from tracebank_models.order_book_features.ticks import Ticks

_ADDS_UP: Final = "trades_add_up"
_TRADED: Final = "strategies_trade"
STRATEGY: Final = "strategy"
CHECKS: Final = {
    _ADDS_UP: "What trades earned is what the equity ends at, to a billionth of the start.",
    _TRADED: "Every strategy made a trade.",
}


class BacktestsConfig(dg.Config):
    """What is traded, and how."""

    models: list[str] = Field(default=[], description="Names of architectures or keys of models; empty: all.")
    signals: list[int] = Field(default=[1, 3, 5], description="Horizons that have to agree, around the strategy's own.")
    strategy: dict[str, Any] = Field(default={}, description="Changes to how it trades: rule, fill, fees, delay, …")
    only_new: bool = Field(
        default=False, description="Those alone that have no such backtests of the day; all where each has."
    )
    random_runs: int = Field(default=100, ge=1, description="Strategies by chance that each stands beside.")


@artifact(
    GROUP,
    Backtest,
    BacktestTrade,
    BACKTEST_EQUITY,
    checks=CHECKS,
    not_empty=True,
    deps=[BOOK_KEY, FORECASTS_KEY],
    partitions_def=DAY_BY_SYMBOL,
    kinds={"numba"},
)
def backtests(context: dg.AssetExecutionContext, config: BacktestsConfig, stores: Stores) -> dg.MaterializeResult:
    """Strategies on the forecasts of each model, with one signal and with several: trades, equity, and the same fills,
    delays and fees without any model. Pictures of the equity lie in the home, in folder `forecasting`.
    """
    from tracebank_models.backtest.equity_plot import draw_equity
    from tracebank_models.backtest.nulls import compare

    day, symbol = day_and_symbol(context)
    books = DayOfTicks(stores, day, symbol)
    asked = models_for(stores.relational, day, symbol, config.models)
    asked = _not_traded(stores.relational, asked, day, config) if config.only_new else asked
    asked = judged_models(stores.relational, asked, books, context.log.warning)
    found: list[_Strategy] = []
    with materialised(context, stores) as made:
        with track(f"backtests of {symbol}", len(asked) * len(config.signals)) as advance:
            for model in asked:
                ticks, signals, first = forecast_ticks(stores, model, books)
                for count in dict.fromkeys(config.signals):
                    settings = strategy_of(config.strategy, model["horizons"], count)
                    compared = compare(ticks, signals, settings, config.random_runs)
                    found.append(_Strategy(model, count, day, first, compared))
                    advance(1)
        _write(made, found)
        pictures = {
            name: draw_equity(lines, stores.settings.home / GROUP / f"{symbol}_{day}_{name}.svg", band)
            for name, (lines, band) in _lines(found).items()
        }
    return made.result(_figures(found, pictures), _results(found))


@dataclass(frozen=True, slots=True)
class _Strategy:
    """A strategy on one model's forecasts, and what it stands beside."""

    model: Row
    signals: int
    day: date
    first: int
    """Row of the day that is the first of its ticks."""
    compared: "Comparison"

    def key(self, kind: str = STRATEGY) -> str:
        """What names the strategy, or what stands beside it."""
        return backtest_key(kind, self.model, self.day, self.compared.strategy.settings)

    @property
    def label(self) -> str:
        """What its figures and its picture are named by."""
        return label(self.model["name"], self.model["seed"]).replace(" ", "_")


def backtest_key(kind: str, model: Row, day: date, settings: "StrategySettings") -> str:
    """What names a backtest."""
    told = (kind, model["model"], str(day), settings.hash)
    return hashlib.sha256("|".join(told).encode()).hexdigest()[:16]


def _not_traded(relational: RelationalStore, models: Sequence[Row], day: date, config: BacktestsConfig) -> list[Row]:
    """Of models those that lack a strategy that is asked for; all where none does."""
    with relational.reading() as session:
        traded = set(session.scalars(select(Backtest.backtest).where(Backtest.day == day)))

    def lacks(model: Row) -> bool:
        asked = (strategy_of(config.strategy, model["horizons"], count) for count in config.signals)
        return any(backtest_key(STRATEGY, model, day, settings) not in traded for settings in asked)

    return [model for model in models if lacks(model)] or list(models)


def strategy_of(changes: Mapping[str, Any], horizons: Sequence[int], count: int) -> "StrategySettings":
    """Settings of a strategy that trades where `count` forecasts around its own horizon agree.

    Raises:
        ValueError: A setting is not allowed, or the model does not forecast so many horizons around it; one line.
    """
    from tracebank_models.backtest.settings import StrategySettings, centred
    from tracebank_models.checked_settings import changed_settings

    settings = changed_settings(StrategySettings(), dict(changes), "strategy")
    return dataclasses.replace(settings, signals=centred(horizons, settings.horizon, count))


def forecast_ticks(stores: Stores, model: Row, books: DayOfTicks) -> "tuple[Ticks, NDArray[np.float32], int]":
    """The ticks that a model is judged on, its forecasts of every horizon, `[n, horizons]`, NaN where there is none,
    and which row of the day is the first of them.

    Raises:
        dg.Failure: nothing of the day was forecast by the model, or what was is of other rows than are stored now.
    """
    day, symbol, ticks = books.day, books.symbol, books.of(model)
    rows = judged_rows(stores.relational, model, books)
    partition = {"day": day, "symbol": symbol, "model": model["model"], "made": STORED}
    told = stores.series.read(FORECASTS, partition=partition, columns=["ts", "row", "horizon", "quantile", "value"])
    told = told.filter(pl.col("quantile").is_null() | (pl.col("quantile") == 0.5))
    if told.is_empty():
        raise dg.Failure(
            f"model {model['model']} has no forecasts of {symbol} on {day}; materialise forecasting/forecasts"
        )
    at = told["row"].to_numpy()
    if at.max() not in rows or (ticks.times[at] != told["ts"].to_physical().to_numpy()).any():
        raise dg.Failure(
            f"forecasts of model {model['model']} are of other rows of {symbol} on {day} than are stored; "
            "materialise forecasting/forecasts"
        )
    signals = np.full((len(rows), len(model["horizons"])), np.nan, np.float32)
    place = np.searchsorted(model["horizons"], told["horizon"].to_numpy())
    signals[at - rows.start, place] = told["value"].to_numpy()
    return ticks.part(rows), signals, rows.start


def _write(made: Materialised, found: "list[_Strategy]") -> None:
    rows = [row for one in found for row in _rows(one)]
    keys = [one.key() for one in found]
    made.into(Backtest, Backtest.strategy.in_(keys)).write(rows)
    trades = made.into(BacktestTrade, BacktestTrade.backtest.in_(keys))
    for one in found:
        trades.write(_trades(one))
        for kind in (STRATEGY, "holding"):
            key, result = one.key(kind), getattr(one.compared, kind)
            equity = result.equity.select("ts", pl.lit(key).alias("backtest"), "equity", "position")
            made.into(BACKTEST_EQUITY, {"backtest": key}).write(equity)


def _rows(one: "_Strategy") -> list[dict[str, Any]]:
    settings = one.compared.strategy.settings
    told = {
        "strategy": one.key(),
        "model": one.model["model"],
        "venue": one.model["venue"],
        "symbol": one.model["symbol"],
        "day": one.day,
        "signals": one.signals,
        "settings": dataclasses.asdict(settings),
        **{name: getattr(settings, name) for name in ("rule", "horizon", "fill", "orders", "taker_fee")},
    }
    kept = {column.name for column in Backtest.__table__.columns}
    rows = []
    for row in one.compared.table.rename({"strategy": "kind", "p_value": "rank_p", "seeds": "random_runs"}).to_dicts():
        numbers = {name: value for name, value in row.items() if name in kept}
        rows.append({**numbers, **told, "backtest": one.key(row["kind"])})
    return rows


def _trades(one: "_Strategy") -> pl.DataFrame:
    kept = [column.name for column in BacktestTrade.__table__.columns]
    by_day = [pl.col(name) + one.first for name in ("opened_row", "closed_row")]
    return one.compared.strategy.trades.with_columns(*by_day, backtest=pl.lit(one.key())).select(kept)


def _lines(found: "list[_Strategy]") -> "dict[str, tuple[dict[str, BacktestResult], pl.DataFrame]]":
    """For each architecture and seed a picture's lines, and the band of chance beside its strategy of most signals."""
    pictures: dict[str, tuple[dict[str, BacktestResult], pl.DataFrame]] = {}
    for one in sorted(found, key=lambda one: one.signals):
        lines = {} if (name := one.label) not in pictures else pictures[name][0]
        lines[f"{one.signals} signal{'s' * (one.signals > 1)}"] = one.compared.strategy
        lines["holding"] = one.compared.holding
        pictures[name] = lines, one.compared.band
    return pictures


def _figures(found: "list[_Strategy]", pictures: Mapping[str, Path]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {f"plot_{name}": dg.MetadataValue.path(str(path)) for name, path in pictures.items()}
    for one in found:
        named, strategy = f"{one.label}_{one.signals}", one.compared.strategy
        figures[f"{named}_pnl"] = round(strategy.summary.pnl_net, 4)
        figures[f"{named}_equity_line"] = sparkline(strategy.equity["equity"].to_list())
    return figures


def _results(found: "list[_Strategy]") -> list[dg.AssetCheckResult]:
    off, idle = [], []
    for one in found:
        result = one.compared.strategy
        start, end = result.settings.start_notional, float(result.equity["equity"][-1])
        if abs(end - start - result.summary.pnl_net) > 1e-9 * start:
            off.append(one.key())
        if not result.summary.trades:
            idle.append(one.key())
    return [
        dg.AssetCheckResult(check_name=_ADDS_UP, passed=not off, metadata={"backtests": off}),
        dg.AssetCheckResult(
            check_name=_TRADED, passed=not idle, severity=dg.AssetCheckSeverity.WARN, metadata={"backtests": idle}
        ),
    ]
