"""Forecasts of an order book and what trading on them would have earned: models, splits, scores, backtests, trades."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import JSON, Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import VOLATILE, Base, HomePath, owned_by
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable


class ForecastModel(Base):
    """One model, trained on one day of one book."""

    __tablename__ = "forecast_models"
    __table_args__ = (Index(None, "venue", "symbol", "day"),)

    model: Mapped[str] = mapped_column(String(64), primary_key=True, doc="hash of settings and of the book it learned")
    name: Mapped[str] = mapped_column(String(32), doc="of the architecture: hfformer, lstm, dlinear, …")
    venue: Mapped[str] = mapped_column(String(64), doc="of the book")
    symbol: Mapped[str] = mapped_column(String(64), doc="of the book")
    day: Mapped[date] = mapped_column(doc="UTC day that it learned from")
    clock: Mapped[str] = mapped_column(String(16), doc="local: rows count from when they were received; or exchange")
    price: Mapped[str] = mapped_column(String(16), doc="what it forecasts: mid, weighted_mid or micro_price")
    features: Mapped[str] = mapped_column(String(16), doc="set of columns that it sees: paper or book")
    horizons: Mapped[list[int]] = mapped_column(JSON, doc="ticks ahead")
    quantiles: Mapped[list[float]] = mapped_column(JSON, doc="that it forecasts; empty: the mean")
    look_back: Mapped[int] = mapped_column(doc="ticks of a window")
    seed: Mapped[int] = mapped_column(doc="of weights and order")
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, doc="everything that it was made with")
    code_version: Mapped[str] = mapped_column(String(16), doc="of what trains")
    parameters: Mapped[int] = mapped_column(doc="trained numbers")
    windows: Mapped[int] = mapped_column(doc="learned from, each as often as it was")
    validation_loss: Mapped[float | None] = mapped_column(Float, doc="of the weights that were kept")
    spike_rate: Mapped[float | None] = mapped_column(
        Float, doc="share of steps on which a unit that spikes does; null: none do"
    )
    path: Mapped[str] = mapped_column(HomePath, doc="folder of the weights (./ is the home)", info=VOLATILE)
    device: Mapped[str] = mapped_column(String(32), doc="where it was trained", info=VOLATILE)
    seconds: Mapped[float] = mapped_column(Float, doc="of the training, wall time, s", info=VOLATILE)
    trained_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)


MODEL: Final = "forecast_models.model"
"""What rows about a model refer to."""


class ForecastSplit(Base):
    """Which rows of its day a model learned from, was chosen by, and is judged on."""

    __tablename__ = "forecast_splits"

    model: Mapped[str] = mapped_column(String(64), owned_by(MODEL), primary_key=True, doc="model")
    split: Mapped[str] = mapped_column(String(16), primary_key=True, doc="train, validation or test")
    first_row: Mapped[int] = mapped_column(doc="of the day's whole rows in order of the clock, from 0")
    last_row: Mapped[int] = mapped_column(doc="the last one that a window or its targets touch")
    first_ts: Mapped[datetime] = mapped_column(doc="time of the first, UTC")
    last_ts: Mapped[datetime] = mapped_column(doc="time of the last, UTC")
    windows: Mapped[int] = mapped_column(doc="that lie in it whole, with their targets")


class ForecastScore(Base):
    """How good forecasts of one day are, of one price and horizon, beside what knows nothing of the model."""

    __tablename__ = "forecast_scores"

    model: Mapped[str] = mapped_column(String(64), owned_by(MODEL), primary_key=True, doc="model")
    day: Mapped[date] = mapped_column(primary_key=True, doc="UTC day that is forecast; of its own day the test alone")
    price: Mapped[str] = mapped_column(String(16), primary_key=True, doc="that forecasts are held against")
    horizon: Mapped[int] = mapped_column(primary_key=True, doc="ticks ahead")
    metric: Mapped[str] = mapped_column(String(16), primary_key=True, doc="r2, sign_accuracy, pinball or coverage")
    samples: Mapped[int] = mapped_column(doc="forecasts judged; returns of neighbouring ticks overlap")
    value: Mapped[float | None] = mapped_column(Float, doc="null: not defined, as of returns that are all 0")
    low: Mapped[float | None] = mapped_column(Float, doc="lower end of its 95 % interval, by moving blocks")
    high: Mapped[float | None] = mapped_column(Float, doc="upper end; both null of fewer than five blocks")
    standard_error: Mapped[float | None] = mapped_column(Float, doc="the same bootstrap's")
    independent_error: Mapped[float | None] = mapped_column(Float, doc="what it would be if no returns overlapped")
    blocks: Mapped[int] = mapped_column(doc="of the bootstrap")
    baseline: Mapped[str] = mapped_column(String(32), doc="what knows nothing: zero, last return, or what is named")
    baseline_value: Mapped[float | None] = mapped_column(Float, doc="its score on the same rows")
    control: Mapped[float | None] = mapped_column(
        Float, doc="score of the linear model that sees how the last row leans; null: none was trained"
    )
    over_control: Mapped[float | None] = mapped_column(Float, doc="how much more than the control's the value is")
    over_control_low: Mapped[float | None] = mapped_column(Float, doc="lower end of its 95 % interval")
    over_control_high: Mapped[float | None] = mapped_column(Float, doc="upper end")


class Backtest(Base):
    """What one rule would have earned on one day of one book; doing nothing, holding and chance are rows too."""

    __tablename__ = "backtests"
    __table_args__ = (Index(None, "venue", "symbol", "day"), Index(None, "model"), Index(None, "strategy"))

    backtest: Mapped[str] = mapped_column(String(64), primary_key=True, doc="hash of model, day, settings and kind")
    kind: Mapped[str] = mapped_column(String(16), doc="strategy; and beside it nothing, holding, random")
    strategy: Mapped[str] = mapped_column(String(64), doc="backtest of the strategy that it stands beside, or is")
    model: Mapped[str] = mapped_column(String(64), owned_by(MODEL), doc="whose forecasts the strategy trades on")
    venue: Mapped[str] = mapped_column(String(64), doc="of the book")
    symbol: Mapped[str] = mapped_column(String(64), doc="of the book")
    day: Mapped[date] = mapped_column(doc="UTC day")
    rule: Mapped[str] = mapped_column(String(32), doc="when positions are opened and closed")
    signals: Mapped[int] = mapped_column(doc="forecasts that have to agree")
    horizon: Mapped[int] = mapped_column(doc="ticks between decisions")
    fill: Mapped[str] = mapped_column(String(16), doc="price of orders: weighted_mid, mid, touch or walk")
    orders: Mapped[str] = mapped_column(String(16), doc="market: they take; limit_entry, limit: they rest")
    taker_fee: Mapped[float] = mapped_column(Float, doc="of the notional, each side; .0001 is a basis point")
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, doc="everything that it was made with")
    random_runs: Mapped[int | None] = mapped_column(doc="strategies of the same turnover by chance that stand beside")
    rank_p: Mapped[float | None] = mapped_column(
        Float, doc="of a strategy: share of these that earn as much after fees, itself counted in"
    )
    trades: Mapped[int] = mapped_column(doc="lots, mostly one a position; of random the mean of its runs, as all below")
    long_trades: Mapped[int] = mapped_column(doc="of them long")
    pnl_gross: Mapped[float] = mapped_column(Float, doc="before fees, quote currency")
    fees: Mapped[float] = mapped_column(Float, doc="quote currency")
    pnl_net: Mapped[float] = mapped_column(Float, doc="after fees, quote currency")
    pnl_long: Mapped[float] = mapped_column(Float, doc="of it long trades'")
    pnl_std: Mapped[float | None] = mapped_column(Float, doc="of trades after fees; null of fewer than two")
    bps_gross: Mapped[float | None] = mapped_column(Float, doc="mean of trades before fees, basis points of notional")
    bps_net: Mapped[float | None] = mapped_column(Float, doc="the same after fees")
    hit_rate: Mapped[float | None] = mapped_column(Float, doc="share of trades that earn after fees")
    sharpe_trade: Mapped[float | None] = mapped_column(Float, doc="mean over deviation of what trades earn after fees")
    sharpe_trade_low: Mapped[float | None] = mapped_column(Float, doc="lower end of its 95 % interval")
    sharpe_trade_high: Mapped[float | None] = mapped_column(Float, doc="upper end; both null of fewer than five blocks")
    max_drawdown: Mapped[float] = mapped_column(Float, doc="deepest fall below an earlier height, quote currency")
    turnover: Mapped[float] = mapped_column(Float, doc="notional of all fills, quote currency")
    break_even_fee: Mapped[float | None] = mapped_column(
        Float, doc="fee on every fill at which nothing is earned, share of the notional; null: no trades"
    )


BACKTEST: Final = "backtests.backtest"
"""What rows of a backtest refer to."""


class BacktestTrade(Base):
    """One round trip of a backtest."""

    __tablename__ = "backtest_trades"

    backtest: Mapped[str] = mapped_column(String(64), owned_by(BACKTEST), primary_key=True, doc="backtest")
    number: Mapped[int] = mapped_column(primary_key=True, doc="from 0")
    position: Mapped[int] = mapped_column(doc="lots of one position share it")
    side: Mapped[str] = mapped_column(String(8), doc="long or short")
    qty: Mapped[float] = mapped_column(Float, doc="qty_unit of the instrument")
    signal: Mapped[float] = mapped_column(Float, doc="mean of the forecasts that it was opened on")
    decided_ts: Mapped[datetime] = mapped_column(doc="when it was decided, UTC")
    opened_ts: Mapped[datetime] = mapped_column(doc="of the fill, UTC")
    closed_ts: Mapped[datetime] = mapped_column(doc="of the fill, UTC")
    opened_row: Mapped[int] = mapped_column(doc="row of the day that filled it, from 0")
    closed_row: Mapped[int] = mapped_column(doc="row of the day that filled it")
    open_price: Mapped[float] = mapped_column(Float, doc="price_unit of the instrument")
    close_price: Mapped[float] = mapped_column(Float, doc="price_unit of the instrument")
    open_is_maker: Mapped[bool] = mapped_column(doc="whether the order rested")
    close_is_maker: Mapped[bool] = mapped_column(doc="whether the order rested")
    fees: Mapped[float] = mapped_column(Float, doc="of both sides, quote currency")
    pnl_net: Mapped[float] = mapped_column(Float, doc="after fees, quote currency")
    bps_net: Mapped[float] = mapped_column(Float, doc="the same, basis points of the notional at which it was opened")
    reason: Mapped[str] = mapped_column(String(32), doc="the rule that closed it, or segment_end")


FORECASTS: Final = SeriesTable(
    name="forecasts",
    doc="What models forecast at every tick, scaled: 1e4 log(p[t+h] / p[t]) / (1.1 sqrt(h) + .01 h).",
    columns=(
        Column("ts", TIMESTAMP, "time of the book's row, by the model's clock", "UTC", codec="Delta, T64, ZSTD"),
        Column("venue", pa.string(), "of the book", repeated=True),
        Column("symbol", pa.string(), "of the book", repeated=True),
        Column("model", pa.string(), "of relational.forecast_models", repeated=True),
        Column(
            "made", pa.string(), "stored: of stored rows; live: as rows came; replayed: as if they came", repeated=True
        ),
        Column(
            "row", pa.int64(), "number of the row in its day, from 0; live: since the loop began", codec="Delta, ZSTD"
        ),
        Column("horizon", pa.int32(), "ticks ahead", codec="Delta, ZSTD"),
        Column("quantile", pa.float64(), "that it is; null: the mean", nullable=True, codec="ZSTD"),
        Column("value", pa.float32(), "forecast", "scaled log return", codec="ZSTD"),
    ),
    sort_key=("venue", "symbol", "model", "horizon", "ts"),
    partition_by=(Day("ts"), "symbol", "model", "made"),
)

BACKTEST_EQUITY: Final = SeriesTable(
    name="backtest_equity",
    doc="What a backtest has earned, at every tick on which that changed.",
    columns=(
        Column("ts", TIMESTAMP, "of the tick, UTC", "UTC", codec="Delta, T64, ZSTD"),
        Column("backtest", pa.string(), "of relational.backtests", repeated=True),
        Column("equity", pa.float64(), "earned until then, open position at its price", "quote currency", codec="ZSTD"),
        Column("position", pa.float64(), "held; short below 0", "qty_unit of the instrument", codec="ZSTD"),
    ),
    sort_key=("backtest", "ts"),
    partition_by=("backtest",),
)
