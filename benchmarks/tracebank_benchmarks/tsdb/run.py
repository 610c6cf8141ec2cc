"""A run from its plan to its journal: right answers first, then every engine loaded, then rounds until time is up."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tracebank.progress import track
from tracebank_benchmarks.tsdb import file_loads, late_rows, system_workloads
from tracebank_benchmarks.tsdb.answers import LOAD_CHECK, references
from tracebank_benchmarks.tsdb.concurrency import steps as concurrent_steps
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engines import ENGINES
from tracebank_benchmarks.tsdb.journal import Journal
from tracebank_benchmarks.tsdb.measurement import LoadWatch
from tracebank_benchmarks.tsdb.plan import Plan
from tracebank_benchmarks.tsdb.rewrites import AGAIN
from tracebank_benchmarks.tsdb.schedule import FOR_ANSWERS, FOR_LOADS, FOR_READS, Budget, MinutesEnded, rounds
from tracebank_benchmarks.tsdb.station import Setting, Station
from tracebank_benchmarks.tsdb.workloads import Lane

JOURNAL = "journal.jsonl"


def measure(plan: Plan, data: DataSet, folder: Path, engines: Mapping[str, str] = ENGINES,
            budget: Budget | None = None) -> bool:  # fmt: skip
    """Carry a run out, or go on with it: all that is found out stands in the folder's journal, at once.

    Args:
        plan: what is asked.
        data: of the plan's scale and seed.
        folder: the run's own; a journal in it is continued.
        engines: classes by name, as module:class.
        budget: of the plan's minutes, which may have begun before.

    Returns:
        Whether it came to its end with every engine well; what the minutes did not suffice for is unmeasured then.
    """
    budget = budget or Budget(plan.minutes)
    right = references(data, asked_reads(plan), plan.seed, budget.left * FOR_ANSWERS)
    with Journal(folder / JOURNAL) as journal:
        setting = Setting(plan, data, right, journal, LoadWatch(), budget, folder)
        stations = [
            Station(engine, Lane(lane), engines[engine], setting) for engine in plan.engines for lane in plan.lanes
        ]
        with _working(setting, stations):
            return _measured(setting, stations)


def asked_reads(plan: Plan) -> list[str]:
    """Names of all reads that a run needs right answers of."""
    # W3 asks its reads again, so their right answers are needed whether or not they are asked for themselves.
    extra = (*late_rows.LATE_READS, *AGAIN) if "W3" in plan.workloads else ()
    mixed = concurrent_steps.READS if {"Q1", "W4"} & set(plan.workloads) else ()
    checks = [f"{LOAD_CHECK}{workload}" for workload in system_workloads.LOAD_CHECKS]
    return [*dict.fromkeys([*checks, *plan.reads, *mixed, *extra])]


@contextmanager
def _working(setting: Setting, stations: list[Station]) -> Iterator[None]:
    """End every engine's process and remove what it wrote, however the block ends."""
    try:
        yield
    finally:
        for station in stations:
            station.close()
        shutil.rmtree(setting.folder / "work", ignore_errors=True)


def _measured(setting: Setting, stations: list[Station]) -> bool:
    random.Random(setting.plan.seed).shuffle(stations)
    budget, later = setting.budget, _later(setting.plan)
    with track("loading", len(stations)) as advance, budget.phase(FOR_LOADS):
        for station in stations:
            station.leave_out() if budget.ended else station.start()
            advance(1)
    alive = [station for station in stations if not station.given_up]
    reads = [read for read in setting.plan.reads if read in setting.references]
    cases = [(station, workload) for station in alive for workload in reads]
    with budget.phase(FOR_READS if later else 1.0), track("measuring", budget.left_in_phase) as advance:
        left = budget.left_in_phase
        for station, workload in rounds(cases, setting.plan.seed, _workload, _done, budget):
            station.visit(workload)
            advance(left - (left := budget.left_in_phase))
    _finish(setting, alive)
    # What was given up stays open: the run can be continued when the engine is well again.
    return not any(station.given_up for station in stations)


def _done(case: tuple[Station, str]) -> bool:
    station, workload = case
    return station.done(workload)


def _workload(case: tuple[Station, str]) -> str:
    return case[1]


def _later(plan: Plan) -> list[str]:
    """Workloads that come after the reads and take long, those that take least first."""
    return [workload for workload in _LATER if workload in plan.workloads]


def _finish(setting: Setting, stations: list[Station]) -> None:
    """What comes after the reads, one workload after the other, as far as the minutes go."""
    setting.point_seconds = concurrent_steps.point_seconds(setting)
    for workload in (*_AT_ONCE, *_later(setting.plan)):
        for station in stations:
            if workload not in setting.plan.workloads or station.worker is None or station.case(workload).verdict:
                continue
            if workload in _LATER and _expected(station, workload) > setting.budget.left:
                continue
            try:
                (_AT_ONCE | _LATER)[workload](station)
            except MinutesEnded:
                continue


def _expected(station: Station, workload: str) -> float:
    """Seconds that a load of another place will take, as the first one took; points look at the clock themselves."""
    return LOADS_OF[workload] * station.loaded_in if workload in LOADS_OF else 0.0


_AT_ONCE: Final = {"M1": system_workloads.resources, "Q2": system_workloads.cold_and_warm}
_LATER: Final = {
    **concurrent_steps.STEPS,
    file_loads.PARQUET: file_loads.load_parquet,
    file_loads.TEXT: file_loads.load_text,
    "W3": late_rows.late_load,
}
LOADS_OF: Final = {file_loads.PARQUET: 1.0, file_loads.TEXT: 2.0, "W3": 2.0}
"""Times as long as the first load, its process and its check included."""
