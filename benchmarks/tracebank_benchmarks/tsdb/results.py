"""From a run's journal to rows in both stores and to one JSON file; and what earlier runs say beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import polars as pl

from tracebank_benchmarks.tsdb.journal import Case, Journal, Sample
from tracebank_benchmarks.tsdb.plan import Plan
from tracebank_benchmarks.tsdb.statistics import LEAST_SAMPLES, Limits, Times, median_interval
from tracebank_schemas.benchmarks import SAMPLES, BenchmarkEnvironment, BenchmarkResult, BenchmarkRun

if TYPE_CHECKING:
    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore
    from tracebank_benchmarks.tsdb.schedule import Budget

SUITE = "tsdb"
TIMED = ("verified", "partial")
"""Statuses of right answers: these have times."""
UNMEASURED = "the run's minutes ended before; 'bench run --continue' goes on"
"""Why a workload is unmeasured."""
LIMIT_SECONDS = "limit_seconds"
"""Measure of a read that an engine gave up by itself: after how long."""
ROWS_ASKED = "rows_asked"
"""Measure of a read: rows of the symbols and the window that it names."""
EMPTY = "the right answer has no rows on these data, so that nothing was verified"
DISTURBED_RUN = 0.25
"""Share of samples taken beside other work above which a run is called disturbed, and is no history of others."""
_OVERHEAD_FROM = 0.05
"""Executions of at least so many seconds tell the harness's share; shorter ones are all harness."""


@dataclass(slots=True)
class Record:
    """All of one run."""

    run_id: str
    plan: Plan
    environment: dict[str, Any]
    """Columns of `benchmark_environments`."""
    started_at: datetime
    data_hash: str
    data_rows: dict[str, int]
    finished_at: datetime | None = None
    engines: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By engine/lane."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """Columns of `benchmark_results`."""
    samples: list[Sample] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """Text of every query, by engine/lane/workload."""
    budget: Budget | None = None
    """Of a run that is going on."""

    @property
    def overhead_share(self) -> float | None:
        """Median of the harness's own time over the engine's, of the executions that are long enough to tell."""
        long = [one for one in self.samples if one.kind in ("cold", "warm") and one.seconds >= _OVERHEAD_FROM]
        return median(one.harness_seconds / one.seconds for one in long) if long else None

    @property
    def disturbed_share(self) -> float:
        """Share of the reads' warm samples that were taken while other processes used the machine."""
        warm = [one.disturbed for one in self.samples if one.kind == "warm"]
        return sum(warm) / len(warm) if warm else 0.0

    @property
    def disturbed(self) -> bool:
        """Whether so many were that the run says little of its engines."""
        return self.disturbed_share > DISTURBED_RUN


def settle(record: Record, journal: Journal) -> Record:
    """Fill in what the journal says."""
    record.engines = {f"{engine}/{lane}": facts for (engine, lane), facts in journal.engines.items()}
    record.results, record.samples, record.texts = [], [], {}
    for engine in record.plan.engines:
        for lane in record.plan.lanes:
            facts = journal.engines.get((engine, lane), {})
            # An engine that is not here has no results, good or bad; its reason is in `engines`.
            if facts.get("absent") and not _measured(record, journal, engine, lane):
                continue
            for workload in record.plan.workloads:
                case = journal.case((engine, lane, workload))
                record.results.append(_result(record, case, _failure(facts)))
                record.samples += case.samples
                if case.text:
                    record.texts[f"{engine}/{lane}/{workload}"] = case.text.text
    return record


def _measured(record: Record, journal: Journal, engine: str, lane: str) -> bool:
    """Whether an engine that is gone now had been measured before."""
    return any(journal.case((engine, lane, workload)).samples for workload in record.plan.workloads)


def _failure(facts: dict[str, Any]) -> tuple[str, str]:
    """Status and reason of what an engine was not asked; empty where it works."""
    if absent := str(facts.get("absent") or ""):
        return "error", f"not to be had here any more: {absent}"
    if failed := str(facts.get("failed") or ""):
        return str(facts.get("failed_status") or "error"), failed
    return "", ""


