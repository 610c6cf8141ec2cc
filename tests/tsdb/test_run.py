"""Runs of made-up engines: what gets a time and what does not, and what is left when something ends in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from tracebank.settings import Settings
from tracebank.stores import open_relational, open_series, upgrade
from tracebank_benchmarks.tsdb import archive
from tracebank_benchmarks.tsdb.commands import bench
from tracebank_benchmarks.tsdb.data import small_data
from tracebank_benchmarks.tsdb.datasets import Dataset, opened, write
from tracebank_benchmarks.tsdb.journal import Journal, Sample
from tracebank_benchmarks.tsdb.plan import Plan, PlanError, checked_plan
from tracebank_benchmarks.tsdb.results import Record, export, imported, new_record, settle
from tracebank_benchmarks.tsdb.run import JOURNAL, measure
from tracebank_benchmarks.tsdb.schedule import Budget, rounds
from tracebank_schemas.benchmarks import SAMPLES, STATUSES
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

HERE = Path(__file__).parent
FAKES = {
    name.lower(): f"fake_engines:{name}"
    for name in ("Right", "Wrong", "LaterWrong", "Lossy", "Swapping", "Erring", "Dying", "Hanging", "Absent",
                 "Unloadable", "Steady")
}  # fmt: skip
Results = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def small(scale: float, seed: int, folder: Path) -> Dataset:
    """A small data set in the place of a large one."""
    place = folder / "small"
    if (place / "manifest.json").exists():
        return opened(place)
    trades, book = small_data(seed)
    return write(place, [{TRADES.name: trades, BOOK.name: book}], scale, {"seed": seed})


def plan(*engines: str, workloads: str = "R1,R2,R4,W1,S1", **changed: Any) -> Plan:
    return checked_plan(engines, known=FAKES, workloads=workloads.split(","), **{"minutes": 0.02, **changed})


def run(tmp_path: Path, plan: Plan) -> Results:
    """Carry a plan out; results by engine and workload."""
    from tracebank_benchmarks.tsdb.environment import environment

    data = small(plan.scale, plan.seed, tmp_path)
    measure(plan, data, tmp_path / "run", FAKES)
    record = new_record("r", plan, environment(tmp_path), data.hash, data.rows)
    with Journal(tmp_path / "run" / JOURNAL) as journal:
        settle(record, journal)
    assert {one["status"] for one in record.results} <= set(STATUSES)
    return {(one["engine"], one["workload"]): one for one in record.results}


def test_right_answers_get_times_and_everything_else_gets_its_reason(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", "erring", "wrong", minutes=0.1))
    for workload in ("R1", "R2", "R4", "W1"):
        one = found["right", workload]
        assert (one["status"], one["reason"]) == ("verified", ""), workload
        assert 0 < one["low_seconds"] <= one["median_seconds"] <= one["high_seconds"]
        assert one["cpu_seconds"] > 0
        assert one["repetitions"] >= 1
    assert found["right", "R1"]["rows"] > 0
    assert found["right", "R1"]["text_hash"]
    assert found["right", "S1"]["measures"]["bench_trades_bytes_per_row"] > 0
    assert (found["erring", "R1"]["status"], found["erring", "R1"]["reason"]) == ("unsupported", "it has no minutes")
    assert (found["erring", "R2"]["status"], found["erring", "R2"]["reason"]) == (
        "error", "RuntimeError: the engine says no")  # fmt: skip
    assert (found["erring", "R4"]["status"], found["erring", "R4"]["reason"]) == ("partial", "the client sorts")
    assert found["erring", "R4"]["median_seconds"] > 0
    assert found["wrong", "R2"]["status"] == "wrong_answer"
    assert found["wrong", "R2"]["reason"].startswith("column vwap, row ")
    for engine, workload in (("erring", "R1"), ("erring", "R2"), ("wrong", "R2")):
        assert found[engine, workload]["median_seconds"] is None, "no verified answer, no published time"
        assert found[engine, workload]["repetitions"] == 0
    assert found["wrong", "R1"]["status"] == "verified"


def test_an_answer_that_becomes_wrong_takes_the_time_of_the_right_ones_away(tmp_path: Path) -> None:
    one = run(tmp_path, plan("laterwrong", workloads="R2"))["laterwrong", "R2"]
    assert (one["status"], one["median_seconds"], one["repetitions"]) == ("wrong_answer", None, 0)


@pytest.mark.parametrize(("engine", "says"), [("lossy", "bench_trades holds "), ("swapping", "R24 over all rows")])
def test_a_load_that_brought_other_rows_leaves_nothing_to_time(tmp_path: Path, engine: str, says: str) -> None:
    found = run(tmp_path, plan(engine))
    assert {one["status"] for one in found.values()} == {"wrong_answer"}
    assert says in found[engine, "R1"]["reason"]


def test_an_engine_that_dies_or_hangs_costs_only_its_own_result(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", "dying", "hanging", workloads="R1,R2,R4", timeout=3.0, minutes=0.4))
    assert (found["dying", "R2"]["status"], found["dying", "R2"]["reason"]) == (
        "error", "the engine's process ended with exit code 9")  # fmt: skip
    assert (found["hanging", "R2"]["status"], found["hanging", "R2"]["reason"]) == ("timeout", "no answer within 3 s")
    for engine in ("right", "dying", "hanging"):
        assert found[engine, "R1"]["status"] == found[engine, "R4"]["status"] == "verified", engine
    assert found["right", "R2"]["status"] == "verified"


def test_an_engine_that_is_not_there_or_refuses_leaves_the_others_alone(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", "absent", "unloadable", workloads="R1,W1"))
    assert found["right", "R1"]["status"] == "verified"
    assert ("absent", "R1") not in found, "an engine that is not here has no results, good or bad"
    one = found["unloadable", "R1"]
    assert one["status"] == "error"
    assert "password wrong at postgresql://me:***@host/db" in one["reason"]
    with Journal(tmp_path / "run" / JOURNAL) as journal:
        assert journal.engines["absent", "idiomatic"]["absent"] == "no server at 127.0.0.1:1; start one"


def test_the_harness_costs_less_than_three_percent_of_a_query_of_a_tenth_of_a_second(tmp_path: Path) -> None:
    run(tmp_path, plan("steady", workloads="R2", minutes=0.08))
    with Journal(tmp_path / "run" / JOURNAL) as journal:
        kept = journal.case(("steady", "idiomatic", "R2")).of("warm")
    shares = sorted(one.harness_seconds / one.seconds for one in kept)
    assert len(shares) >= 5
    # The lower quartile: while other work holds the processors, waiting for one is not the harness's own time.
    assert shares[len(shares) // 4] < 0.03, shares


def test_system_workloads_are_asked_and_checked(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", workloads="R1,R2,W1,S1,W3,Q2,M1"))
    assert {one["workload"]: one["status"] for one in found.values()} == dict.fromkeys(
        ("R1", "R2", "W1", "S1", "W3", "Q2", "M1"), "verified")  # fmt: skip
    assert found["right", "Q2"]["measures"]["reads"] == 2
    assert found["right", "M1"]["measures"]["peak_memory_bytes"] > 1 << 20
    assert found["right", "W3"]["rows"] == found["right", "W1"]["rows"]


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import test_run as t\n"
        "t.run(Path(sys.argv[1]), t.plan('right', workloads='R1,R2,R4', minutes=5))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    file = tmp_path / "run" / JOURNAL
    process = subprocess.Popen([sys.executable, "-c", f"if __name__ == '__main__':\n {script.replace(chr(10), '; ')}",
                                str(tmp_path)], env=environment)  # fmt: skip
    try:
        while process.poll() is None and not (file.exists() and file.read_bytes().count(b'"sample"') >= 4):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
    with Journal(file) as journal:
        before = [one for case in journal.cases.values() for one in case.samples]
    assert len(before) >= 4
    with file.open("ab") as end:
        end.write(b'{"type":"sample","engine":"ri')  # a line that a crash cut short
    found = run(tmp_path, plan("right", workloads="R1,R2,R4"))
    assert {one["status"] for one in found.values()} == {"verified"}
    with Journal(file) as journal:
        after = [one for case in journal.cases.values() for one in case.samples]
    assert [one for one in after if one in before] == sorted(before, key=after.index)
    assert not (tmp_path / "run" / "work").exists()


def test_rows_reach_both_stores_and_the_file_holds_the_same(settings: Settings, tmp_path: Path) -> None:
    upgrade(settings)
    record, data = archive.begin(settings, plan("right", "absent", workloads="R1,W1"), small)
    archive.carry_out(settings, record, data, FAKES)
    assert record.finished_at is None, "an engine was not there: the run can be continued"
    relational = open_relational(settings)
    rows = archive.results_of(relational, record.run_id)
    assert {row["workload"] for row in rows} == {"R1", "W1"}
    assert [run["run_id"] for run in archive.listed(relational)] == [record.run_id]
    raw = archive.samples(open_series(settings), [record.run_id])
    assert raw.height == len(record.samples) > 5
    assert raw.columns == [column.name for column in SAMPLES.columns]
    assert raw.n_unique(list(SAMPLES.unique_key)) == raw.height
    assert archive.history(relational, record) == []
    relational.close()
    path = archive.run_folder(settings, record.run_id) / "run.json"
    again = imported(path)
    assert (again.results, again.samples, again.plan) == (record.results, record.samples, record.plan)
    found = json.loads(path.read_text())
    assert found["engines"]["right/idiomatic"]["ddl"] == "CREATE nothing"
    assert found["engines"]["absent/idiomatic"]["absent"].startswith("no server")
    again, data = archive.resume(settings, record.run_id, 0.05, small)
    archive.carry_out(settings, again, data, FAKES)
    assert len(again.samples) >= len(record.samples)


def test_a_run_that_is_not_there_is_one_line(settings: Settings) -> None:
    for run_id, says in (("nothing", "run: 'nothing' is not known here"), ("../x", "is not a run's id")):
        with pytest.raises(PlanError, match=says):
            archive.opened(settings, run_id)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"engines": ["oracle12"]}, "engine: 'oracle12' is not known; allowed: right, "),
        ({"engines": [""]}, "engine: none is given; allowed: right, "),
        ({"workloads": ["R1", "R99"]}, "workload: 'R99' is not known; allowed: R1, "),
        ({"lanes": ["fast"]}, "lane: 'fast' is not known; allowed: paper, idiomatic, all"),
        ({"scale": 3.0}, "scale: 3 is not known; allowed: 0.01, 0.1, 1, 10"),
        ({"minutes": 0.0}, "minutes: 0 is not accepted; allowed: above 0"),
        ({"seed": -1}, "seed: -1 is not accepted; allowed: 0 to"),
        ({"timeout": float("nan")}, "timeout: nan is not accepted"),
    ],
)
def test_a_faulty_plan_is_one_line_that_names_what_is_allowed(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        checked_plan(**{"engines": ["right"], "known": FAKES, **changed})
    assert "\n" not in str(caught.value)


def test_rounds_are_seeded_and_interleave_until_all_is_done() -> None:
    def visits(seed: int) -> list[str]:
        left = dict.fromkeys("abcd", 3)

        def done(item: str) -> bool:
            return left[item] == 0

        order = []
        for item in rounds("abcd", seed, "a".__le__, done, Budget(1)):
            left[item] -= 1
            order.append(item)
        return order

    assert visits(1) == visits(1) != visits(2)
    assert all(sorted(visits(1)[start : start + 4]) == list("abcd") for start in (0, 4, 8))
    assert list(rounds("ab", 0, str, lambda _: False, Budget(0))) == []


def test_what_is_asked_of_all_engines_is_asked_of_one_after_the_other() -> None:
    left = dict.fromkeys(("a1", "a2", "b1", "b2", "c1", "c2"), 1)

    def done(item: str) -> bool:
        return left[item] == 0

    order = []
    for item in rounds(list(left), 3, lambda item: item[1], done, Budget(1)):
        left[item] -= 1
        order.append(item)
    assert {item[1] for item in order[:3]} in ({"1"}, {"2"})
    assert sorted(order) == sorted(left)


def test_records_come_back_from_their_file(tmp_path: Path) -> None:
    from tracebank_benchmarks.tsdb.environment import environment

    record = new_record("r", plan("right"), environment(tmp_path), "d", {"bench_trades": 1})
    again = imported(export(record, tmp_path / "run.json"))
    assert isinstance(again, Record)
    assert (again.plan, again.environment, again.started_at) == (record.plan, record.environment, record.started_at)
    assert Sample.__struct_fields__[0] == "engine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--engines", "oracle12"], "engine: 'oracle12' is not known; allowed: clickhouse_embedded, "),
        (["run", "--workloads", "R99"], "workload: 'R99' is not known; allowed: R1, "),
        (["run", "--scale", "3"], "scale: 3 is not known; allowed: 0.01, 0.1, 1, 10"),
        (["run", "--continue", "nothing"], "run: 'nothing' is not known here"),
        (["report"], "run: there is none yet"),
        (["compare", "nothing"], "run: 'nothing' is not known here"),
    ],
)
def test_commands_refuse_bad_input_with_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    with pytest.raises(click.UsageError) as caught:
        typer.main.get_command(bench)(arguments, standalone_mode=False)
    assert caught.value.format_message().startswith(says)
    assert "\n" not in caught.value.format_message()
    assert caught.value.exit_code == 2


def test_commands_report_list_and_compare_a_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", settings.relational.render_as_string(hide_password=False))
    upgrade(settings)
    record, data = archive.begin(settings, plan("right", workloads="R1"), small)
    archive.carry_out(settings, record, data, FAKES)
    command = typer.main.get_command(bench)
    command(["report"], standalone_mode=False)
    path = Path(capsys.readouterr().out.strip())
    assert "right/idiomatic" in path.read_text(encoding="utf-8")
    command(["list"], standalone_mode=False)
    assert record.run_id in capsys.readouterr().out
    command(["compare", record.run_id], standalone_mode=False)
    assert "no earlier run" in capsys.readouterr().out
    assert command(["compare", record.run_id, record.run_id], standalone_mode=False) != 1, "a run is as fast as itself"
