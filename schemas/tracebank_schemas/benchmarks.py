"""Results of benchmark suites: environments, runs, one result per question, and every raw sample behind it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import JSON, Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import Base
from tracebank_schemas.series import TIMESTAMP, Column, SeriesTable

STATUSES: Final = (
    "verified", "partial", "unsupported", "wrong_answer", "error", "timeout", "empty", "unmeasured",
)  # fmt: skip
"""What a result may be. Only verified and partial ones (part of the work is the client's) have times. Empty: the right
answer has no rows, so that nothing was verified; unmeasured: the run's minutes ended before."""


class BenchmarkEnvironment(Base):
    """A machine as it was set up; its key is a hash of everything here but the details."""

    __tablename__ = "benchmark_environments"

    environment: Mapped[str] = mapped_column(String(64), primary_key=True, doc="hash of the other columns")
    cpu_model: Mapped[str] = mapped_column(String(128), doc="as the kernel names it")
    cores: Mapped[int] = mapped_column(doc="logical processors of the machine")
    cpu_threads: Mapped[int] = mapped_column(doc="logical processors that every process of the suite may use")
    memory_bytes: Mapped[int] = mapped_column(doc="memory of the machine")
    memory_limit_bytes: Mapped[int] = mapped_column(doc="memory that the suite may use (cgroup), else the machine's")
    kernel: Mapped[str] = mapped_column(String(128), doc="operating system and release")
    governor: Mapped[str] = mapped_column(String(32), doc="frequency governor, empty where not to be had")
    huge_pages: Mapped[str] = mapped_column(String(32), doc="transparent huge pages, empty where not to be had")
    numa_nodes: Mapped[int] = mapped_column(doc="NUMA nodes")
    file_system: Mapped[str] = mapped_column(String(32), doc="of the folder of the embedded engines")
    disk: Mapped[str] = mapped_column(String(128), doc="device of that folder: model, or kind")
    details: Mapped[dict[str, str]] = mapped_column(JSON, doc="more: SMT, caches, Python, load at the start")
    first_seen: Mapped[datetime] = mapped_column(doc="UTC")


class BenchmarkRun(Base):
    """One run of a suite: what was asked for, on which data, in which environment."""

    __tablename__ = "benchmark_runs"
    __table_args__ = (Index(None, "started_at"),)

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    suite: Mapped[str] = mapped_column(String(32), doc="tsdb")
    environment: Mapped[str] = mapped_column(
        String(64), ForeignKey("benchmark_environments.environment"), doc="where it ran"
    )
    started_at: Mapped[datetime] = mapped_column(doc="UTC")
    finished_at: Mapped[datetime | None] = mapped_column(doc="UTC; null where it was stopped, or an engine failed")
    scale: Mapped[float] = mapped_column(Float, doc="1 is the paper's 20 M trades and 33 M book rows")
    seed: Mapped[int] = mapped_column(doc="of the order, the parameters and the data")
    minutes: Mapped[float] = mapped_column(Float, doc="budget")
    asked: Mapped[dict[str, list[str]]] = mapped_column(JSON, doc="engines, lanes, workloads")
    engines: Mapped[dict[str, Any]] = mapped_column(
        JSON, doc="by engine and lane: version, edition, settings, DDL and its hash, or why it was not measured"
    )
    data_hash: Mapped[str] = mapped_column(String(64), doc="of the data's manifest")
    overhead_share: Mapped[float | None] = mapped_column(
        Float, doc="median of the harness's own time per sample over the engine's, of samples of 50 ms and more"
    )


class BenchmarkResult(Base):
    """The answer to one question by one engine in one lane: whether it was right, and what it cost."""

    __tablename__ = "benchmark_results"
    __table_args__ = (Index(None, "engine", "lane", "workload", "scale"),)

    run_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("benchmark_runs.run_id", ondelete="CASCADE"), primary_key=True
    )
    engine: Mapped[str] = mapped_column(String(32), primary_key=True, doc="as on the command line")
    lane: Mapped[str] = mapped_column(String(16), primary_key=True, doc="paper or idiomatic")
    workload: Mapped[str] = mapped_column(String(16), primary_key=True, doc="R1, W1, S1, ...")
    scale: Mapped[float] = mapped_column(Float, primary_key=True, doc="as of the run")
    status: Mapped[str] = mapped_column(String(16), doc=", ".join(STATUSES))
    reason: Mapped[str] = mapped_column(Text, doc="why it is not verified; empty where it is")
    median_seconds: Mapped[float | None] = mapped_column(
        Float, doc="median wall time, s, of undisturbed samples where there are five; null without a right answer"
    )
    low_seconds: Mapped[float | None] = mapped_column(
        Float, doc="lower end of its 95 % interval, s; null below five undisturbed samples"
    )
    high_seconds: Mapped[float | None] = mapped_column(Float, doc="upper end of it, s")
    cpu_seconds: Mapped[float | None] = mapped_column(Float, doc="median CPU time of client and engine, s")
    rows: Mapped[int | None] = mapped_column(doc="rows of the answer, or rows written")
    bytes: Mapped[int | None] = mapped_column(doc="Arrow bytes of the answer, or bytes on disk")
    repetitions: Mapped[int] = mapped_column(doc="samples behind the median")
    foreign_share: Mapped[float | None] = mapped_column(
        Float, doc="share of the samples that were taken while other processes used the machine"
    )
    text_hash: Mapped[str] = mapped_column(String(64), doc="of the query's text, parameters filled in")
    measures: Mapped[dict[str, float]] = mapped_column(JSON, doc="more figures of the workload, by name and unit")


SAMPLES: Final = SeriesTable(
    name="benchmark_samples",
    doc="Every timed execution of the benchmark suites whose answer was right.",
    columns=(
        Column("ts", TIMESTAMP, "when it ended", "UTC", codec="Delta, ZSTD"),
        Column("run_id", pa.string(), "run, as in benchmark_runs", repeated=True),
        Column("environment", pa.string(), "where, as in benchmark_environments", repeated=True),
        Column("engine", pa.string(), "engine", repeated=True),
        Column("lane", pa.string(), "paper or idiomatic", repeated=True),
        Column("workload", pa.string(), "workload", repeated=True),
        Column("scale", pa.float64(), "scale factor of the data"),
        Column("kind", pa.string(), "cold, warm or load", repeated=True),
        Column("sample", pa.int32(), "number of the sample in its run, engine, lane, workload and kind"),
        Column("seconds", pa.float64(), "wall time of the engine", "s"),
        Column("cpu_seconds", pa.float64(), "CPU time of client and engine", "s"),
        Column("harness_seconds", pa.float64(), "wall time around it that is not the engine's", "s"),
        Column("foreign_share", pa.float64(), "share of the machine's CPU time that other processes used", "share"),
        Column("disturbed", pa.bool_(), "taken under foreign load"),
        Column("rows", pa.int64(), "rows of the answer, or rows written"),
        Column("bytes", pa.int64(), "Arrow bytes of the answer, or sent", "B"),
    ),
    sort_key=("engine", "lane", "workload", "ts"),
    partition_by=("run_id",),
    unique_key=("run_id", "engine", "lane", "workload", "kind", "sample"),
)
