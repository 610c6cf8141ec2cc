"""Runs on disk and in the stores: begun, continued, listed, and compared with each other and with their history."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import inspect, select

from tracebank_benchmarks.tsdb.data import from_files, from_store, generate
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engines import ENGINES
from tracebank_benchmarks.tsdb.environment import environment
from tracebank_benchmarks.tsdb.journal import Journal, Sample
from tracebank_benchmarks.tsdb.plan import Plan, PlanError
from tracebank_benchmarks.tsdb.results import SUITE, Record, export, imported, new_record, settle, store
from tracebank_benchmarks.tsdb.run import JOURNAL, measure
from tracebank_benchmarks.tsdb.schedule import Budget
from tracebank_benchmarks.tsdb.slopes import settle_slopes
from tracebank_schemas.benchmarks import SAMPLES, BenchmarkResult, BenchmarkRun

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore

MOST_HISTORY: Final = 10
"""Earlier runs that a run is held against."""
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


def begin(settings: Settings, plan: Plan, source: DataSource = data_of, budget: Budget | None = None,
          ) -> tuple[Record, DataSet]:  # fmt: skip
    """A new run: its id, its environment, its data. Its minutes begin, unless they have already."""
    budget = budget or Budget(plan.minutes)
    data = source(settings, plan)
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    folder = run_folder(settings, run_id)
    folder.mkdir(parents=True)
    record = new_record(
        run_id, plan, environment(folder, threads=plan.threads, memory=plan.memory), data.hash, data.rows
    )
    record.budget = budget
    export(record, folder / _FILE)
    return record, data


def resume(settings: Settings, run_id: str, minutes: float, source: DataSource = data_of) -> tuple[Record, DataSet]:
    """A run that has begun, with more minutes.

    Raises:
        PlanError: there is no such run, or the machine or the data are others now.
    """
    record, budget = opened(settings, run_id), Budget(minutes)
    plan = Plan(**{name: getattr(record.plan, name) for name in Plan.__slots__} | {"minutes": minutes})
    data = source(settings, plan)
    now = environment(run_folder(settings, run_id), threads=plan.threads, memory=plan.memory).environment
    if now != record.environment["environment"]:
        raise PlanError(
            f"run: {run_id} was begun in environment {record.environment['environment']}; this machine is {now}"
        )
    if data.hash != record.data_hash:
        raise PlanError(f"run: {run_id} was begun on data {record.data_hash}; there is {data.hash} now")
    record.plan, record.budget = plan, budget
    return record, data


def carry_out(settings: Settings, record: Record, data: DataSet, engines: Mapping[str, str] = ENGINES) -> Record:
    """Measure, and keep what was measured however it ends.

    Raises:
        KeyboardInterrupt: after what was measured was kept; the run can be continued.
    """
    folder = run_folder(settings, record.run_id)
    complete = False
    try:
        complete = measure(record.plan, data, folder, engines, record.budget)
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


def alike(settings: Settings, run_ids: Sequence[str], other: Record | None = None) -> list[Record]:
    """Runs that may be compared with each other, and with another one.

    Raises:
        PlanError: there is none of an id, or one is of other data or of another environment.
    """
    found = [opened(settings, run_id.strip()) for run_id in run_ids if run_id.strip()]
    if not found:
        raise PlanError("run: none is given; 'tracebank bench list' shows them")
    model = other or found[0]
    for record in found:
        for field, mine, its in zip(("environment", "data"), _like(model), _like(record), strict=True):
            if mine != its:
                raise PlanError(f"run: {record.run_id} has {field} {its}; allowed: runs of {field} {mine}, as"
                                f" {model.run_id} has")  # fmt: skip
    return found


def listed(relational: RelationalStore) -> list[dict[str, Any]]:
    """Every run, newest first; none in a store that nothing was kept in yet."""
    with relational.reading() as session:
        if not inspect(session.connection()).has_table(BenchmarkRun.__tablename__):
            return []
        runs = session.scalars(select(BenchmarkRun).order_by(BenchmarkRun.started_at.desc())).all()
        return [run.row() for run in runs]


def results_of(relational: RelationalStore, run_id: str) -> list[dict[str, Any]]:
    """Results of a run."""
    with relational.reading() as session:
        query = select(BenchmarkResult).where(BenchmarkResult.run_id == run_id)
        return [result.row() for result in session.scalars(query).all()]


def history(relational: RelationalStore, series: SeriesStore, record: Record) -> list[Record]:
    """Earlier runs that a run may be held against, newest first: of the same machine as it was set up and the same
    data, with an engine in common; none that were stopped, in which an engine failed, or that were disturbed.
    """
    query = select(BenchmarkRun).where(
        BenchmarkRun.environment == record.environment["environment"],
        BenchmarkRun.data_hash == record.data_hash,
        BenchmarkRun.started_at < record.started_at,
        BenchmarkRun.finished_at.is_not(None),
    )
    with relational.reading() as session:
        runs = [run.row() for run in session.scalars(query.order_by(BenchmarkRun.started_at.desc())).all()]
    mine = set(record.plan.engines)
    alike = (_stored(relational, series, run) for run in runs if mine & set(run["asked"]["engines"]))
    return list(islice((run for run in alike if not run.disturbed), MOST_HISTORY))


def _stored(relational: RelationalStore, series: SeriesStore, run: dict[str, Any]) -> Record:
    """A run as the stores have it, wherever it was made."""
    engines, lanes, workloads = (tuple(run["asked"][name]) for name in ("engines", "lanes", "workloads"))
    plan = Plan(engines, lanes, workloads, run["scale"], run["minutes"], run["seed"])
    rows = series.read(SAMPLES, partition={"run_id": run["run_id"]}, ordered=False)
    return Record(
        run["run_id"],
        plan,
        {"environment": run["environment"]},
        run["started_at"],
        run["data_hash"],
        {},
        run["finished_at"],
        run["engines"],
        results_of(relational, run["run_id"]),
        [Sample(*row) for row in rows.select(Sample.__struct_fields__).iter_rows()],
    )


def _like(record: Record) -> tuple[str, str]:
    """What runs must have in common to be compared."""
    return str(record.environment["environment"]), record.data_hash


def _records(settings: Settings) -> Iterator[Record]:
    """Every run that was begun here, newest first."""
    for path in sorted((suite_folder(settings) / "runs").glob(f"*/{_FILE}"), reverse=True):
        yield imported(path)


def other_scales(settings: Settings, record: Record) -> list[Record]:
    """The newest run of each of its engines at each other scale in the same environment, newest first."""
    found: dict[tuple[float, str], Record] = {}
    if not record.plan.scale:
        return []
    for other in _records(settings):
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
    for record in _records(settings):
        where = _like(record)
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
