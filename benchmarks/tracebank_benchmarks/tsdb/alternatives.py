"""Texts and layouts that were tried beside the kept ones: found, checked against the oracle, and timed in turns.

They stand in `queries/tried/<family>.<suffix>`, each under a heading with its title, `-- R17: running sums`. Lines
`-- with: STATEMENT` below it are a layout, made before and unmade after by `-- without: STATEMENT`; where no text
follows, the kept one is asked on that layout.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Final, Protocol, runtime_checkable

import psutil
import pyarrow as pa

from tracebank.stores.faults import StoreError
from tracebank_benchmarks.tsdb.comparison import compare
from tracebank_benchmarks.tsdb.data import asked_parameters
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engine import Prepared, Session
from tracebank_benchmarks.tsdb.engines import engine
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane, Parameters, Workload
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES, TRADES

KEPT: Final = "kept"
_HEADING: Final = re.compile(r"^-- (R\d+): (.+)$\n", re.MULTILINE)
_LAYOUT: Final = re.compile(r"^-- (with|without): (.+)$\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One of the texts of a read."""

    workload: str
    title: str
    text: str = ""
    """The kept one where it is empty."""
    made: tuple[str, ...] = ()
    unmade: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """What became of an attempt."""

    attempt: Attempt
    milliseconds: float
    """Median wall time."""
    cpu: float
    """Median CPU time of the engine, ms: what other load disturbs least."""
    fault: str
    """How its answer differs from the right one; empty where it is right."""


@runtime_checkable
class Tryable(Session, Protocol):
    """A session whose engine is asked by texts, and whose tables can be laid out otherwise."""

    family: str
    """Whose texts it is asked by."""

    def filled(self, workload: Workload, text: str, parameters: Parameters) -> Prepared:
        """A text of a workload's, in place of the kept one."""

    def command(self, statement: str) -> None:
        """Run a statement that has no answer."""


@cache
def attempts(family: str) -> tuple[Attempt, ...]:
    """What was tried for an engine family's texts; empty where nothing was."""
    for entry in files(f"{__package__}.queries").joinpath("tried").iterdir():
        if entry.name.rpartition(".")[0] == family:
            parts = _HEADING.split(entry.read_text(encoding="utf-8"))[1:]
            return tuple(_attempt(*found) for found in zip(parts[::3], parts[1::3], parts[2::3], strict=True))
    return ()


def _attempt(workload: str, title: str, body: str) -> Attempt:
    layout = _LAYOUT.findall(body)
    made, unmade = (tuple(text for kind, text in layout if kind == wanted) for wanted in ("with", "without"))
    return Attempt(workload, title, _LAYOUT.sub("", body).strip(), made, unmade)


def timings(name: str, data: DataSet, folder: Path, lane: Lane, only: Sequence[str], repeats: int) -> Iterator[Timing]:
    """Load an engine, and time what was tried for each read that has anything, beside what is kept.

    Args:
        name: the engine.
        data: what to load and to ask of.
        folder: for an embedded engine's files.
        lane: how the engine is set up.
        only: ids of reads; all where none is named.
        repeats: times that each text is asked, in turns.

    Raises:
        StoreError: the engine is not there, or has no texts to try.
    """
    found = engine(name)
    state = found.state()
    if not state.available:
        raise StoreError(f"engine {name}: {state.reason}")
    trades, book = data.frame(TRADES), data.frame(BOOK)
    with found.session(lane, folder) as session:
        if not isinstance(session, Tryable):
            raise StoreError(f"engine {name}: it is asked by code or by several texts, of which none are tried")
        for table in TABLES:
            session.load(table, data.frames(table))
        for read in READS:
            tried = [one for one in attempts(session.family) if one.workload == read.id]
            if tried and (not only or read.id in only):
                parameters = asked_parameters(read, trades, book, 0)
                right = answer(read, parameters, trades, book)
                yield from _of_read(session, read, parameters, right, tried, repeats)


def _of_read(
    session: Tryable, read: Workload, parameters: Parameters, right: pa.Table, tried: list[Attempt], repeats: int
) -> Iterator[Timing]:
    plain = [Attempt(read.id, KEPT), *(one for one in tried if not one.made)]
    yield from _race(session, parameters, right, plain, repeats)
    for one in (one for one in tried if one.made):
        for statement in one.made:
            session.command(statement)
        try:
            yield from _race(session, parameters, right, [one], repeats)
        finally:
            for statement in one.unmade:
                session.command(statement)


def _race(
    session: Tryable, parameters: Parameters, right: pa.Table, tried: list[Attempt], repeats: int
) -> Iterator[Timing]:
    """Ask texts in turns, so that what else the machine does disturbs all of them alike."""
    servers: list[int] = getattr(session, "processes", list)()
    walls: dict[Attempt, list[float]] = {one: [] for one in tried}
    cpus: dict[Attempt, list[float]] = {one: [] for one in tried}
    faults = dict.fromkeys(tried, "")
    for turn in range(repeats + 1):
        for one in [one for one in tried if not faults[one]]:
            read = BY_ID[one.workload]
            before, start = _cpu_seconds(servers), time.perf_counter()
            try:
                prepared = session.filled(read, one.text, parameters) if one.text else session.prepare(read, parameters)
                found = session.execute(prepared)
            except StoreError as error:
                faults[one] = str(error)
                continue
            wall = time.perf_counter() - start
            cpu = _cpu_seconds(servers) - before
            if turn:  # the first one warms up, and is held against the right answer
                walls[one].append(wall * 1000)
                cpus[one].append(cpu * 1000)
            else:
                faults[one] = "; ".join(compare(read, right, found)[:1])
    for one in tried:
        yield Timing(one, median(walls[one] or [0.0]), median(cpus[one] or [0.0]), faults[one])


def _cpu_seconds(pids: Sequence[int]) -> float:
    """Of this process, in which an engine may be, and of the engine's own with their children, ended ones too."""
    total = time.process_time()
    for pid in pids:
        with suppress(psutil.Error):
            first = psutil.Process(pid)
            for process in (first, *first.children(recursive=True)):
                with suppress(psutil.Error):
                    total += sum(process.cpu_times()[: 2 if process.pid != pid else 4])
    return total
