"""The right answers: every read of the suite in Polars, to the letter of `workloads`.

Plans are lazy, so that the Polars engine asks the same of Parquet files. Each module holds the reads of one subject and
a `PLANS` of them; nothing loops over rows.
"""

from __future__ import annotations

from typing import Final

import polars as pl
import pyarrow as pa

from tracebank_benchmarks.tsdb.comparison import answer_schema
from tracebank_benchmarks.tsdb.oracle import as_of, book, multiples, returns, trades
from tracebank_benchmarks.tsdb.oracle.frames import Plan
from tracebank_benchmarks.tsdb.workloads import Parameters, Workload

PLANS: Final[dict[str, Plan]] = {**trades.PLANS, **book.PLANS, **as_of.PLANS, **returns.PLANS, **multiples.PLANS}
"""Plan of every read, by id."""


def plan(workload: Workload, parameters: Parameters, trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    """Return the lazy plan of an answer, in the workload's output columns."""
    names = answer_schema(workload).names
    return PLANS[workload.id](parameters, trades, book).select(names)


def as_answer(workload: Workload, rows: pl.DataFrame) -> pa.Table:
    """Return collected rows as an answer in the declared types."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(answer_schema(workload))


def answer(workload: Workload, parameters: Parameters, trades: pl.DataFrame, book: pl.DataFrame) -> pa.Table:
    """Return the right answer of a workload.

    Args:
        workload: The question.
        parameters: Its parameters, by name.
        trades: All rows of `bench_trades`, in any order.
        book: All rows of `bench_book`, in any order.
    """
    return as_answer(workload, plan(workload, parameters, trades.lazy(), book.lazy()).collect())
