"""Scores and earnings on a terminal."""

from datetime import date
from typing import Any

from sqlalchemy import func, select

from tracebank.cli.grid import NUMBER, Grid
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.forecasting import Backtest, ForecastModel, ForecastScore

_HORIZONS = (1, 3, 10, 30)


def newest_day(relational: RelationalStore, symbol: str) -> date:
    """The last day of a symbol that was forecast.

    Raises:
        ValueError: there is none.
    """
    query = select(func.max(ForecastScore.day)).join(ForecastModel, ForecastModel.model == ForecastScore.model)
    with relational.reading() as session:
        day: date | None = session.scalar(query.where(ForecastModel.symbol == symbol))
    if day is None:
        raise ValueError(f"symbol: {symbol!r} was not forecast; 'tracebank forecast train' does it")
    return day


def forecast_grids(relational: RelationalStore, symbol: str, day: date) -> list[Grid]:
    """How good forecasts of a day are, and what trading on them would have earned.

    Raises:
        ValueError: nothing of the day was forecast.
    """
    scores = select(ForecastModel.name, ForecastModel.seed, ForecastScore).join(
        ForecastScore, ForecastModel.model == ForecastScore.model
    )
    scores = scores.where(ForecastModel.symbol == symbol, ForecastScore.day == day, ForecastScore.metric == "r2")
    scores = scores.order_by(ForecastModel.trained_at, ForecastModel.model)
    earned = select(ForecastModel.name, ForecastModel.seed, Backtest).join(
        Backtest, ForecastModel.model == Backtest.model
    )
    earned = earned.where(Backtest.symbol == symbol, Backtest.day == day)
    with relational.reading() as session:
        told = [(name, seed, row.row()) for name, seed, row in session.execute(scores)]
        # Of a name and seed that was trained in several ways the newest is shown; rows have all.
        newest = {(name, seed): row["model"] for name, seed, row in told}
        kept = [
            (label(name, seed), row.row())
            for name, seed, row in session.execute(earned)
            if newest.get((name, seed)) == row.model
        ]
    told = [one for one in told if newest[one[:2]] == one[2]["model"]]
    if not told:
        raise ValueError(f"day: nothing of {symbol} was forecast on {day}; 'tracebank forecast train' does it")
    return [_scores_grid(told, f"{symbol}, {day}"), *_earned_grids(kept, f"{symbol}, {day}")]


def _scores_grid(told: list[tuple[str, int, dict[str, Any]]], what: str) -> Grid:
    grid = Grid(
        "model", "price", *((f"h={horizon}", NUMBER) for horizon in _HORIZONS),
        title=f"{what}: R² of forecasts, ± half of the 95 % interval",
    )  # fmt: skip
    cells = {(name, seed, row["price"], row["horizon"]): row for name, seed, row in told}
    for name, seed, price in sorted({key[:3] for key in cells}):
        shown = [_about(cells.get((name, seed, price, horizon))) for horizon in _HORIZONS]
        grid.add_row(label(name, seed), price, *shown)
    return grid


def label(name: str, seed: int) -> str:
    """A model's name, with its seed where that is not the first."""
    return f"{name} {seed}" if seed else name


def _about(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return ""
    half = "" if row["low"] is None else f"±{(row['high'] - row['low']) / 2:.3f}"
    return f"{row['value']:.3f}{half}"


def _earned_grids(kept: list[tuple[str, dict[str, Any]]], what: str) -> list[Grid]:
    """A grid for each way of trading, which is named where there are several."""
    ways: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for one in kept:
        ways.setdefault(str({**one[1]["settings"], "signals": ()}), []).append(one)
    settings = [{**rows[0][1]["settings"], "signals": ()} for rows in ways.values()]
    differ = (
        [name for name, value in settings[0].items() if any(one[name] != value for one in settings)] if ways else []
    )
    return [
        _earned_grid(rows, what + "".join(f", {name} {told[name]}" for name in differ))
        for rows, told in zip(ways.values(), settings, strict=True)
    ]


def _earned_grid(kept: list[tuple[str, dict[str, Any]]], what: str) -> Grid:
    grid = Grid(
        "model", ("signals", NUMBER), "kind", ("trades", NUMBER), ("earned", NUMBER), ("bps", NUMBER),
        ("break-even bps", NUMBER), ("rank p", NUMBER), title=f"{what}: earned after fees, quote currency",
    )  # fmt: skip
    of_models = [(name, row) for name, row in kept if row["kind"] in ("strategy", "random")]
    # Who holds or does nothing needs no model: of one strategy they are shown.
    others = {row["kind"]: ("", row) for _, row in kept if row["kind"] in ("holding", "nothing")}.values()
    in_order = sorted(of_models, key=lambda one: (one[0], one[1]["signals"], one[1]["kind"] == "random"))
    for name, row in (*in_order, *others):
        grid.add_row(
            name, str(row["signals"]) if name else "", row["kind"], f"{row['trades']:,}", f"{row['pnl_net']:.2f}",
            _number(row["bps_net"], 3), _number(row["break_even_fee"], 4, 1e4), _number(row["rank_p"], 3),
        )  # fmt: skip
    return grid


def _number(value: float | None, digits: int, unit: float = 1.0) -> str:
    return "" if value is None else f"{value * unit:.{digits}f}"
