"""Reads on an engine that is set up and loaded, each held against the oracle."""

from __future__ import annotations

import polars as pl

from tracebank_benchmarks.tsdb.comparison import compare
from tracebank_benchmarks.tsdb.data import example_parameters
from tracebank_benchmarks.tsdb.engine import Session
from tracebank_benchmarks.tsdb.examples import Rows
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.workloads import Workload
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES


def with_nanoseconds(rows: Rows) -> Rows:
    """The rows with times between microseconds: trades on even nanoseconds, book rows on odd ones."""
    trades, book = rows
    return _shifted(trades, 2, 0), _shifted(book, 2, 1)


def _shifted(frame: pl.DataFrame, step: int, first: int) -> pl.DataFrame:
    """Rising with the rows, so that `seq` still rises with time."""
    stamps = pl.col("ts").cast(pl.Int64) + pl.int_range(pl.len()) * step + first
    return frame.with_columns(stamps.cast(pl.Datetime("ns", "UTC")).alias("ts"))


def load(session: Session, rows: Rows) -> None:
    """Load both tables, each in two pieces; the rows arrive and are counted."""
    for table, frame in zip((TRADES, BOOK), rows, strict=True):
        half = frame.height // 2
        phases = session.load(table, [frame[:half].to_arrow(), frame[half:].to_arrow()])
        assert min(phases.serialise, phases.send, phases.settle) >= 0
        size = session.size(table)
        assert size.rows == frame.height
        assert size.bytes > 0
        assert size.raw_bytes > 0


def faults(session: Session, workload: Workload, rows: Rows, seed: int) -> list[str]:
    """How the engine's answer to a question of this seed differs from the right one."""
    trades, book = rows
    parameters = example_parameters(workload, trades, book, seed)
    prepared = session.prepare(workload, parameters)
    assert not prepared.partial
    right = answer(workload, parameters, trades, book)
    return compare(workload, right, session.execute(prepared))


def faults_of_nothing(session: Session, workload: Workload, rows: Rows) -> list[str]:
    """As `faults`, asked of an empty window, of no symbols, moments or trades."""
    trades, book = rows
    parameters = example_parameters(workload, trades, book, 0)
    if "start" in parameters:
        parameters["end"] = parameters["start"]
    parameters |= {name: () for name in ("symbols", "moments", "seqs") if name in parameters}
    right = answer(workload, parameters, trades, book)
    return compare(workload, right, session.execute(session.prepare(workload, parameters)))
