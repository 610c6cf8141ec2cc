"""What became slower: runs against runs, few false alarms, nothing passed over, what is far off always found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tracebank_benchmarks.tsdb.changes import NOISE, Change, compare, runs_needed
from tracebank_benchmarks.tsdb.journal import Sample
from tracebank_benchmarks.tsdb.plan import Plan
from tracebank_benchmarks.tsdb.results import Record
from tracebank_benchmarks.tsdb.workloads import BY_ID

START = datetime(2026, 1, 4, tzinfo=UTC)
READS = dict.fromkeys(BY_ID, 0.01)
SYSTEM = ("W1", "S1", "W2", "Q1", "W4")


def a_run(number: int, times: Mapping[str, float], *, calm: int = 5, status: Mapping[str, str] | None = None,
          measures: Mapping[str, Mapping[str, float]] | None = None, cold: float = 0.0,
          engine: str = "e") -> Record:  # fmt: skip
    """A run with so many undisturbed samples of every read, all of one time."""
    plan = Plan((engine,), ("idiomatic",), (*BY_ID, *SYSTEM), 0.01, 1.0, 0)
    record = Record(f"run{number}", plan, {"environment": "x"}, START + timedelta(hours=number), "d", {})
    for read, seconds in times.items():
        of = (status or {}).get(read, "verified")
        right = of in ("verified", "partial")
        record.results.append(_result(engine, read, of, seconds if right else None))
        if right:
            record.samples += [_sample(engine, read, "warm", seconds, at >= calm) for at in range(max(calm, 2))]
            record.samples += [_sample(engine, read, "cold", cold, False)] if cold else []
    for workload, values in (measures or {}).items():
        record.results.append({**_result(engine, workload, "verified", None), "measures": dict(values)})
    return record


def _result(engine: str, workload: str, status: str, seconds: float | None) -> dict[str, Any]:
    return {"engine": engine, "lane": "idiomatic", "workload": workload, "status": status, "reason": "because",
            "median_seconds": seconds, "measures": {}}  # fmt: skip


def _sample(engine: str, read: str, kind: str, seconds: float, disturbed: bool) -> Sample:
    return Sample(engine, "idiomatic", read, kind, START, seconds, seconds, 0.0, 0.0, disturbed, 1, 1)


def told(changes: list[Change]) -> dict[str, str]:
    return {one.figure: one.verdict for one in changes if one.verdict}


def test_a_run_is_as_fast_as_itself_and_one_run_each_tells_little() -> None:
    run = a_run(0, READS)
    changes = compare([run], [run])
    assert len(changes) == 28
    assert told(changes) == {}
    assert all(one.ratio == pytest.approx(1) and (one.detectable or 0) > 2 for one in changes)
    twice = a_run(1, {**READS, "R3": 0.0197})
    assert told(compare([run], [twice])) == {}, "twice as long is what two runs may differ by"


def test_an_index_that_was_dropped_is_found_though_few_samples_are_left() -> None:
    before = a_run(0, {**READS, "R10": 0.006})
    for calm in (0, 1, 2):
        now = a_run(1, {**READS, "R10": 6.491})
        few = a_run(1, {"R10": 6.491}, calm=calm)
        now.samples = [one for one in now.samples if one.workload != "R10"] + few.samples
        changes = compare([before], [now])
        assert told(changes) == {"R10": "slower"}, calm


def test_what_could_not_be_compared_says_why() -> None:
    before, few = a_run(0, READS), a_run(1, READS, calm=3)
    assert set(told(compare([before], [few])).values()) == {"3 undisturbed samples now, 5 needed"}
    assert set(told(compare([few], [before])).values()) == {"3 undisturbed samples earlier, 5 needed"}
    lost = {"R1": "wrong_answer", "R2": "timeout", "R3": "unsupported", "R4": "partial", "R5": "unmeasured",
            "R6": "empty", "R7": "error"}  # fmt: skip
    found = told(compare([before], [a_run(1, READS, status=lost)]))
    assert found == {
        "R1": "answer lost: verified before, now wrong_answer, because",
        "R2": "answer lost: verified before, now timeout, because",
        "R3": "answer lost: verified before, now unsupported, because",
        "R4": "status worse: verified before, now partial, because",
        "R5": "not compared: unmeasured, because",
        "R6": "not compared: empty, because",
        "R7": "answer lost: verified before, now error, because",
    }
    assert told(compare([a_run(0, READS, status=lost)], [a_run(1, READS, status=lost)])) == {}, "nothing new"
    gone = a_run(1, {})
    assert len(told(compare([before], [gone]))) == 28, "an engine that has no results has lost its answers"


def test_what_only_one_side_was_asked_is_left_out() -> None:
    assert compare([a_run(0, READS, engine="a")], [a_run(1, READS, engine="b")]) == []


@pytest.mark.parametrize(
    ("workload", "name", "worse"),
    [
        ("W1", "rows_per_second", 1 / 20),
        ("W2", "b10000_w2_rmax_rows_per_second", 1 / 20),
        ("W2", "b1_w2_r10000_ack_p50", 20),
        ("Q1", "closed_8_qps", 1 / 20),
        ("W4", "readers_2_ingest_10000_queries_p50", 20),
        ("S1", "bytes", 1.03),
    ],
)
def test_loads_clients_and_bytes_are_compared_too(workload: str, name: str, worse: float) -> None:
    before = a_run(0, {}, measures={workload: {name: 1000.0}})
    now = a_run(1, {}, measures={workload: {name: 1000.0 * worse}})
    [change] = compare([before], [now])
    assert change.slower
    [back] = compare([now], [before])
    assert not back.verdict


def test_cold_times_are_compared_too() -> None:
    changes = compare([a_run(0, READS, cold=0.01)], [a_run(1, READS, cold=1.0)])
    assert set(told(changes)) == {f"{read} cold" for read in READS}


def test_several_runs_a_side_tell_small_changes() -> None:
    rng = np.random.default_rng(3)

    def some(first: int, count: int, factor: float) -> list[Record]:
        return [a_run(first + at, {read: seconds * factor * float(np.exp(rng.normal(0, 0.04)))
                                   for read, seconds in READS.items()}) for at in range(count)]  # fmt: skip

    assert len(told(compare(some(0, 5, 1.0), some(5, 5, 1.6)))) == 28
    assert told(compare(some(0, 5, 1.0), some(5, 5, 1.0))) == {}
    assert told(compare(some(0, 5, 1.0), some(5, 5, 0.6))) == {}, "quicker is no fault"
    assert runs_needed(10.0) == 1
    assert runs_needed(1.5) > runs_needed(2.0) > 1


def test_unmodified_runs_hardly_ever_raise_an_alarm() -> None:
    """Ten repeats, each against those before it, as noisy from run to run as real ones: all reads of an engine together
    and each by itself, with one run in twenty far slower than the others.
    """
    rng = np.random.default_rng(7)
    alarms = comparisons = 0
    for _ in range(20):
        runs = []
        for number in range(10):
            common = rng.normal(0, NOISE["warm"] / 2) + (0.3 if rng.random() < 0.05 else 0.0)
            own = NOISE["warm"] * 0.85 * rng.standard_t(8, 28) / (8 / 6) ** 0.5
            times = {read: 0.01 * float(np.exp(common + own[at])) for at, read in enumerate(READS)}
            runs.append(a_run(number, times))
            if number:
                comparisons += 1
                alarms += any(one.slower for one in compare(runs[:-1], runs[-1:]))
    assert alarms <= comparisons / 100, f"{alarms} of {comparisons}"
