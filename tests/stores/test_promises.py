"""The table of what the stores shall do: each row is measured, judged and shown; how fast it is here is not tested."""

from __future__ import annotations

import io
import json
import math
import sys
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tracebank_benchmarks.stores import promises
from tracebank_benchmarks.stores.__main__ import app
from tracebank_benchmarks.stores.crowds import Crowd, Told
from tracebank_benchmarks.stores.promise_figures import FIGURES
from tracebank_benchmarks.stores.promises import BY_NAME, PROMISES, Finding, measured, promises_table

QUICK: dict[str, Any] = {"p50": 0.001, "p95": 0.005}
CROWD: dict[str, Any] = {**QUICK, "done": 9, "asked": 9, "seconds": 1.0, "faults": 0, "first_fault": ""}
GOOD: dict[str, dict[str, Any]] = {
    "query": {f"{name}_{key}": value for name in ("one", "many") for key, value in QUICK.items()},
    "command": {"cpu_seconds": 0.5, "seconds": 0.6, "peak_bytes": 10**8},
    "readers": CROWD,
    "storm": CROWD,
    "handles": {"queries": 10_000, "asked": 10_000, "handles": (40, 41), "threads": (9, 9)},
    "replace": QUICK,
    "postgresql": {**QUICK, "rows": 6_000_000},
    "lookup": {**QUICK, "rows": 1_000_000},
}
BAD: dict[str, list[dict[str, Any]]] = {
    "query": [{"many_p50": 0.021}, {"one_p50": 0.3}],
    "command": [{"cpu_seconds": 0.81}],
    "readers": [
        {"done": 8},
        {"faults": 1, "first_fault": "StoreBusy: x"},
        {"p95": 0.011},
        {"p50": math.inf, "p95": math.inf},
    ],
    "storm": [{"done": 8}, {"faults": 1, "first_fault": "StoreBusy: x"}, {"p95": 0.011}],
    "handles": [{"handles": (40, 99)}, {"threads": (9, 15)}, {"queries": 9_999}],
    "replace": [{"p50": 0.11}],
    "postgresql": [{"p50": 0.11}],
    "lookup": [{"p50": 0.021}],
}


def test_every_promise_has_a_figure() -> None:
    assert list(FIGURES) == list(BY_NAME) == list(GOOD) == list(BAD)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_what_is_met_and_what_is_not(promise: promises.Promise) -> None:
    good = Finding(promise, GOOD[promise.name])
    assert good.met is True
    assert good.figure
    for change in BAD[promise.name]:
        bad = Finding(promise, GOOD[promise.name] | change)
        assert bad.met is False, change
        assert str(change.get("first_fault", "")) in bad.figure


def test_what_was_not_measured_is_neither() -> None:
    assert Finding(BY_NAME["postgresql"], reason="no server").met is None
    assert Finding(BY_NAME["storm"], {"fault": "it did not end"}, ended=False).met is False


def test_the_table_fits_eighty_columns() -> None:
    findings = [Finding(promise, GOOD[promise.name], foreign_share=0.5) for promise in PROMISES]
    findings += [Finding(PROMISES[0], reason="X_URL is not set"), Finding(PROMISES[1], {"fault": "dead"}, ended=False)]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(promises_table(findings, {"queries": 3}))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for word in ("wanted", "yes", "no", "–", "50%", "dead", '{"queries": 3}'):
        assert word in text, word


def test_a_crowd_counts_what_its_processes_tell() -> None:
    crowd = Crowd([Told("query", [0.1, 0.2]), Told("write", [1.0], 2, "StoreBusy: x"), Told("query", [0.3], 1)], 5.0)
    assert crowd.of("query") == [0.1, 0.2, 0.3]
    assert (crowd.faults, crowd.first_fault) == (3, "StoreBusy: x")


def _instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(promises, "_started", lambda *_: [sys.executable, "-c", code])


def test_what_hangs_is_ended_with_all_that_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])"
    _instead(monkeypatch, f"{child}; time.sleep(99)")
    monkeypatch.setattr(promises, "GRACE", 0.0)
    found = measured(BY_NAME["replace"], {}, 1.0)
    assert (found.ended, found.met, found.figure) == (False, False, "it did not end within 1 s")


def test_what_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    _instead(monkeypatch, "raise ValueError('no such luck')")
    found = measured(BY_NAME["replace"], {}, 30.0)
    assert (found.met, found.figure) == (False, "ValueError: no such luck")


def test_without_a_server_a_row_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACEBANK_BENCH_POSTGRES_URL", raising=False)
    found = measured(BY_NAME["postgresql"], {}, 60.0)
    assert (found.met, found.figure) == (None, "TRACEBANK_BENCH_POSTGRES_URL is not set")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["query", "command", "handles", "replace", "lookup", "readers", "storm"])
def test_rows_are_measured_on_the_embedded_stores(name: str) -> None:
    tiny = {"partitions": 3, "repetitions": 1, "readers": 2, "crowd": 1, "each": 4, "queries": 4, "relational_rows": 50}
    found = measured(BY_NAME[name], tiny, 120.0)
    assert found.ended, found.figure
    assert found.met is not None, found.figure
    assert "inf" not in found.figure
    if name in ("readers", "storm"):
        assert found.values["asked"] == {"readers": 8, "storm": 5}[name]
    if name == "handles":
        assert found.values["queries"] == 4


def test_only_the_rows_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _instead(monkeypatch, f"print('''{json.dumps({'values': GOOD['replace']})}''')")
    found = CliRunner().invoke(app, ["promises", "--only", "replace", "--json"])
    assert found.exit_code == 0, found.output
    [row] = json.loads(found.stdout[found.stdout.index("[\n") :])
    assert (row["name"], row["met"], row["values"]) == ("replace", True, GOOD["replace"])
    _instead(monkeypatch, f"print('''{json.dumps({'values': {'p50': 9.0, 'p95': 9.0}})}''')")
    assert CliRunner().invoke(app, ["promises", "--only", "replace"]).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "speed"], "--only: ['speed'] are not known; use query, command"),
        (["--options", "x"], "--options: 'x' is not accepted; use JSON"),
        (["--options", '{"queries": 0}'], "is not accepted; use JSON of numbers above 0 for ['partitions'"),
        (["--options", '{"speed": 1}'], "is not accepted; use JSON"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(arguments: list[str], says: str) -> None:
    found = CliRunner().invoke(app, ["promises", *arguments])
    assert found.exit_code == 2
    assert says in " ".join(found.output.replace("│", " ").split())
