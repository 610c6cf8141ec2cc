"""Group `forecasting`: a day of a book becomes models, forecasts, scores, trades and equity, all of them rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session
from tests.homes import Home, fault, opened
from typer.testing import CliRunner

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank_assets.commands.forecasting import forecasting
from tracebank_assets.forecasting.backtests import backtests
from tracebank_assets.forecasting.forecasts import forecasts
from tracebank_assets.forecasting.models import models
from tracebank_assets.forecasting.questions import questions
from tracebank_assets.market.partitions import add_to, partition_key
from tracebank_models.market.synthetic_exchange import SyntheticMarket
from tracebank_models.market.synthetic_exchange.frames import simulate
from tracebank_models.market.synthetic_exchange.instrument import Instrument
from tracebank_schemas.forecasting import Backtest, BacktestTrade, ForecastModel, ForecastScore, ForecastSplit
from tracebank_schemas.market import BOOK

SYMBOL, VENUE = "AAA", "here"
FIRST, SECOND = date(2024, 8, 8), date(2024, 8, 9)
TRAINED: dict[str, Any] = {
    "models": ["lstm", "imbalance"],
    "changes": {"epochs": 1, "look_back": 20, "horizons": [1, 2, 3, 4, 5], "windows_per_epoch": 256, "batch": 64},
}
TRADED: dict[str, Any] = {"signals": [1, 3], "strategy": {"horizon": 3, "fill": "mid"}, "random_runs": 9}


@pytest.fixture(scope="module")
def books() -> dict[date, pl.DataFrame]:
    """Two days of one book, four minutes each."""
    found = {}
    for seed, day in enumerate((FIRST, SECOND)):
        market = SyntheticMarket(
            symbols=(Instrument(SYMBOL),), venues=(VENUE,), day=day, seed=seed, duration_s=240, signal_r2=0.5,
            signal_horizon_s=1, streams=("depth10",),
        )  # fmt: skip
        found[day] = simulate(market, SYMBOL, VENUE).book
    return found


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch, books: dict[date, pl.DataFrame]) -> Iterator[Home]:
    with opened(settings, monkeypatch) as home:
        series = open_series(settings)
        for day, book in books.items():
            series.replace(BOOK, {"day": day, "symbol": SYMBOL}, book)
            add_to(home.instance, [(day, SYMBOL)])
        yield home


def test_a_day_becomes_models_forecasts_scores_and_trades_that_are_not_doubled(home: Home) -> None:
    day = str(partition_key(FIRST, SYMBOL))
    assert "no model of AAA" in fault(home.make(forecasts, day))
    assert home.made(models, day, **TRAINED)["splits_share_no_tick"]
    assert home.made(forecasts, day)["forecasts_are_numbers"]
    assert home.made(backtests, day, **TRADED)["trades_add_up"]
    tables = (ForecastModel, ForecastSplit, ForecastScore, Backtest, BacktestTrade)
    counts = {table: home.count(table) for table in tables}
    # Two models, three splits, 3 prices x 5 horizons x 2 metrics; of each strategy itself and three beside it.
    assert {table: counts[table] for table in tables[:4]} == {
        ForecastModel: 2, ForecastSplit: 6, ForecastScore: 60, Backtest: 16,
    }  # fmt: skip
    series = "SELECT count() AS n FROM series.forecasts", "SELECT count() AS n FROM series.backtest_equity"
    before = [home.sql(text)["n"].item() for text in series]
    folder = home.settings.home / "forecasting"
    left = [folder / f".{row.model}.checkpoint" for row in home.models(ForecastModel)]
    for path in left:  # as a run leaves it that is killed once the model stands
        path.touch()
    home.made(models, day, **TRAINED)
    assert not any(path.exists() for path in left)
    home.made(forecasts, day)
    home.made(backtests, day, **TRADED)
    assert {table: home.count(table) for table in tables} == counts
    assert [home.sql(text)["n"].item() for text in series] == before

    shared = home.sql(
        """SELECT count() AS n FROM relational.forecast_splits AS a INNER JOIN relational.forecast_splits AS b
        ON a.model = b.model WHERE a.split < b.split AND a.first_row <= b.last_row AND b.first_row <= a.last_row"""
    )
    assert shared["n"].item() == 0
    outside = home.sql(
        """SELECT count() AS n FROM series.forecasts AS f INNER JOIN relational.forecast_splits AS s
        ON s.model = f.model
        WHERE s.split = 'test' AND (f.row < s.first_row OR f.row > s.last_row OR f.ts < s.first_ts)"""
    )
    assert outside["n"].item() == 0, "of its own day a model is judged on what it never saw"
    summed = home.sql(
        """SELECT b.pnl_net AS told, b.trades AS trades, sum(t.pnl_net) AS summed, count() AS n
        FROM relational.backtests AS b INNER JOIN relational.backtest_trades AS t ON t.backtest = b.backtest
        WHERE b.kind = 'strategy' GROUP BY b.backtest, b.pnl_net, b.trades"""
    )
    assert summed["summed"].to_list() == pytest.approx(summed["told"].to_list())
    assert summed["n"].to_list() == summed["trades"].to_list()
    controls = {row.model: row.control for row in home.models(ForecastScore) if row.metric == "r2"}
    assert None not in controls.values()
    assert len(list(folder.glob("AAA_2024-08-08_*.svg"))) == 2
    for text in questions("clickhouse").values():
        assert home.sql(text).height


def test_a_later_day_is_forecast_whole_and_an_earlier_one_never(home: Home) -> None:
    first, second = (str(partition_key(day, SYMBOL)) for day in (FIRST, SECOND))
    home.made(models, second, **{**TRAINED, "models": ["imbalance"]})
    assert "learned from 2024-08-08 or an earlier day" in fault(home.make(forecasts, first))
    home.made(models, first, **{**TRAINED, "models": ["imbalance"], "train": 1.0, "validation": 0.0})
    assert "nothing of it is left" in fault(home.make(forecasts, first))
    home.made(forecasts, second)
    judged = home.sql(
        """SELECT m.day AS day, count(DISTINCT f.row) AS n FROM series.forecasts AS f
        INNER JOIN relational.forecast_models AS m ON m.model = f.model GROUP BY day ORDER BY day"""
    )
    assert judged["n"].to_list()[0] == 2_400 - 19, "all but the first rows, which no window ends on"
    assert judged["n"].to_list()[1] < 600


def test_forecasts_and_models_of_other_rows_are_not_judged(home: Home, books: dict[date, pl.DataFrame]) -> None:
    series, control = open_series(home.settings), {**TRAINED, "models": ["imbalance"]}
    first, second = (str(partition_key(day, SYMBOL)) for day in (FIRST, SECOND))
    home.made(models, first, **control)
    for day in (first, second):
        home.made(forecasts, day)
    for day in (FIRST, SECOND):  # as many rows, each of them a later one by now
        series.replace(BOOK, {"day": day, "symbol": SYMBOL}, books[day].slice(300))
    assert "learned from other rows of 2024-08-08 than are stored" in fault(home.make(forecasts, first))
    assert "learned from other rows of 2024-08-08 than are stored" in fault(home.make(backtests, first, **TRADED))
    assert "of other rows of AAA on 2024-08-09 than are stored" in fault(home.make(backtests, second, **TRADED))
    assert home.count(Backtest) == 0
    home.made(models, first, **{**control, "seeds": [1]})
    home.made(forecasts, first)
    assert home.made(backtests, first, **TRADED)["trades_add_up"], "what cannot be judged keeps no other from it"


def test_each_model_is_shown_ticks_on_its_own_clock(home: Home, books: dict[date, pl.DataFrame]) -> None:
    exchange = books[FIRST].with_columns(local_ts=pl.lit(None, books[FIRST]["local_ts"].dtype))
    open_series(home.settings).replace(BOOK, {"day": FIRST, "symbol": SYMBOL}, exchange)
    for day in (FIRST, SECOND):
        home.made(models, str(partition_key(day, SYMBOL)), **{**TRAINED, "models": ["imbalance"]})
    home.made(forecasts, str(partition_key(SECOND, SYMBOL)))
    told = home.sql(
        """SELECT m.clock AS clock, f.ts AS ts FROM series.forecasts AS f
        INNER JOIN relational.forecast_models AS m ON m.model = f.model"""
    )
    assert set(told["clock"]) == {"exchange", "local"}
    for clock, column in (("exchange", "ts"), ("local", "local_ts")):
        assert set(told.filter(clock=clock)["ts"]) <= set(books[SECOND][column])


def test_a_control_of_another_split_stands_beside_no_model(home: Home) -> None:
    day = str(partition_key(FIRST, SYMBOL))
    home.made(models, day, **{**TRAINED, "train": 0.5})
    home.made(models, day, **{**TRAINED, "models": ["imbalance"]})
    home.made(forecasts, day)
    names = {row.model: row.name for row in home.models(ForecastModel)}
    assert {row.control is None for row in home.models(ForecastScore) if names[row.model] == "lstm"} == {True}


def test_seeds_have_pictures_and_figures_of_their_own(home: Home) -> None:
    day = str(partition_key(FIRST, SYMBOL))
    home.made(models, day, **{**TRAINED, "models": ["lstm"], "seeds": [0, 1]})
    home.made(forecasts, day)
    result = home.make(backtests, day, **{**TRADED, "signals": [1]})
    names = {path.name for path in (home.settings.home / "forecasting").glob("*.svg")}
    assert names == {"AAA_2024-08-08_lstm.svg", "AAA_2024-08-08_lstm_1.svg"}
    (told,) = (event.metadata for event in result.asset_materializations_for_node("forecasting__backtests"))
    assert {"lstm_1_pnl", "lstm_1_1_pnl"} <= set(told)


@pytest.mark.parametrize(
    ("asset", "config", "said"),
    [
        (models, {"models": ["oracle"]}, "models: 'oracle' is not allowed; allowed: hfformer"),
        (
            models,
            {"changes": {"horizons": [1, 5_000]}},
            "horizons: 100 ticks and 5000 more are not allowed; allowed: fewer",
        ),
        (models, {"changes": {"look_back": 3_000}}, "look_back, horizons: 3000 ticks and 30 more"),
        (models, {"changes": {"epoch": 3}}, "epoch"),
        (
            models,
            {"venue": "elsewhere"},
            "venue: 'elsewhere' has no book of AAA on 2024-08-08 in series.book; there is: here",
        ),
        (forecasts, {"models": ["tlob"]}, "models: 'tlob' is not allowed"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(home: Home, asset: Any, config: Any, said: str) -> None:
    result = home.make(asset, str(partition_key(FIRST, SYMBOL)), **config)
    assert not result.success
    assert said in fault(result)
    assert "\n" not in fault(result).strip()
    assert home.count(ForecastModel) == 0


def test_commands_train_judge_and_show(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner()
    wrong = run.invoke(forecasting, ["train", SYMBOL, "--day", "2024-08-08", "--models", "imbalance", "--fee", "2"])
    assert wrong.exit_code != 0
    assert "taker_fee" in wrong.output
    for signals in ("2", "1,13", "0"):
        wrong = run.invoke(forecasting, ["train", SYMBOL, "--models", "imbalance", "--signals", signals])
        assert "odd numbers up to 11" in wrong.output
    assert home.count(ForecastModel) == 0
    done = run.invoke(forecasting, ["train", SYMBOL, "--day", str(FIRST), "--models", "imbalance", "--signals", "1"])
    assert done.exit_code == 0, done.output
    assert "R² of forecasts" in done.output
    assert "random" in done.output
    assert max(map(len, done.output.splitlines())) <= 80
    with Session(open_relational(home.settings).engine) as session, session.begin():
        session.execute(delete(ForecastScore).where(ForecastScore.horizon == 30))
        session.execute(delete(Backtest).where(Backtest.kind == "holding"))
    changed = ["train", SYMBOL, "--day", str(FIRST), "--models", "imbalance", "--signals", "1", "--features", "paper"]
    again = run.invoke(forecasting, changed)
    assert again.output == done.output, "of a name the newest is shown, and the control sees the same"
    assert home.count(ForecastModel) == 2
    judged = Counter((row.model, row.horizon == 30) for row in home.models(ForecastScore))
    assert sorted(judged.values()) == [6, 174, 174], "what was judged before is let be"
    assert sum(row.kind == "holding" for row in home.models(Backtest)) == 1
    later = run.invoke(forecasting, ["judge", SYMBOL, "--signals", "1,3"])
    assert later.exit_code == 0, later.output
    assert str(SECOND) in later.output
    dear = run.invoke(forecasting, ["judge", SYMBOL, "--signals", "1,3", "--fee", "0.0004", "--fill", "mid"])
    for way in ("fill touch, taker_fee 0.0", "fill mid, taker_fee 0.0004"):
        assert f"{SECOND}, {way}: earned" in dear.output, "ways of trading are told apart"
    assert run.invoke(forecasting, ["show", "ZZZ"]).exit_code == 2
    assert Path(home.settings.home / "forecasting").is_dir()