def _result(record: Record, case: Case, failure: tuple[str, str]) -> dict[str, Any]:
    engine, lane, workload = case.key
    status, reason = _status(case, failure)
    # Loads have one sample each time that the engine was loaded; reads count warm samples only.
    taken = (case.of("warm") or case.of("load")) if status in TIMED else []
    calm = [one for one in taken if not one.disturbed]
    enough = len(calm) >= LEAST_SAMPLES
    kept = calm if enough else taken
    seconds = [one.seconds for one in kept]
    interval = median_interval(seconds, record.plan.seed) if enough else None
    return {
        "run_id": record.run_id,
        "engine": engine,
        "lane": lane,
        "workload": workload,
        "scale": record.plan.scale,
        "status": status,
        "reason": reason,
        "median_seconds": median(seconds) if seconds else None,
        "low_seconds": interval.low if interval else None,
        "high_seconds": interval.high if interval else None,
        "cpu_seconds": median(one.cpu_seconds for one in kept) if kept else None,
        "rows": kept[-1].rows if kept else None,
        "bytes": (kept[-1].bytes or None) if kept else None,
        "repetitions": len(kept),
        "foreign_share": sum(one.disturbed for one in taken) / len(taken) if taken else None,
        "text_hash": case.text.hash if case.text else "",
        "measures": case.measures,
    }


def _status(case: Case, failure: tuple[str, str]) -> tuple[str, str]:
    if case.verdict:
        return case.verdict.status, case.verdict.reason
    if warm := case.of("warm"):
        if not any(one.rows for one in warm):
            return "empty", EMPTY
        partial = case.text.partial if case.text else ""
        return ("partial", partial) if partial else ("verified", "")
    if failure[0]:
        return failure
    return "unmeasured", UNMEASURED


def store(record: Record, relational: RelationalStore, series: SeriesStore) -> None:
    """Write a run's rows; writing it again, after it went on, replaces them."""
    environment = dict(record.environment)
    run = {
        "run_id": record.run_id,
        "suite": SUITE,
        "environment": environment["environment"],
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "scale": record.plan.scale,
        "seed": record.plan.seed,
        "minutes": record.plan.minutes,
        "asked": {
            "engines": list(record.plan.engines),
            "lanes": list(record.plan.lanes),
            "workloads": list(record.plan.workloads),
            "data": record.plan.data,
        },
        "engines": record.engines,
        "data_hash": record.data_hash,
        "overhead_share": record.overhead_share,
    }
    with relational.session() as session:
        if session.get(BenchmarkEnvironment, environment["environment"]) is None:
            relational.upsert(session, BenchmarkEnvironment, [environment])
        relational.upsert(session, BenchmarkRun, [run])
        relational.upsert(session, BenchmarkResult, record.results)
    if record.samples:
        series.replace(SAMPLES, {"run_id": record.run_id}, sample_frame(record))


def sample_frame(record: Record) -> pl.DataFrame:
    """Raw samples in the columns of `benchmark_samples`."""
    fields = Sample.__struct_fields__
    frame = pl.DataFrame(
        [[getattr(one, name) for name in fields] for one in record.samples], schema=list(fields), orient="row"
    )
    number = pl.int_range(pl.len()).over("engine", "lane", "workload", "kind").alias("sample")
    constant = {
        "run_id": pl.lit(record.run_id),
        "environment": pl.lit(str(record.environment["environment"])),
        "scale": pl.lit(record.plan.scale),
    }
    schema = dict(SAMPLES.polars_schema)
    return frame.with_columns(number, **constant).select(pl.col(name).cast(kind) for name, kind in schema.items())


