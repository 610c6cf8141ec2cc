"""Clients that write batches at an offered rate, and what came of it. Late batches are written late, never left out."""

from __future__ import annotations

import itertools
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracebank_benchmarks.tsdb.concurrency.clients import ERROR_PAUSE, MOST_EXAMPLES, sleep_until
from tracebank_benchmarks.tsdb.concurrency.loads import IngestLoad, Interval, Part
from tracebank_benchmarks.tsdb.concurrency.rows import TradeSource, read_back
from tracebank_benchmarks.tsdb.concurrency.visibility import Watcher
from tracebank_benchmarks.tsdb.engine import Session, UnsupportedError
from tracebank_benchmarks.tsdb.statistics import percentiles
from tracebank_schemas.tsdb_benchmark import TRADES

_LEAST_INTERVALS: Final = 5


@dataclass
class Batches:
    """What writers did: one entry a batch in each column; times by `time.perf_counter`."""

    number: array[int] = field(default_factory=lambda: array("q"))
    intended: array[float] = field(default_factory=lambda: array("d"))
    started: array[float] = field(default_factory=lambda: array("d"))
    acknowledged: array[float] = field(default_factory=lambda: array("d"))
    made_seconds: float = 0.0
    """Spent on making rows, which is not the engine's."""
    failed: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, other: Batches) -> None:
        """Append another writer's."""
        for name in ("number", "intended", "started", "acknowledged"):
            getattr(self, name).extend(getattr(other, name))
        self.made_seconds += other.made_seconds
        self.failed += other.failed
        self.errors += other.errors


class Writer:
    """Writes whatever batch is next, when it is due."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self.batches = Batches()
        self.first = -1
        """The batch that was written before the clock started."""

    def get_ready(self, connection: Session) -> None:
        """Write one batch, so that the connection is there, and an engine that takes none says so."""
        load = self._ingest.load
        self.first = next(self._ingest.numbers)
        connection.append(TRADES, self._ingest.source.batch(self.first * load.batch, load.batch))

    def run(self, connection: Session, start: float) -> None:
        """Write until the time is over."""
        ingest, end = self._ingest, start + self._ingest.load.seconds
        try:
            while (now := time.perf_counter()) < end:
                number = next(ingest.numbers)
                rows = ingest.source.batch(number * ingest.load.batch, ingest.load.batch)
                self.batches.made_seconds += time.perf_counter() - now
                due = ingest.due(number, start)
                if due is not None and due >= end:
                    return
                started = sleep_until(due if due is not None else 0.0)
                self._write(connection, number, rows, started if due is None else due, started)
        finally:
            ingest.leave()

    def _write(self, connection: Session, number: int, rows: pa.Table, intended: float, started: float) -> None:
        ingest, batches = self._ingest, self.batches
        ingest.newest = (number, started)
        try:
            connection.append(TRADES, rows)
        except Exception as error:
            batches.failed += 1
            ingest.refused.add(number)
            if len(batches.errors) < MOST_EXAMPLES:
                batches.errors.append(ingest.said(error))
            time.sleep(ERROR_PAUSE)
            return
        batches.acknowledged.append(time.perf_counter())
        batches.number.append(number)
        batches.intended.append(intended)
        batches.started.append(started)


class Ingest:
    """The clients of an ingest load, and what they share: what is written next, and when it is due."""

    def __init__(self, load: IngestLoad, source: TradeSource, said: Callable[[BaseException], str]) -> None:
        self.load = load
        self.source = source
        self.said = said
        self.numbers = itertools.count()
        self.newest: tuple[int, float] | None = None
        """Batch that was last begun to be sent, and when."""
        self.refused: set[int] = set()
        self.ended = threading.Event()
        self.writers = [Writer(self) for _ in range(load.writers)]
        self.watcher = Watcher(self) if load.watched else None
        self._writing = load.writers
        self._guard = threading.Lock()

    @property
    def clients(self) -> list[Writer | Watcher]:
        """All of them."""
        return [*self.writers, *([self.watcher] if self.watcher else [])]

    def due(self, number: int, start: float) -> float | None:
        """When a batch is due; None where each is as soon as the one before it is acknowledged."""
        if self.load.rate is None:
            return None
        return start + (number - self.load.writers) * self.load.batch / self.load.rate

    def leave(self) -> None:
        """One writer fewer; with the last one the watcher's work ends."""
        with self._guard:
            self._writing -= 1
            if not self._writing:
                self.ended.set()

    def part(self, session: Session, start: float) -> Part:
        """Read everything back, and give the figures of a load that has ended."""
        done = Batches()
        for writer in self.writers:
            done.add(writer.batches)
        part = Part(self._figures(done, start), errors=done.errors[:MOST_EXAMPLES])
        part.curve = curve(self.load, np.asarray(done.acknowledged) - start)
        part.values["backlog_rows"] = float(part.curve[-1].backlog)
        part.values["backlog_max_rows"] = float(max(one.backlog for one in part.curve))
        if self.watcher is not None:
            looked_for = {number for number, _, _ in self.watcher.seen}
            times = zip(done.number, done.acknowledged, strict=True)
            self.watcher.tell(part, {number: at for number, at in times if number in looked_for})
        self._check(session, part, [*(one.first for one in self.writers), *done.number])
        return part

    def _figures(self, done: Batches, start: float) -> dict[str, float]:
        intended, started, acknowledged = map(np.asarray, (done.intended, done.started, done.acknowledged))
        tried = acknowledged.size + done.failed
        values = {"batches": float(tried), "error_ratio": done.failed / tried if tried else 0.0}
        if self.load.rate is not None:
            values["offered_rows_per_second"] = self.load.rate
        if acknowledged.size:
            rows = acknowledged.size * self.load.batch
            # A batch stands for the time until the next one is due, be that after the end.
            offered = rows / self.load.rate if self.load.rate is not None else 0.0
            values["rows_per_second"] = rows / max(float(acknowledged.max()) - start, self.load.seconds, offered)
            values |= {f"ack_{name}": value for name, value in percentiles(acknowledged - intended).items()}
            values |= {f"service_{name}": value for name, value in percentiles(acknowledged - started).items()}
            values["harness_seconds"] = done.made_seconds / tried
        return values

    def _check(self, session: Session, part: Part, acknowledged: list[int]) -> None:
        begun = max(*acknowledged, *self.refused, self.load.writers - 1) + 1
        try:
            found = read_back(session, self.source, self.load.batch, acknowledged, begun)
        except UnsupportedError as error:
            part.unchecked = f"rows could not be read back: {error}"
            return
        part.values |= {"rows": float(found.rows), "lost_rows": float(found.lost)}
        part.faults += found.faults()


def curve(load: IngestLoad, acknowledged: NDArray[np.float64]) -> list[Interval]:
    """Rows acknowledged in each second (each fifth of the time, where that is shorter), and what was behind by then.

    Args:
        load: what was offered.
        acknowledged: when batches were, seconds after the start.
    """
    step = min(1.0, load.seconds / _LEAST_INTERVALS)
    ends = np.arange(1, max(_LEAST_INTERVALS, round(load.seconds / step)) + 1) * step
    by = np.searchsorted(np.sort(acknowledged), ends, side="right")
    due = np.zeros(ends.size) if load.rate is None else np.floor(ends * load.rate / load.batch - 1e-9) + 1
    in_each = np.diff(by, prepend=0)
    return [
        Interval(step, int(batches) * load.batch, max(0, int(behind)) * load.batch)
        for batches, behind in zip(in_each, due - by, strict=True)
    ]
