"""Lines of pages out of the series store: what they say, and that only what changed is read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.filled import filled
from tests.homes import Home, opened

from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank_assets.explorer import curves as asset
from tracebank_assets.explorer.curve_sources import Drawn
from tracebank_schemas.explorer import Curve
from tracebank_schemas.fairness import FAIRNESS_PERIODS, FairnessRun
from tracebank_schemas.forecasting import BACKTEST_EQUITY, FORECASTS, Backtest, ForecastModel
from tracebank_schemas.language_model import TRAINING_CURVES
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.market import BARS, BOOK
from tracebank_schemas.reinforcement_learning import ROLLOUT_STEPS, RLConstraint, RLRun
from tracebank_schemas.series import SeriesTable

TIME = datetime(2024, 8, 8, tzinfo=UTC)
DAY = date(2024, 8, 8)
GAPS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.9]
"""Of six seeds."""
PRICE = 100 * np.exp(np.random.default_rng(1).normal(0, 1e-4, 700).cumsum())
"""Of a book, second by second."""
_EMPTY: dict[Any, Any] = {pl.String: "", pl.Datetime: TIME, pl.List: []}


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with opened(settings, monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def drawn(module_settings: Settings) -> Iterator[Home]:
    """A home with something of every subject, of which lines were drawn once."""
    with pytest.MonkeyPatch.context() as patch, opened(module_settings, patch) as made:
        for store in (_trainings, _gaps, _rollouts, _bars, _forecasts):
            store(made)
        made.made(asset.curves)
        yield made


def _frame(table: SeriesTable, columns: dict[str, Any]) -> pl.DataFrame:
    """Rows of a series table, of which a test says only what it is about."""
    count = max(len(values) for values in columns.values() if isinstance(values, list))
    nullable = {column.name: column.nullable for column in table.columns}
    found = []
    for name, kind in table.polars_schema.items():
        value = columns.get(name, None if nullable[name] else _EMPTY.get(kind.base_type(), 0))
        of_rows = name in columns and isinstance(value, list)
        found.append(pl.Series(name, value if of_rows else [value] * count, strict=False).cast(kind))
    return pl.DataFrame(found)


def _store(home: Home, key: str, version: str, *parts: tuple[SeriesTable, dict[str, Any], pl.DataFrame]) -> None:
    """Write partitions, and enter them in the ledger as one materialisation."""
    series, told = open_series(home.settings), []
    for table, partition, frame in parts:
        series.replace(table, partition, frame)
        as_json = json.loads(json.dumps(partition, default=str))
        told.append({"table": f"series.{table.name}", "partition": as_json, "rows": frame.height, "content": "x"})
    with home.relational.session() as session:
        ran = {"run_id": f"{key}-{version}", "asset_key": key, "data_version": version, "input_versions": {}}
        now = {"finished_at": datetime.now(UTC), "started_at": datetime.now(UTC)}
        session.add(Materialization(**filled(Materialization, **ran, **now, parts=told)))


def _add(home: Home, *rows: Any) -> None:
    with home.relational.session() as session:
        for model, values in rows:
            session.add(model(**filled(model, **values)))
            session.flush()


def _lines(home: Home, subject: str) -> dict[tuple[str, str], Any]:
    return {(row.run, row.line): row for row in home.models(Curve) if row.subject == subject}


def _equity(key: str, values: list[float]) -> tuple[SeriesTable, dict[str, Any], pl.DataFrame]:
    columns = {"ts": [TIME + timedelta(seconds=n) for n in range(len(values))], "backtest": key, "equity": values}
    return BACKTEST_EQUITY, {"backtest": key}, _frame(BACKTEST_EQUITY, columns)


def test_only_what_changed_is_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"model": "m", "day": DAY, "horizons": [1], "quantiles": [], "settings": {}}
    backtests = [
        {"backtest": key, "strategy": "s", "kind": kind, "model": "m", "day": DAY, "settings": {}}
        for key, kind in (("s", "strategy"), ("h", "holding"))
    ]
    _add(home, (ForecastModel, model), *((Backtest, row) for row in backtests))
    walk = np.random.default_rng(0).normal(size=5000).cumsum()
    walk[3210] = 1e4
    _store(home, "forecasting/backtests", "v1", _equity("s", walk.tolist()), _equity("h", [0.0, 1.0, 2.5]))
    _store(home, "forecasting/backtests", "w1", _equity("other", [1.0]))
    home.made(asset.curves)
    lines = _lines(home, "backtest_equity")
    assert set(lines) == {("s", "strategy"), ("s", "holding"), ("other", "equity")}
    strategy = lines["s", "strategy"]
    assert len(strategy.xs) == len(strategy.ys) <= 500
    assert max(strategy.ys) == 1e4, "no peak is lost"
    assert (strategy.rows, strategy.data_version, strategy.x_unit) == (5000, "v1", "UTC")
    assert strategy.xs[0] == TIME.timestamp()
    assert lines["s", "holding"].ys == [0.0, 1.0, 2.5]

    read: list[str] = []
    was = asset._rows

    def spied(stores: Any, subject: Any, units: Any, advance: Any) -> Iterator[dict[str, Any]]:
        read.extend(unit.version for unit in units)
        return was(stores, subject, units, advance)

    monkeypatch.setattr(asset, "_rows", spied)
    home.made(asset.curves)
    assert read == [], "nothing changed"
    _store(home, "forecasting/backtests", "v2", _equity("s", [0.0, 7.0]), _equity("h", [0.0, 1.0]))
    home.made(asset.curves)
    assert read == ["v2"]
    lines = _lines(home, "backtest_equity")
    assert lines["s", "strategy"].ys == [0.0, 7.0]
    assert lines["other", "equity"].data_version == "w1"
    read.clear()
    monkeypatch.setattr(asset, "_made_by", lambda _: "other code")
    home.made(asset.curves)
    assert sorted(read) == ["v2", "w1"], "other code makes all again"
    assert len(_lines(home, "backtest_equity")) == 3


def test_what_was_removed_goes_and_only_the_newest_are_kept(home: Home) -> None:
    for number in range(3):
        _store(home, "forecasting/backtests", f"v{number}", _equity(f"b{number}", [1.0, 2.0]))
    home.made(asset.curves)
    assert len(_lines(home, "backtest_equity")) == 3
    nothing = _equity("b1", [0.0])[-1].head(0)
    _store(home, "forecasting/backtests", "gone", (BACKTEST_EQUITY, {"backtest": "b1"}, nothing))
    home.made(asset.curves)
    assert {run for run, _ in _lines(home, "backtest_equity")} == {"b0", "b2"}
    home.made(asset.curves, newest=1)
    assert {run for run, _ in _lines(home, "backtest_equity")} == {"b2"}


def _trainings(home: Home) -> None:
    steps = {"run": "r", "name": "m", "method": "pretraining", "step": [2, 1, 1], "value": [1.0, 2.0, 9.0]}
    one = _frame(TRAINING_CURVES, {**steps, "metric": ["loss", "loss", "seconds"]})
    several = _frame(TRAINING_CURVES, {**steps, "run": "q", "name": ["a", "a", "b"], "metric": "loss"})
    _store(home, "language_models/base", "v1", (TRAINING_CURVES, {"run": "r"}, one))
    _store(home, "sparse_features/dictionaries", "v2", (TRAINING_CURVES, {"run": "q"}, several))


def test_trainings_have_a_line_for_each_metric(drawn: Home) -> None:
    lines = _lines(drawn, "training_curves")
    assert set(lines) == {("r", "loss"), ("a", "loss"), ("b", "loss")}, "counts of what was done are no curves"
    assert (lines["r", "loss"].xs, lines["r", "loss"].ys) == ([1, 2], [2.0, 1.0])


def _gaps(home: Home) -> None:
    parts = []
    for seed in range(len(GAPS)):
        runs = [f"n{seed}"] * 4 + ([f"g{seed}"] * 2 if seed < 2 else [])
        columns = {
            "run": runs, "world": "lending_7", "seed": seed, "group": ["a", "b"] * (len(runs) // 2),
            "mitigation": ["none"] * 4 + ["quota"] * (len(runs) - 4), "groups": "as_they_are", "labels": "accepted",
            "period": [0, 0, 1, 1, 0, 0][: len(runs)], "opportunity_gap": [GAPS[seed]] * len(runs),
        }  # fmt: skip
        parts.append((FAIRNESS_PERIODS, {"world": "lending_7", "seed": seed}, _frame(FAIRNESS_PERIODS, columns)))
        for run in dict.fromkeys(runs):
            _add(
                home, (FairnessRun, {"run": run, "world": "lending_7", "feedback": 0.0, "settings": {}, "figures": {}})
            )
    for seed, part in enumerate(parts):
        _store(home, "fairness/runs", f"v{seed}", part)


def test_gaps_have_bands_from_five_seeds_on(drawn: Home) -> None:
    lines = _lines(drawn, "fairness_periods")
    run = "lending_7/opportunity_gap/as_they_are/accepted/0"
    none, quota = lines[run, "none, fitted once"], lines[run, "quota, fitted once"]
    assert none.xs == [0, 1]
    assert none.ys == pytest.approx([0.4, 0.4])
    half = 2.570582 * np.std(GAPS, ddof=1) / np.sqrt(6)
    assert none.lows[0] == pytest.approx(0.4 - half, rel=1e-4)
    assert none.highs[1] == pytest.approx(0.4 + half, rel=1e-4)
    assert (none.position, quota.position) == (0, 1), "the null comes first"
    assert quota.ys == pytest.approx([0.15])
    assert quota.lows == [], "two seeds have no interval"
    assert "no interval below 5" in quota.told


def _rollouts(home: Home) -> None:
    _add(
        home,
        (RLRun, {"run": "r", "environment": "CartPole-v1", "settings": {}}),
        (RLConstraint, {"run": "r", "place": 0, "text": "abs(angle) <= 0.2095 rad", "p": 2.0}),
    )
    lengths = {0: 5, 1: 1200, 2: 3}  # the third was not ended
    rows: dict[str, list[Any]] = {name: [] for name in ("episode", "step", "observation", "satisfaction", "terminated")}
    for episode, length in lengths.items():
        rows["episode"] += [episode] * length
        rows["step"] += list(range(length))
        rows["observation"] += [[float(step), 0.0, step / 1e4, 0.0] for step in range(length)]
        rows["satisfaction"] += [[0.0 if step == 601 else 1.0] for step in range(length)]
        rows["terminated"] += [episode < 2 and step == length - 1 for step in range(length)]
    count = len(rows["step"])
    more = {"run": "r", "reward": [1.0] * count, "action": [[0.0]] * count, "final_observation": [[0.0]] * count}
    frame = _frame(ROLLOUT_STEPS, {**rows, **more})
    _store(home, "safe_rl/runs", "v1", (ROLLOUT_STEPS, {"run": "r"}, frame))


def test_a_rollout_is_the_last_whole_episode_and_says_what_broke(drawn: Home) -> None:
    lines = {line: row for (_, line), row in _lines(drawn, "rollout_steps").items()}
    assert set(lines) == {"position", "angle", "reward", "cost", "satisfied: abs(angle) <= 0.2095 rad"}
    assert lines["position"].told == "CartPole-v1, episode 1 of environment 0"
    assert lines["position"].xs == list(range(0, 1200, 3)), "every third step, of all lines alike"
    assert lines["position"].ys == lines["position"].xs
    assert lines["reward"].ys[-1] == 1198
    satisfied = lines["satisfied: abs(angle) <= 0.2095 rad"]
    assert satisfied.xs[satisfied.ys.index(0.0)] == 600, "what broke between two points is not lost"


def _bars(home: Home) -> None:
    columns = {
        "ts": [TIME, TIME + timedelta(minutes=1), TIME, TIME], "venue": ["a", "a", "b", "b"], "symbol": "S",
        "close": [1.0, 2.0, 3.0, 4.0], "interval_s": [60, 60, 60, 3600], "volume": [1.0, None, 1.0, 1.0],
    }  # fmt: skip
    _store(home, "market/bars", "v1", (BARS, {"day": DAY, "symbol": "S"}, _frame(BARS, columns)))


def test_bars_are_told_apart_by_venue_and_length(drawn: Home) -> None:
    lines = _lines(drawn, "bars")
    days = {run for run, _ in lines}
    assert days == {"a/S/2024-08-08/60 s", "b/S/2024-08-08/60 s", "b/S/2024-08-08/3600 s"}
    assert lines["a/S/2024-08-08/60 s", "close"].ys == [1.0, 2.0]
    assert lines["a/S/2024-08-08/60 s", "volume"].ys == [1.0, None]


def _forecasts(home: Home) -> None:
    count = len(PRICE)
    times = [TIME + timedelta(seconds=n) for n in range(count)]
    sides = {f"{side}_qty_{level}": [1.0] * count for side in ("bid", "ask") for level in range(10)}
    for level in range(10):
        sides[f"bid_price_{level}"] = (PRICE - 0.01 * (level + 1)).tolist()
        sides[f"ask_price_{level}"] = (PRICE + 0.01 * (level + 1)).tolist()
    book = {
        "ts": times,
        "local_ts": times,
        "clock": "exchange",
        "venue": "v",
        "symbol": "S",
        "state": "whole",
        "seq": list(range(count)),
        **sides,
    }
    scaled = [(n, h) for h in (1, 5, 10, 20) for n in range(count)]
    told = {
        "ts": [times[n] for n, _ in scaled], "venue": "v", "symbol": "S", "model": "m", "made": "stored",
        "row": [n for n, _ in scaled], "horizon": [h for _, h in scaled], "value": [0.5] * len(scaled),
    }  # fmt: skip
    model = {
        "model": "m",
        "name": "dlinear",
        "venue": "v",
        "symbol": "S",
        "day": DAY,
        "clock": "exchange",
        "price": "mid",
    }
    _add(home, (ForecastModel, {**model, "horizons": [1, 5, 10, 20], "quantiles": [], "settings": {}}))
    open_series(home.settings).replace(BOOK, {"day": DAY, "symbol": "S"}, _frame(BOOK, book))
    partition = {"day": DAY, "symbol": "S", "model": "m", "made": "stored"}
    _store(home, "forecasting/forecasts", "v1", (FORECASTS, partition, _frame(FORECASTS, told)))


def test_forecasts_stand_beside_the_returns_that_came(drawn: Home) -> None:
    lines = {line: row for (_, line), row in _lines(drawn, "forecasts").items()}
    ahead = {line.rsplit(", ")[1] for line in lines}
    assert ahead == {"1 tick ahead", "10 ticks ahead", "20 ticks ahead"}, "the nearest, the middle one, the furthest"
    forecast, came = lines["forecast, 10 ticks ahead"], lines["return, 10 ticks ahead"]
    assert forecast.ys[0] == pytest.approx(0.5 * (1.1 * 10**0.5 + 0.1), rel=1e-4)
    assert len(came.xs) == 500
    at = round(came.xs[7] - TIME.timestamp())
    assert came.ys[7] == pytest.approx(1e4 * np.log(PRICE[at + 10] / PRICE[at]), rel=1e-3)


def test_a_row_has_no_numbers_that_json_has_not() -> None:
    ys = pl.Series([1.23456789, float("nan"), float("inf"), None])
    row = Drawn("r", "l", pl.Series([0, 1, 2, 3]), ys, 4, "step").row("s", 0, "v")
    assert row["ys"] == [1.23457, None, None, None]
    assert row["xs"] == [0.0, 1.0, 2.0, 3.0]
    empty = Drawn("r", "l", pl.Series([], dtype=pl.Int64), pl.Series([], dtype=pl.Float64), 0, "step").row("s", 0, "v")
    assert empty["xs"] == empty["ys"] == empty["lows"] == []
