"""Right answers of a run, worked out before anything is timed, in a process that gives its memory back afterwards."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import polars as pl
import pyarrow as pa

from tracebank_benchmarks.tsdb.datasets import Dataset
from tracebank_benchmarks.tsdb.worker import one_line
from tracebank_benchmarks.tsdb.workloads import BY_ID, Parameters, Value, Workload
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

LOAD_CHECK: Final = "load-"
"""Prefix of reads that are asked of all rows, to see that a load has brought every one of them."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A workload's parameters in a run, and where its right answer lies."""

    parameters: Parameters
    path: str
    fault: str = ""
    """Why there is no right answer; nothing can be verified then."""


def references(data: Dataset, workloads: Sequence[str], seed: int, folder: Path) -> dict[str, Reference]:
    """Parameters and right answers of reads; those that stand in the folder already are taken from it."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [workload for workload in workloads if not _kept(folder, workload).exists()]
    if missing:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(_work_out, data, missing, seed, folder).result()
    # The folder is the run's own: these pickles were written by the line above, or by the run that is continued.
    return {workload: pickle.loads(_kept(folder, workload).read_bytes()) for workload in workloads}


def _kept(folder: Path, workload: str) -> Path:
    return folder / f"{workload}.parameters"


def _work_out(data: Dataset, workloads: Sequence[str], seed: int, folder: Path) -> None:
    from tracebank_benchmarks.tsdb.data import example_parameters
    from tracebank_benchmarks.tsdb.oracle import answer

    trades, book = data.frame(TRADES), data.frame(BOOK)
    for name in workloads:
        workload, path = BY_ID[name.removeprefix(LOAD_CHECK)], folder / f"{name}.arrow"
        try:
            parameters = (
                _whole(workload, trades)
                if name.startswith(LOAD_CHECK)
                else example_parameters(workload, trades, book, seed)
            )
            right = answer(workload, parameters, trades, book)
        except Exception as error:
            found = Reference({}, "", f"no reference answer: {one_line(error)}")
        else:
            with pa.ipc.new_file(str(path), right.schema) as writer:
                writer.write_table(right)
            found = Reference(dict(parameters), str(path))
        _kept(folder, name).write_bytes(pickle.dumps(found))


def _whole(workload: Workload, trades: pl.DataFrame) -> Parameters:
    """Parameters under which a read touches every row."""
    first, last = cast("Any", trades["ts"].min()), cast("Any", trades["ts"].max())
    known: dict[str, Value] = {"start": first - timedelta(days=1), "end": last + timedelta(days=1), "qty": -1.0}
    return {name: known[name] for name in workload.parameters}
