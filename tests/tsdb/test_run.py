"""Runs of made-up engines: what gets a time and what does not, and what is left when something ends in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import typer
from tests.upgraded import upgraded

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_benchmarks.tsdb import archive, measurement
from tracebank_benchmarks.tsdb.commands import bench
from tracebank_benchmarks.tsdb.data import small_set
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.environment import environment
from tracebank_benchmarks.tsdb.journal import Journal, Sample
from tracebank_benchmarks.tsdb.plan import Plan, PlanError, checked_plan
from tracebank_benchmarks.tsdb.report.figures import Figures
from tracebank_benchmarks.tsdb.results import UNMEASURED, Record, export, imported, new_record, settle
from tracebank_benchmarks.tsdb.run import JOURNAL, measure
from tracebank_benchmarks.tsdb.schedule import Budget, rounds
from tracebank_models.market.synthetic_exchange import Instrument, SyntheticMarket, simulate, write_day
from tracebank_schemas import market
from tracebank_schemas.benchmarks import SAMPLES, STATUSES

HERE = Path(__file__).parent
FAKES = {
    name.lower(): f"fake_engines:{name}"
    for name in ("Right", "Wrong", "LaterWrong", "Lossy", "Swapping", "Erring", "Dying", "Hanging", "Absent",
                 "Unloadable", "Killed", "Vanishing", "Overrunning", "Sizeless", "Unwilling", "Drifted",
                 "Influxdb_replacing", "Influxdb_doubling", "Refusing", "Unsorted", "Capped", "Stopped")
}  # fmt: skip
Results = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setattr(measurement, "MOST_SAMPLES", 6)
    monkeypatch.setattr(measurement, "FOREIGN_LIMIT", 2.0)  # other tests run beside these


def small(settings: Settings, plan: Plan) -> DataSet:
    """A small data set in the place of a large one."""
    return small_set(archive.suite_folder(settings) / "data" / "small", scale=plan.scale, seed=plan.seed)


def plan(*engines: str, workloads: str = "R1,R2,R4,W1,S1", **changed: Any) -> Plan:
    return checked_plan(engines, known=FAKES, workloads=workloads.split(","), **{"minutes": 3.0, **changed})


def run(tmp_path: Path, plan: Plan) -> Results:
    """Carry a plan out; results by engine and workload."""
    from tracebank_benchmarks.tsdb.environment import environment

    # Beside the test's own folder: right answers are kept with the data, and need be worked out once only.
    data = small_set(tmp_path.parent / "small", scale=plan.scale, seed=plan.seed)
    measure(plan, data, tmp_path / "run", FAKES)
    record = new_record("r", plan, environment(tmp_path), data.hash, data.rows)
    with Journal(tmp_path / "run" / JOURNAL) as journal:
        settle(record, journal)
    assert {one["status"] for one in record.results} <= set(STATUSES)
    return {(one["engine"], one["workload"]): one for one in record.results}


def test_right_answers_get_times_and_everything_else_gets_its_reason(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", "erring", "wrong"))
    for workload in ("R1", "R2", "R4", "W1"):
        one = found["right", workload]
        assert (one["status"], one["reason"]) == ("verified", ""), workload
        assert one["median_seconds"] > 0
        if workload == "W1":
            assert one["low_seconds"] is None, "one load is no interval"
        else:
            assert 0 < one["low_seconds"] <= one["median_seconds"] <= one["high_seconds"]
        assert one["cpu_seconds"] > 0
        assert one["repetitions"] >= (5 if workload != "W1" else 1)
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
    found = run(tmp_path, plan("right", "dying", "hanging", workloads="R1,R2,R4", timeout=6.0))
    assert (found["dying", "R2"]["status"], found["dying", "R2"]["reason"]) == (
        "error", "the engine's process ended with exit code 9")  # fmt: skip
    assert (found["hanging", "R2"]["status"], found["hanging", "R2"]["reason"]) == ("timeout", "no answer within 6 s")
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


def test_an_engine_that_is_killed_or_gives_up_by_itself_costs_only_its_own_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(tmp_path, plan("right", "killed", "vanishing", "overrunning", workloads="R1,R2,W1"))
    assert (found["killed", "R2"]["status"], found["killed", "R2"]["reason"]) == (
        "error", "the engine's process was ended by signal SIGKILL")  # fmt: skip
    assert (found["overrunning", "R2"]["status"], found["overrunning", "R2"]["reason"]) == (
        "timeout", "statement cancelled after 600 s")  # fmt: skip
    assert found["vanishing", "R2"]["status"] == "error"
    assert found["vanishing", "W1"]["status"] == "verified", "what was measured before it went stands"
    gone = found["vanishing", "R1"]
    assert gone["status"] == "verified" or gone["reason"] == (
        "it has ended and cannot be started again: no server at 127.0.0.1:1; start one")  # fmt: skip
    for engine in ("right", "killed", "overrunning"):
        assert found[engine, "R1"]["status"] == "verified", engine
    assert found["right", "R2"]["status"] == "verified"


def test_a_server_that_is_stopped_keeps_what_was_measured_and_says_once_why_there_is_no_more(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", "stopped", workloads="R1,R2,R4,W1"))
    assert found["stopped", "W1"]["status"] == "verified"
    why = "it has gone in the middle of the run: no server at 127.0.0.1:1; start one"
    assert (found["stopped", "R2"]["status"], found["stopped", "R2"]["reason"]) == ("error", why)
    others = [found["stopped", workload] for workload in ("R1", "R4")]
    assert all(one["status"] == "verified" or one["reason"] == why for one in others)
    assert {one["status"] for (engine, _), one in found.items() if engine == "right"} == {"verified"}


def test_what_an_engine_cannot_hold_or_tell_is_unsupported_with_its_reason(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", "sizeless", "unwilling", "drifted", workloads="R2,W1,S1,W3"))
    assert {workload: found["sizeless", workload]["status"] for workload in ("R2", "W1", "W3")} == dict.fromkeys(
        ("R2", "W1", "W3"), "verified")  # fmt: skip
    one = found["sizeless", "S1"]
    assert (one["status"], one["reason"], one["measures"]) == (
        "unsupported", "bench_trades: the API tells no bytes", {})  # fmt: skip
    assert found["sizeless", "W1"]["bytes"] is None
    assert {found["unwilling", workload]["status"] for workload in ("R2", "W1", "S1", "W3")} == {"unsupported"}
    assert found["unwilling", "R2"]["reason"] == "the data cannot be loaded: it takes no books"
    assert {found["drifted", workload]["status"] for workload in ("R2", "W1", "S1", "W3")} == {"error"}
    assert "column price is String and declared Float64" in found["drifted", "R2"]["reason"]
    assert {found["right", workload]["status"] for workload in ("R2", "W1", "S1", "W3")} == {"verified"}


def test_late_rows_change_no_answer_and_rows_sent_again_do_as_the_store_declares(tmp_path: Path) -> None:
    names = ("right", "influxdb_replacing", "influxdb_doubling", "refusing", "unsorted")
    found = run(tmp_path, plan(*names, workloads="R2,W1,W3"))
    said = {name: (found[name, "W3"]["status"], found[name, "W3"]["reason"]) for name in names}
    beside, no = "a row of a key that stands is kept beside the one that stands", "late rows changed no answer; "
    assert said["right"] == ("verified", no + beside)
    assert said["influxdb_replacing"] == (
        "verified", f"{no}a row of a key that stands replaces the one that stands, as its store declares")  # fmt: skip
    assert said["influxdb_doubling"] == ("wrong_answer", f"{no}{beside}, but its store declares 'overwrite'")
    assert said["refusing"] == ("verified", f"{no}a row of a key that stands is refused (seq 7 stands)")
    assert said["unsorted"][0] == "wrong_answer"
    assert said["unsorted"][1].startswith("1% of the rows were late: R")
    measures = found["right", "W3"]["measures"]
    assert measures["again_rows"] == measures["again_rows_more"] > 0
    assert found["influxdb_replacing", "W3"]["measures"]["again_rows_more"] == 0
    assert measures["late_10_percent_bytes_over_in_order"] == pytest.approx(1, rel=0.2)
    assert {name for name in measures if name.endswith("as_long")} == {
        "late_1_percent_times_as_long", "late_10_percent_times_as_long"}  # fmt: skip


def test_the_harnesss_share_is_that_of_executions_long_enough_to_tell(tmp_path: Path) -> None:
    record = new_record("r", plan("right"), environment(tmp_path), "h", {})
    assert record.overhead_share is None

    def sample(kind: str, seconds: float, harness: float) -> Sample:
        return Sample("e", "idiomatic", "R1", kind, datetime.now(UTC), seconds, 0.1, harness, 0.0, False, 1, 1)

    record.samples = [
        sample("warm", 1.0, 0.02), sample("cold", 2.0, 0.02), sample("warm", 4.0, 2.0),
        sample("load", 1.0, 9.0), sample("warm", 1e-4, 1.0),
    ]  # fmt: skip
    assert record.overhead_share == pytest.approx(0.02)


def test_system_workloads_are_asked_and_checked(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", workloads="R1,R2,W1,S1,W3,Q2,M1"))
    assert {one["workload"]: one["status"] for one in found.values()} == dict.fromkeys(
        ("R1", "R2", "W1", "S1", "W3", "Q2", "M1"), "verified")  # fmt: skip
    assert found["right", "Q2"]["measures"]["reads"] == 2
    used = found["right", "M1"]["measures"]
    assert used["peak_memory_bytes"] == max(used["load_peak_memory_bytes"], used["reads_peak_memory_bytes"]) < 1 << 29
    assert used["cpu_seconds"] > 0
    assert found["right", "R1"]["measures"]["rows_asked"] > 0
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
    upgraded(settings)
    record, data = archive.begin(settings, plan("right", "absent", workloads="R1,W1"), small)
    archive.carry_out(settings, record, data, FAKES)
    assert record.finished_at is None, "an engine was not there: it is part of a run only"
    relational = open_relational(settings)
    rows = archive.results_of(relational, record.run_id)
    assert {row["workload"] for row in rows} == {"R1", "W1"}
    assert [run["run_id"] for run in archive.listed(relational)] == [record.run_id]
    series = open_series(settings)
    raw = series.read(SAMPLES, partition={"run_id": record.run_id})
    assert raw.height == len(record.samples) > 5
    assert raw.columns == [column.name for column in SAMPLES.columns]
    assert raw.n_unique(list(SAMPLES.unique_key)) == raw.height
    whole, data = archive.begin(settings, plan("right", workloads="R1,W1"), small)
    archive.carry_out(settings, whole, data, FAKES)
    later, data = archive.begin(settings, plan("right", workloads="R1,W1"), small)
    [earlier] = archive.history(relational, series, later)
    assert earlier.run_id == whole.run_id, "a run in which an engine was missing is no history"
    assert (earlier.samples, earlier.results) == (whole.samples, whole.results)
    whole.samples = [msgspec.structs.replace(one, disturbed=True) for one in whole.samples]
    archive.keep(settings, whole)
    assert archive.history(relational, series, later) == [], "nor is one that was disturbed"
    relational.close()
    path = archive.run_folder(settings, record.run_id) / "run.json"
    again = imported(path)
    assert (again.results, again.samples, again.plan) == (record.results, record.samples, record.plan)
    found = json.loads(path.read_text())
    assert found["engines"]["right/idiomatic"]["ddl"] == "CREATE nothing"
    assert found["engines"]["absent/idiomatic"]["absent"].startswith("no server")
    again, data = archive.resume(settings, record.run_id, 1.0, small)
    archive.carry_out(settings, again, data, FAKES)
    assert len(again.samples) >= len(record.samples)


def test_recorded_files_and_stored_days_are_data_as_good_as_synthetic_ones(settings: Settings, tmp_path: Path) -> None:
    symbols = (Instrument("SYNBTC"), Instrument("SYNETH", tick_size="0.05", base_price="2600.00"))
    recorded = SyntheticMarket(symbols=symbols, duration_s=30, streams=("trade", "depth10"))
    write_day(recorded, tmp_path / "recordings")
    upgraded(settings)
    day = simulate(recorded, "SYNBTC", recorded.venues[0])
    series = open_series(settings)
    series.append(market.TRADES, day.trades)
    series.append(market.BOOK, day.book)
    of_files = plan("right", workloads="R2,R14,W1,G1", scale=None, files=[tmp_path / "recordings"])
    of_days = plan("right", workloads="R2,R14,W1,G1", scale=None, days=[str(recorded.day)])
    records = []
    for asked in (of_files, of_days, plan("right", workloads="R2,G1")):
        source = {} if asked.scale == 0 else {"source": small}
        record, data = archive.begin(settings, asked, **source)
        archive.carry_out(settings, record, data, FAKES)
        found = {one["workload"]: (one["status"], one["reason"]) for one in record.results}
        assert found["R2"] == ("verified", "")
        assert found["G1"][0] == "unsupported"
        records.append(record)
    assert records[1].data_rows == {"bench_trades": day.trades.height, "bench_book": day.book.height}
    assert records[0].data_rows["bench_trades"] > day.trades.height
    relational = open_relational(settings)
    rows = {run["run_id"]: run for run in archive.listed(relational)}
    kinds = [(rows[record.run_id]["asked"]["data"][0], rows[record.run_id]["data_hash"]) for record in records]
    assert [kind for kind, _ in kinds] == ["files", "stored", "synthetic"]
    assert len({digest for _, digest in kinds}) == 3
    assert archive.history(relational, open_series(settings), records[2]) == [], "runs on other data are no history"
    relational.close()
    with pytest.raises(PlanError, match=f"run: {records[0].run_id} has data .*; allowed: runs of data"):
        archive.alike(settings, [records[0].run_id], records[2])
    again, _ = archive.resume(settings, records[0].run_id, 0.05)
    assert again.data_hash == records[0].data_hash
    for faulty, says in (
        ({"days": ["2000-01-01"]}, "days: .*no rows for bench_trades"),
        ({"files": [HERE / "fake_engines.py"]}, "data: .*fake_engines"),
    ):
        with pytest.raises(PlanError, match=says) as caught:
            archive.begin(settings, plan("right", scale=None, **faulty))
        assert "\n" not in str(caught.value)


def test_growth_is_told_over_runs_at_several_scales(settings: Settings) -> None:
    upgraded(settings)
    records = []
    for scale in (0.01, 0.1):
        asked = plan("right", "wrong", workloads="R1,R2,W1,G1", scale=scale)
        record, data = archive.begin(settings, asked, small)
        record.data_rows = {name: round(rows * scale * 100) for name, rows in record.data_rows.items()}
        archive.carry_out(settings, record, data, FAKES)
        records.append({one["engine"]: one for one in record.results if one["workload"] == "G1"})
    assert records[0]["right"]["status"] == "unsupported"
    assert records[0]["right"]["reason"].startswith("only scale 0.01 has been measured in this environment")
    assert (records[1]["right"]["status"], records[1]["right"]["reason"]) == ("verified", "over scales 0.01, 0.1")
    assert set(records[1]["right"]["measures"]) == {"R1_slope", "R2_slope", "W1_slope", "median_slope"}
    assert "R2_slope" not in records[1]["wrong"]["measures"], "wrong answers have no times"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system holds no process to processors")
def test_caps_hold_the_engines_process_and_are_told(settings: Settings) -> None:
    upgraded(settings)
    asked = plan("capped", workloads="R1,M1", threads=1, memory=2.0)
    record, data = archive.begin(settings, asked, small)
    archive.carry_out(settings, record, data, FAKES)
    facts = record.engines["capped/idiomatic"]
    assert facts["settings"] == {"processors": "1", "data_bytes": "2000000000", "threads": "1", "memory": "2000000000"}
    assert facts["caps"]["processors"] == "1 by affinity"
    assert facts["caps"]["memory"].startswith("2000000000 bytes by RLIMIT_DATA")
    assert record.environment["cpu_threads"] == 1
    assert record.environment["details"]["memory_cap"] == "2 GB"
    free, _ = archive.begin(settings, plan("right", workloads="R1"), small)
    assert free.environment["environment"] != record.environment["environment"]


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
        ({"scale": 0.0}, "scale: 0 is not accepted; allowed: 0.0001 and above"),
        ({"scale": float("nan")}, "scale: nan is not accepted"),
        ({"minutes": 0.0}, "minutes: 0 is not accepted; allowed: above 0"),
        ({"seed": -1}, "seed: -1 is not accepted; allowed: 0 to"),
        ({"timeout": float("nan")}, "timeout: nan is not accepted"),
        ({"threads": 100_000}, "threads: 100000 is not accepted; allowed: 1 to "),
        ({"memory": -1.0}, "memory: -1 is not accepted; allowed: 0.25 to 65536 GB, or 0"),
        ({"files": [HERE / "nothing.zst"]}, r"data: .*nothing\.zst is not there; allowed: files and folders"),
        ({"days": ["2026-02-30"]}, "days: '2026-02-30' is no day; allowed: YYYY-MM-DD"),
        ({"days": ["2026-02-03"], "scale": 0.01}, "data: scale, files and days exclude each other"),
        ({"days": ["2026-02-03"], "files": [HERE]}, "data: scale, files and days exclude each other"),
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
        (["run", "--scale", "0"], "scale: 0 is not accepted; allowed: 0.0001 and above"),
        (["run", "--scale", "20", "--minutes", "1"], "minutes: 1 is too few: "),
        (["run", "--engines", "duckdb,influxdb2"], "engine: influxdb2 is not here: "),
        (["run", "--scale", "0.01", "--days", "2026-02-03"], "data: scale, files and days exclude each other"),
        (["run", "--lanes", "fast"], "lane: 'fast' is not known; allowed: paper, idiomatic, all"),
        (["run", "--data", "/nothing/here"], "data: /nothing/here is not there; allowed: files and folders of them"),
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
    command = typer.main.get_command(bench)
    command(["list", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["runs"] == [], "a home that nothing was kept in"
    upgrade(settings)
    record, data = archive.begin(settings, plan("right", workloads="R1"), small)
    archive.carry_out(settings, record, data, FAKES)
    command(["report"], standalone_mode=False)
    path = Path(capsys.readouterr().out.strip())
    assert "right/idiomatic" in path.read_text(encoding="utf-8")
    command(["list"], standalone_mode=False)
    assert record.run_id in capsys.readouterr().out
    with pytest.raises(click.UsageError) as none:
        command(["compare", record.run_id], standalone_mode=False)
    assert none.value.format_message().startswith("run: there is no earlier run to compare with")
    assert command(["compare", record.run_id, record.run_id], standalone_mode=False) != 1, "a run is as fast as itself"
    assert "one run each: changes from" in " ".join(capsys.readouterr().out.split())
    for arguments in (["report", "--json"], ["list", "--json"], ["compare", record.run_id, record.run_id, "--json"]):
        command(arguments, standalone_mode=False)
        assert json.loads(capsys.readouterr().out)


def test_what_the_minutes_end_before_is_unmeasured_and_can_be_gone_on_with(tmp_path: Path) -> None:
    found = run(tmp_path, plan("right", "hanging", workloads="R1,R2,W1,Q1", minutes=1e-6))
    assert {(one["status"], one["reason"]) for one in found.values()} == {("unmeasured", UNMEASURED)}
    again = run(tmp_path, plan("right", workloads="R1,R2,W1"))
    assert {one["status"] for one in again.values()} == {"verified"}


def test_empty_answers_are_not_verified(tmp_path: Path) -> None:
    record = new_record("r", plan("right", workloads="R9"), environment(tmp_path), "h", {})
    with Journal(tmp_path / JOURNAL) as journal:
        for _ in range(6):
            journal.note(Sample("right", "idiomatic", "R9", "warm", datetime.now(UTC), 0.1, 0.1, 0.0, 0.0, False, 0, 0))
        settle(record, journal)
    [one] = record.results
    assert (one["status"], one["median_seconds"]) == ("empty", None)
    assert Figures(record).ranks == {}
    assert any("Empty answers" in warning and "R9" in warning for warning in Figures(record).warnings())
