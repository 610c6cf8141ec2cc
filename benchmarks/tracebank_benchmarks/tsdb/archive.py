"""Runs on disk and in the stores: begun, continued, listed, and compared with each other and with their history."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from sqlalchemy import select

from tracebank_benchmarks.tsdb.data import from_files, from_store, generate
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engines import ENGINES
from tracebank_benchmarks.tsdb.environment import environment
from tracebank_benchmarks.tsdb.journal import Journal
from tracebank_benchmarks.tsdb.plan import Plan, PlanError
from tracebank_benchmarks.tsdb.results import SUITE, Record, export, imported, new_record, settle, store
from tracebank_benchmarks.tsdb.run import JOURNAL, measure
from tracebank_benchmarks.tsdb.slopes import settle_slopes
from tracebank_benchmarks.tsdb.statistics import RankTest, corrected, rank_test
from tracebank_schemas.benchmarks import SAMPLES, BenchmarkResult, BenchmarkRun

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore

SIGNIFICANT: Final = 0.01
"""Chance of a false alarm, over all workloads of a comparison together, that is put up with."""
LEAST_HISTORY: Final = 5
"""Samples on each side below which nothing is said."""
_RUN_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_FILE = "run.json"

DataSource = Callable[["Settings", Plan], DataSet]
"""Where the data of a plan come from."""


def suite_folder(settings: Settings) -> Path:
    """Where the suite keeps data sets and runs."""
    return settings.home / "benchmarks" / SUITE


def run_folder(settings: Settings, run_id: str) -> Path:
    """A run's own folder.

    Raises:
        PlanError: the id is none.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise PlanError(f"run: {run_id!r} is not a run's id; 'tracebank bench list' shows them")
    return suite_folder(settings) / "runs" / run_id


def data_of(settings: Settings, plan: Plan) -> DataSet:
    """The data that a plan asks for: made or read, or taken from where they stand already.

    Raises:
        PlanError: the files or the stored days are no data that can be asked.
    """
    folder = suite_folder(settings) / "data"
    if plan.days:
        return _stored_days(settings, plan, folder)
    if not plan.files:
        return generate(plan.scale, folder, seed=plan.seed)
    try:
        return from_files([Path(file) for file in plan.files], folder)
    except (ValueError, OSError) as error:
        raise PlanError(f"data: {' '.join(str(error).split())}") from error


def _stored_days(settings: Settings, plan: Plan, folder: Path) -> DataSet:
    from tracebank.stores.faults import StoreError
    from tracebank.stores.opening import open_series

    try:
        return from_store(open_series(settings), [date.fromisoformat(day) for day in plan.days], folder)
    except (ValueError, StoreError) as error:
        raise PlanError(f"days: {' '.join(str(error).split())}") from error


def begin(settings: Settings, plan: Plan, source: DataSource = data_of) -> tuple[Record, DataSet]:
    """A new run: its id, its environment, its data."""
    data = source(settings, plan)
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    folder = run_folder(settings, run_id)
    folder.mkdir(parents=True)
    record = new_record(
        run_id, plan, environment(folder, threads=plan.threads, memory=plan.memory), data.hash, data.rows
    )
    export(record, folder / _FILE)
    return record, data


def resume(settings: Settings, run_id: str, minutes: float, source: DataSource = data_of) -> tuple[Record, DataSet]:
    """A run that has begun, with more minutes.

    Raises:
        PlanError: there is no such run, or the machine or the data are others now.
    """
    record = opened(settings, run_id)
    plan = Plan(**{name: getattr(record.plan, name) for name in Plan.__slots__} | {"minutes": minutes})
    data = source(settings, plan)
    now = environment(run_folder(settings, run_id), threads=plan.threads, memory=plan.memory).environment
    if now != record.environment["environment"]:
        raise PlanError(
            f"run: {run_id} was begun in environment {record.environment['environment']}; this machine is {now}"
        )
    if data.hash != record.data_hash:
        raise PlanError(f"run: {run_id} was begun on data {record.data_hash}; there is {data.hash} now")
    record.plan = plan
    return record, data


def carry_out(settings: Settings, record: Record, data: DataSet, engines: Mapping[str, str] = ENGINES) -> Record:
    """Measure, and keep what was measured however it ends.

    Raises:
        KeyboardInterrupt: after what was measured was kept; the run can be continued.
    """
    folder = run_folder(settings, record.run_id)
    complete = False
    try:
        complete = measure(record.plan, data, folder, engines)
    finally:
        with Journal(folder / JOURNAL) as journal:
            settle(record, journal)
        settle_slopes(record, other_scales(settings, record))
        record.finished_at = datetime.now(UTC) if complete else None
        export(record, folder / _FILE)
        keep(settings, record)
    return record


def keep(settings: Settings, record: Record) -> None:
    """Write a run's rows into both stores."""
    from tracebank.stores.opening import open_relational, open_series

    relational = open_relational(settings)
    try:
        store(record, relational, open_series(settings))
    finally:
        relational.close()


def opened(settings: Settings, run_id: str) -> Record:
    """A run that was begun here.

    Raises:
        PlanError: there is none of that id.
    """
    path = run_folder(settings, run_id) / _FILE
    if not path.exists():
        raise PlanError(f"run: {run_id!r} is not known here; 'tracebank bench list' shows those that are")
    return imported(path)


