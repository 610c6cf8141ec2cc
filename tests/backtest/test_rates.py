"""The benchmark of backtests, at a tiny size and without peers."""

from __future__ import annotations

import importlib.util
import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from tracebank_benchmarks.backtest import fills_check, process_costs, rate
from tracebank_models.backtest.run import Engine


def _app(main: object) -> Typer:
    app = Typer()
    app.command()(main)  # type: ignore[type-var]
    return app


@pytest.fixture(autouse=True)
def _no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


def test_every_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = process_costs.ProcessCosts(2_000, 0.5, 40, 30, 60)
    monkeypatch.setattr(rate, "process_costs", lambda engine, rows: costs)
    monkeypatch.setattr(rate, "RATES", {})
    sizes = ["--rows", "2000", "--rounds", "1"]
    answer, shown = (CliRunner().invoke(_app(rate.main), [*sizes, *more]) for more in (["--json"], []))
    told = {one["way"]: one for one in json.loads(answer.stdout.splitlines()[-1])}
    ways = ["vectorised", "event_driven", "figures", "vectorised, first call", "event_driven, first call"]
    assert list(told) == ways
    assert told["vectorised"]["trades"] == told["event_driven"]["trades"] > 20
    assert told["event_driven, first call"]["memory"] == 0.5
    assert "hftbacktest: not installed" in shown.stdout
    assert shown.exit_code == answer.exit_code == 0


def test_what_is_slow_is_said() -> None:
    slow = [rate.Rate(way, 10, 20.0, 0.5, 1, 3.0) for way in (*rate.RATES, "figures", "event_driven, first call")]
    assert len(rate.misses(slow)) == 8


@pytest.mark.parametrize("engine", ["vectorised", "event_driven"])
def test_a_process_tells_its_costs(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    process_costs.tell(engine, 3_000)
    told = process_costs.ProcessCosts(*json.loads(capsys.readouterr().out))
    assert told.rows == 3_000
    assert told.trades > 20
    assert told.columns == 3_000 * (8 + 4 * 80 + 4 + 5 * 4)


def test_without_peers_nothing_is_checked() -> None:
    answer = CliRunner().invoke(_app(fills_check.main), [])
    assert answer.exit_code == 1
    assert "vectorbt: not installed" in answer.stdout
