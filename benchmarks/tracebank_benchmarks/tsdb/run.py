"""A run from its plan to its journal: right answers first, then every engine loaded, then rounds until time is up."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

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
from tracebank_benchmarks.tsdb.schedule import Budget, rounds
from tracebank_benchmarks.tsdb.station import Setting, Station
from tracebank_benchmarks.tsdb.workloads import Lane

JOURNAL = "journal.jsonl"


def measure(plan: Plan, data: DataSet, folder: Path, engines: Mapping[str, str] = ENGINES) -> bool:
    """Carry a run out, or go on with it: all that is found out stands in the folder's journal, at once.

    Args:
        plan: what is asked.
        data: of the plan's scale and seed.
        folder: the run's own; a journal in it is continued.
        engines: classes by name, as module:class.

    Returns:
        Whether everything was measured; False where the budget ended first.
    """
    # W3 asks its reads again, so their right answers are needed whether or not they are asked for themselves.
    extra = (*late_rows.LATE_READS, *AGAIN) if "W3" in plan.workloads else ()
    mixed = concurrent_steps.READS if {"Q1", "W4"} & set(plan.workloads) else ()
    checks = [f"{LOAD_CHECK}{workload}" for workload in system_workloads.LOAD_CHECKS]
    names = [*dict.fromkeys([*plan.reads, *extra, *mixed]), *checks]
    budget = Budget(plan.minutes)
    right = references(data, names, plan.seed)
    with Journal(folder / JOURNAL) as journal:
        setting = Setting(plan, data, right, journal, LoadWatch(), budget, folder)
        stations = [
            Station(engine, Lane(lane), engines[engine], setting) for engine in plan.engines for lane in plan.lanes
        ]
        with _working(setting, stations):
            return _measured(setting, stations)


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
    with track("loading", len(stations)) as advance:
        for station in stations:
            station.start()
            advance(1)
    alive = [station for station in stations if not station.given_up]
    cases = [(station, workload) for station in alive for workload in setting.plan.reads]
    setting.budget.begin()
    with track("measuring", setting.budget.allowed) as advance:
        spent = 0.0
        for station, workload in rounds(cases, setting.plan.seed, _workload, _done, setting.budget):
            station.visit(workload)
            advance(setting.budget.spent - spent)
            spent = setting.budget.spent
    for station in alive:
        _finish(station)
    # What was given up stays open: the run can be continued when the engine is well again.
    return all(_measured_once(case) for case in cases) and not any(station.given_up for station in stations)


def _done(case: tuple[Station, str]) -> bool:
    station, workload = case
    return station.done(workload)


def _measured_once(case: tuple[Station, str]) -> bool:
    found = case[0].case(case[1])
    return found.verdict is not None or bool(found.of("warm"))


def _workload(case: tuple[Station, str]) -> str:
    return case[1]


def _finish(station: Station) -> None:
    asked = station.setting.plan.workloads
    steps = {"M1": system_workloads.resources, "Q2": system_workloads.cold_and_warm, "W3": late_rows.late_load}
    steps |= {file_loads.TEXT: file_loads.load_text, file_loads.PARQUET: file_loads.load_parquet}
    for workload, step in (steps | concurrent_steps.STEPS).items():
        if workload in asked and station.worker is not None:
            step(station)