def earlier_run(settings: Settings, record: Record, run_id: str) -> Record:
    """A run that another may be held against.

    Raises:
        PlanError: there is none of that id, or it is of other data or of another environment.
    """
    other = opened(settings, run_id)
    for field, mine, its in (
        ("data", record.data_hash, other.data_hash),
        ("environment", record.environment["environment"], other.environment["environment"]),
    ):
        if mine != its:
            raise PlanError(f"run: {run_id} has {field} {its}; allowed: runs of {field} {mine}, as {record.run_id} has")
    return other


def listed(relational: RelationalStore) -> list[dict[str, Any]]:
    """Every run, newest first."""
    with relational.reading() as session:
        runs = session.scalars(select(BenchmarkRun).order_by(BenchmarkRun.started_at.desc())).all()
        return [run.row() for run in runs]


def results_of(relational: RelationalStore, run_id: str) -> list[dict[str, Any]]:
    """Results of a run."""
    with relational.reading() as session:
        query = select(BenchmarkResult).where(BenchmarkResult.run_id == run_id)
        return [result.row() for result in session.scalars(query).all()]


@dataclass(frozen=True, slots=True)
class Change:
    """One workload in a run beside the same one earlier."""

    engine: str
    lane: str
    workload: str
    test: RankTest
    p_value: float
    """Corrected for the number of workloads looked at (Holm)."""

    @property
    def slower(self) -> bool:
        """Slower by more than noise."""
        return self.p_value < SIGNIFICANT and self.test.ratio > 1


def compare(earlier: pl.DataFrame, later: pl.DataFrame) -> list[Change]:
    """Hold the warm samples of each engine, lane and workload against earlier ones: a rank test, no fixed percentage.

    Args:
        earlier: rows of `benchmark_samples`.
        later: the same of one run.
    """
    key = ["engine", "lane", "workload"]
    sides = [_seconds(frame, key) for frame in (earlier, later)]
    tests = {
        name: rank_test(before, sides[1][name])
        for name, before in sides[0].items()
        if name in sides[1] and min(len(before), len(sides[1][name])) >= LEAST_HISTORY
    }
    p_values = corrected({"\t".join(name): test.p_value for name, test in tests.items()})
    return [Change(*name, test, p_values["\t".join(name)]) for name, test in sorted(tests.items())]


def _seconds(frame: pl.DataFrame, key: list[str]) -> dict[tuple[str, str, str], list[float]]:
    calm = frame.filter((pl.col("kind") == "warm") & ~pl.col("disturbed"))
    grouped = calm.group_by(key).agg("seconds").iter_rows()
    return {(engine, lane, workload): seconds for engine, lane, workload, seconds in grouped}


def samples(series: SeriesStore, runs: Iterable[str]) -> pl.DataFrame:
    """Raw samples of runs."""
    frames = [series.read(SAMPLES, partition={"run_id": run}, ordered=False) for run in dict.fromkeys(runs)]
    return pl.concat(frames) if frames else pl.DataFrame(schema=SAMPLES.polars_schema)


def history(relational: RelationalStore, record: Record) -> list[str]:
    """Earlier runs that a run may be held against: the same machine as it was set up, the same data."""
    with relational.reading() as session:
        query = select(BenchmarkRun.run_id).where(
            BenchmarkRun.environment == record.environment["environment"],
            BenchmarkRun.data_hash == record.data_hash,
            BenchmarkRun.started_at < record.started_at,
        )
        return list(session.scalars(query.order_by(BenchmarkRun.started_at.desc()).limit(10)))


def other_scales(settings: Settings, record: Record) -> list[Record]:
    """The newest run of each of its engines at each other scale in the same environment, newest first."""
    found: dict[tuple[float, str], Record] = {}
    if not record.plan.scale:
        return []
    for path in sorted((suite_folder(settings) / "runs").glob(f"*/{_FILE}"), reverse=True):
        if path.parent.name == record.run_id:
            continue
        other = imported(path)
        if other.environment["environment"] != record.environment["environment"]:
            continue
        if other.plan.scale not in (0.0, record.plan.scale):
            for engine in {str(one["engine"]) for one in other.results} & set(record.plan.engines):
                found.setdefault((other.plan.scale, engine), other)
    return sorted({one.run_id: one for one in found.values()}.values(), key=lambda one: one.started_at, reverse=True)


def newest_runs(settings: Settings) -> dict[float, list[Record]]:
    """The newest run of every engine that has results, by scale of synthetic data, on the environment and data of the
    very newest.
    """
    found: dict[float, dict[str, Record]] = {}
    newest: dict[float, tuple[str, str]] = {}
    for path in sorted((suite_folder(settings) / "runs").glob(f"*/{_FILE}"), reverse=True):
        record = imported(path)
        where = (str(record.environment["environment"]), record.data_hash)
        if not record.results or not record.plan.scale or newest.setdefault(record.plan.scale, where) != where:
            continue
        for engine in {str(one["engine"]) for one in record.results}:
            found.setdefault(record.plan.scale, {}).setdefault(engine, record)
    return {scale: [_only(record, engine) for engine, record in sorted(by.items())] for scale, by in found.items()}


def _only(record: Record, engine: str) -> Record:
    """A run as if only one of its engines had been in it."""
    return replace(
        record,
        engines={name: facts for name, facts in record.engines.items() if name.partition("/")[0] == engine},
        results=[one for one in record.results if one["engine"] == engine],
        samples=[one for one in record.samples if one.engine == engine],
        texts={name: text for name, text in record.texts.items() if name.partition("/")[0] == engine},
    )
