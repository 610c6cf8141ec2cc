"""Right answers of a run, worked out before anything is timed, in a process that gives its memory back afterwards."""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import polars as pl
import pyarrow as pa

from tracebank_benchmarks.tsdb.asked import asked_parameters, rows_asked
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.oracle.frames import TIME
from tracebank_benchmarks.tsdb.rewrites import AGAIN, AGAIN_READ, AGAIN_ROWS, OVERWRITTEN, rewritten, sent_again
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
    rows: int = 0
    """That the question is about."""
    """Why there is no right answer; nothing can be verified then."""


def references(data: DataSet, workloads: Sequence[str], seed: int, seconds: float = math.inf) -> dict[str, Reference]:
    """Parameters and right answers of reads, kept beside the data; those that stand there already are taken.

    Args:
        data: of the run.
        workloads: names of reads.
        seed: of the parameters.
        seconds: how long it may take; what was not worked out by then is left out.

    Raises:
        RuntimeError: the process that works them out has died, for want of memory as a rule.
    """
    folder = _folder(data, seed)
    folder.mkdir(parents=True, exist_ok=True)
    if missing := missing_answers(data, workloads, seed):
        work = multiprocessing.get_context("spawn").Process(target=_work_out, args=(data, missing, seed, folder))
        work.start()
        try:
            work.join(min(seconds, threading.TIMEOUT_MAX))
            if work.exitcode not in (None, 0):
                raise RuntimeError(f"the process that works out right answers ended with exit code {work.exitcode}")
        finally:
            work.kill()
            work.join()
    # These pickles were written by the line above, or by an earlier run of the same code on the same data.
    there = [workload for workload in workloads if _kept(folder, workload).exists()]
    found = {workload: pickle.loads(_kept(folder, workload).read_bytes()) for workload in there}
    # The data may have been moved since.
    return {
        name: replace(one, path=str(folder / Path(one.path).name)) if one.path else one for name, one in found.items()
    }


def missing_answers(data: DataSet, workloads: Sequence[str], seed: int) -> list[str]:
    """Reads whose right answers were not worked out yet."""
    folder = _folder(data, seed)
    return [workload for workload in workloads if not _kept(folder, workload).exists()]


def _folder(data: DataSet, seed: int) -> Path:
    return data.folder / f"answers-{seed}-{_version()}"


@cache
def _version() -> str:
    """Of the code that asks and answers: what another version worked out is not taken."""
    digest = hashlib.sha256(f"{pl.__version__} {np.__version__}".encode())
    here = Path(__file__).parent
    names = ("answers.py", "asked.py", "rewrites.py", "workloads.py")
    for path in (*(here / name for name in names), *sorted((here / "oracle").glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _kept(folder: Path, workload: str) -> Path:
    return folder / f"{workload}.parameters"


def _work_out(data: DataSet, names: Sequence[str], seed: int, folder: Path) -> None:
    trades, book = data.frame(TRADES), data.frame(BOOK)
    for name in names:
        path = folder / f"{name}.arrow"
        try:
            parameters, right, rows = _right(name, trades, book, seed)
        except Exception as error:
            found = Reference({}, "", f"no reference answer: {one_line(error)}")
        else:
            staged = folder / f".{path.name}.{os.getpid()}"
            with pa.ipc.new_file(str(staged), right.schema) as writer:
                writer.write_table(right)
            staged.replace(path)
            found = Reference(dict(parameters), str(path), rows=rows)
        # Written last and at once: what is there is whole, even if two runs work the same out beside each other.
        staged = folder / f".{name}.{os.getpid()}"
        staged.write_bytes(pickle.dumps(found))
        staged.replace(_kept(folder, name))


def _right(name: str, trades: pl.DataFrame, book: pl.DataFrame, seed: int) -> tuple[Parameters, pa.Table, int]:
    """Parameters, the right answer, and rows that the question is about; of `AGAIN_ROWS` the rows themselves."""
    from tracebank_benchmarks.tsdb.oracle import answer

    workload = BY_ID[AGAIN_READ if name in AGAIN else name.removeprefix(LOAD_CHECK)]
    if name.startswith(LOAD_CHECK):
        parameters = _whole(workload, trades)
    else:
        parameters = asked_parameters(workload, trades, book, seed)
    rows = rows_asked(workload, parameters, trades, book)
    if name in AGAIN:
        inside = pl.col("ts").is_between(
            pl.lit(parameters["start"], TIME), pl.lit(parameters["end"], TIME), closed="left"
        )
        again = sent_again(
            trades, inside & pl.col("symbol").is_in(cast("tuple[str, ...]", parameters["symbols"])), seed
        )
        if name == AGAIN_ROWS:
            return {}, again.to_arrow(compat_level=pl.CompatLevel.oldest()), again.height
        trades = rewritten(trades, again, overwritten=name == OVERWRITTEN)
    return parameters, answer(workload, parameters, trades, book), rows


def _whole(workload: Workload, trades: pl.DataFrame) -> Parameters:
    """Parameters under which a read touches every row."""
    first, last = cast("Any", trades["ts"].min()), cast("Any", trades["ts"].max())
    known: dict[str, Value] = {"start": first - timedelta(days=1), "end": last + timedelta(days=1), "qty": -1.0}
    return {name: known[name] for name in workload.parameters}