def export(record: Record, path: Path) -> Path:
    """Write a run as one JSON file, raw samples included."""
    import msgspec

    content = {
        "run_id": record.run_id,
        "suite": SUITE,
        "started_at": record.started_at.isoformat(),
        "finished_at": record.finished_at.isoformat() if record.finished_at else None,
        "plan": asdict(record.plan),
        "environment": {name: _plain(value) for name, value in record.environment.items()},
        "data": {"asked": record.plan.data, "hash": record.data_hash, "rows": record.data_rows},
        "engines": record.engines,
        "overhead_share": record.overhead_share,
        "results": record.results,
        "texts": record.texts,
        "samples": msgspec.to_builtins(record.samples),
    }
    path.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
    return path


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def imported(path: Path) -> Record:
    """A run read back from its file."""
    import msgspec

    found = json.loads(path.read_text(encoding="utf-8"))
    plan = msgspec.convert(found["plan"], Plan)
    return Record(
        found["run_id"],
        plan,
        {**found["environment"], "first_seen": datetime.fromisoformat(found["environment"]["first_seen"])},
        datetime.fromisoformat(found["started_at"]),
        found["data"]["hash"],
        found["data"]["rows"],
        datetime.fromisoformat(found["finished_at"]) if found["finished_at"] else None,
        found["engines"],
        found["results"],
        msgspec.convert(found["samples"], list[Sample]),
        found["texts"],
    )


def new_record(run_id: str, plan: Plan, environment: BenchmarkEnvironment, data_hash: str, rows: dict[str, int],
               ) -> Record:  # fmt: skip
    """The record of a run that begins now."""
    return Record(run_id, plan, environment.row(), datetime.now(UTC), data_hash, rows)


def times(record: Record, reads: Sequence[str]) -> Times:
    """Undisturbed warm samples by engine/lane and read, of right answers only; none where there are too few of them."""
    right = {(one["engine"], one["lane"], one["workload"]) for one in record.results
             if one["status"] in TIMED and one["workload"] in reads}  # fmt: skip
    found: dict[tuple[str, str], list[float]] = {}
    for one in record.samples:
        if one.kind == "warm" and not one.disturbed and (one.engine, one.lane, one.workload) in right:
            found.setdefault((f"{one.engine}/{one.lane}", one.workload), []).append(one.seconds)
    by_entry: dict[str, dict[str, list[float]]] = {}
    for (entry, read), seconds in found.items():
        if len(seconds) >= LEAST_SAMPLES:
            by_entry.setdefault(entry, {})[read] = seconds
    return by_entry


def limits(record: Record, reads: Sequence[str]) -> Limits:
    """Seconds after which reads that timed out were given up, by engine/lane and read."""
    found: dict[str, dict[str, float]] = {}
    for one in record.results:
        if one["status"] == "timeout" and one["workload"] in reads:
            own = one["measures"].get(LIMIT_SECONDS, record.plan.timeout)
            found.setdefault(f"{one['engine']}/{one['lane']}", {})[one["workload"]] = float(own)
    return found


def combined(records: Sequence[Record]) -> Record:
    """Runs of different engines, of one scale, data and environment, as one record: of their newest, and all results.

    Raises:
        ValueError: no runs, or an engine stands in two of them.
    """
    if not records:
        raise ValueError("there are no runs to combine")
    newest = max(records, key=lambda record: record.started_at)
    engines = [name for record in records for name in record.engines]
    if len(set(engines)) != len(engines):
        raise ValueError(f"an engine stands in two runs: {engines}")
    plans = [record.plan for record in records]
    plan = replace(
        newest.plan,
        engines=tuple(dict.fromkeys(name for plan in plans for name in plan.engines)),
        lanes=tuple(dict.fromkeys(name for plan in plans for name in plan.lanes)),
        workloads=tuple(dict.fromkeys(name for plan in plans for name in plan.workloads)),
        minutes=sum(plan.minutes for plan in plans),
    )
    return replace(
        newest,
        run_id=" + ".join(dict.fromkeys(record.run_id for record in records)),
        plan=plan,
        engines={name: facts for record in records for name, facts in record.engines.items()},
        results=[one for record in records for one in record.results],
        samples=[one for record in records for one in record.samples],
        texts={name: text for record in records for name, text in record.texts.items()},
    )
