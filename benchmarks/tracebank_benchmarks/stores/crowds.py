"""Processes beside one another on one home: some ask, some write, each a fixed number of times."""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Final

from tracebank_benchmarks.stores import made_rows

ROWS: Final = 1_000
"""Of one write."""
_LATE: Final = 10.0
"""Seconds after the deadline in which processes may still tell what they did."""


@dataclass(slots=True)
class Told:
    """What one process did."""

    kind: str
    seconds: list[float] = field(default_factory=list)
    """Of each that was done."""
    faults: int = 0
    first_fault: str = ""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What all of them did."""

    told: Sequence[Told]
    seconds: float

    def of(self, kind: str) -> list[float]:
        """Seconds of every query or write that was done."""
        return [one for told in self.told if told.kind == kind for one in told.seconds]

    @property
    def faults(self) -> int:
        """All of them."""
        return sum(told.faults for told in self.told)

    @property
    def first_fault(self) -> str:
        """One of them."""
        return next((told.first_fault for told in self.told if told.first_fault), "")


def run(home: Path, query: str, *, readers: int, queries: int, writers: int, writes: int, seconds: float) -> Crowd:
    """Run readers and writers at once.

    Args:
        home: with a table `probe`.
        query: that readers ask.
        readers: processes that ask.
        queries: that each of them asks.
        writers: processes that replace partitions of their own.
        writes: of each of them.
        seconds: after which nothing new is begun; who does not tell soon after is ended.
    """
    context = multiprocessing.get_context("spawn")
    answers: Queue[Told] = context.Queue()
    deadline = time.time() + seconds
    processes = [
        *(_process(context, read, home, query, queries, deadline, answers) for _ in range(readers)),
        *(_process(context, write, home, number, writes, deadline, answers) for number in range(writers)),
    ]
    start = time.perf_counter()
    for process in processes:
        process.start()
    told: list[Told] = []
    while len(told) < len(processes):
        try:
            told.append(answers.get(timeout=max(0.1, deadline + _LATE - time.time())))
        except queue.Empty:
            break
    spent = time.perf_counter() - start
    for process in processes:
        process.kill()
        process.join()
    return Crowd(told, spent)


def _process(context: SpawnContext, body: Callable[..., None], *arguments: object) -> SpawnProcess:
    return context.Process(target=body, args=arguments, daemon=True)


def read(home: Path, text: str, queries: int, deadline: float, answers: Queue[Told]) -> None:
    """Body of a reader."""
    import tracebank
    from tracebank.settings import Settings

    connection, told = tracebank.connect(Settings.load(home=home)), Told("query")
    _again(queries, deadline, told, lambda _number: connection.sql(text))
    answers.put(told)


def write(home: Path, writer: int, writes: int, deadline: float, answers: Queue[Told]) -> None:
    """Body of a writer: each write replaces a partition of its own."""
    from tracebank.settings import Settings
    from tracebank.stores.opening import open_series

    store, table, told = open_series(Settings.load(home=home)), made_rows.table("probe"), Told("write")

    def replace(number: int) -> object:
        where, frame = made_rows.small(ROWS, number, f"writer-{writer}-{number}")
        return store.replace(table, where, frame)

    _again(writes, deadline, told, replace)
    answers.put(told)


def _again(times: int, deadline: float, told: Told, work: Callable[[int], object]) -> None:
    for number in range(times):
        if time.time() > deadline:
            return
        start = time.perf_counter()
        try:
            work(number)
        except Exception as error:  # whatever a store raises here is what is counted
            told.faults += 1
            told.first_fault = told.first_fault or f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
        else:
            told.seconds.append(time.perf_counter() - start)
