"""Clients that ask: closed loop, and open loop with latencies from the intended start. Every answer is judged."""

from __future__ import annotations

import hashlib
import itertools
import random
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracebank_benchmarks.tsdb.comparison import compare
from tracebank_benchmarks.tsdb.concurrency.clients import ERROR_PAUSE, MOST_EXAMPLES, Client, run_clients, sleep_until
from tracebank_benchmarks.tsdb.concurrency.loads import Part, QueryLoad
from tracebank_benchmarks.tsdb.engine import Prepared, Session
from tracebank_benchmarks.tsdb.statistics import percentiles

PATIENCE: Final = 3.0
"""Times the length of an open loop after which requests that nobody has come to are given up; they count with the time
that they have waited until then."""
_MOST_KNOWN: Final = 4
_LIMIT_SECONDS: Final = 0.2

Said = Callable[[BaseException], str]
"""An error in one line."""


@dataclass(slots=True)
class CheckedRead:
    """A prepared read with its right answer."""

    prepared: Prepared
    expected: pa.Table
    known: list[pa.Table] = field(default_factory=list)
    """Answers that were compared and found right: one that equals them is right, too."""

    def faults(self, answer: pa.Table) -> list[str]:
        """How an answer differs from the right one."""
        if any(answer.equals(one) for one in self.known):
            return []
        found = compare(self.prepared.workload, self.expected, answer)
        if not found and len(self.known) < _MOST_KNOWN:
            self.known.append(answer)
        return found


def permutations(reads: Sequence[str], seed: int, client: int) -> Iterator[str]:
    """Reads without end, one seeded permutation after the other; every client has its own."""
    for turn in itertools.count():
        order = list(reads)
        digest = hashlib.sha256(f"{seed}/{client}/{turn}".encode()).digest()
        random.Random(int.from_bytes(digest[:8], "big")).shuffle(order)
        yield from order


@dataclass
class Log:
    """What one client, or several, did: one entry a request in each column; times by `time.perf_counter`."""

    intended: array[float] = field(default_factory=lambda: array("d"))
    started: array[float] = field(default_factory=lambda: array("d"))
    ended: array[float] = field(default_factory=lambda: array("d"))
    judged: array[float] = field(default_factory=lambda: array("d"))
    """When the answer had been compared, and the client was free again."""
    idle: array[int] = field(default_factory=lambda: array("b"))
    """Whether the client was there at the intended time."""
    wrong: list[str] = field(default_factory=list)
    failed: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, other: Log) -> None:
        """Append another client's."""
        for name in ("intended", "started", "ended", "judged", "idle"):
            getattr(self, name).extend(getattr(other, name))
        self.wrong += other.wrong
        self.failed += other.failed
        self.errors += other.errors


class _Asking:
    def __init__(self, load: QueryLoad, reads: Mapping[str, CheckedRead], number: int, said: Said) -> None:
        self.load = load
        self.log = Log()
        self._reads = reads
        self._order = permutations(load.reads, load.seed, number)
        self._said = said

    def get_ready(self, connection: Session) -> None:
        """One execution, so that the connection is there; its answer is judged like every other."""
        self._judge(*self._asked(connection, next(self._order)))

    @staticmethod
    def _stamp() -> float:
        return time.perf_counter()

    def ask(self, connection: Session, name: str, intended: float, idle: bool) -> None:
        """One request."""
        started = self._stamp()
        try:
            read, answer = self._asked(connection, name)
        except Exception as error:
            self._failed(error)
            return
        ended = self._stamp()
        self._judge(read, answer)
        log = self.log
        log.intended.append(intended)
        log.started.append(started)
        log.ended.append(ended)
        log.judged.append(self._stamp())
        log.idle.append(idle)

    def _asked(self, connection: Session, name: str) -> tuple[CheckedRead, pa.Table]:
        read = self._reads[name]
        return read, connection.execute(read.prepared)

    def _judge(self, read: CheckedRead, answer: pa.Table) -> None:
        if (faults := read.faults(answer)) and len(self.log.wrong) < MOST_EXAMPLES:
            self.log.wrong.append(f"{read.prepared.workload.id}: {'; '.join(faults[:2])}")

    def _failed(self, error: Exception) -> None:
        self.log.failed += 1
        if len(self.log.errors) < MOST_EXAMPLES:
            self.log.errors.append(self._said(error))
        time.sleep(ERROR_PAUSE)


class ClosedLoop(_Asking):
    """Asks again as soon as it is answered, once at least."""

    def run(self, connection: Session, start: float) -> None:
        """Ask until the time is over."""
        for name in self._order:
            now = self._stamp()
            self.ask(connection, name, now, True)
            if self._stamp() >= start + self.load.seconds:
                return


class Arrivals:
    """Requests of a Poisson process, handed out in the order of their times to whoever is free."""

    def __init__(self, load: QueryLoad) -> None:
        assert load.rate is not None
        rng = np.random.default_rng([load.seed, load.connections])
        number = max(1, round(load.rate * load.seconds))
        gaps = rng.exponential(1 / load.rate, number)
        self.offsets: NDArray[np.float64] = np.cumsum(gaps) - gaps[0]
        self._reads = permutations(load.reads, load.seed, -1)
        self.names = [next(self._reads) for _ in range(number)]
        self._numbers = itertools.count()
        self.given_up: list[int] = []

    def take(self) -> int | None:
        """Number of the next request; None when there are no more."""
        number = next(self._numbers)
        return number if number < len(self.names) else None


class OpenLoop(_Asking):
    """Takes what has arrived, or waits for what comes next."""

    def __init__(
        self, load: QueryLoad, reads: Mapping[str, CheckedRead], number: int, said: Said, arrivals: Arrivals
    ) -> None:
        super().__init__(load, reads, number, said)
        self._arrivals = arrivals

    def run(self, connection: Session, start: float) -> None:
        """Ask until nothing more arrives."""
        give_up = start + PATIENCE * self.load.seconds
        while (number := self._arrivals.take()) is not None:
            intended = start + float(self._arrivals.offsets[number])
            now = self._stamp()
            if now >= give_up:
                self._arrivals.given_up.append(number)
                continue
            idle = now <= intended
            sleep_until(intended)
            self.ask(connection, self._arrivals.names[number], intended, idle)


class Asking:
    """The clients of a query load, and what came of it."""

    def __init__(self, load: QueryLoad, reads: Mapping[str, CheckedRead], said: Said) -> None:
        self._load = load
        self._reads = reads
        self._arrivals = Arrivals(load) if load.rate is not None else None
        self.clients: list[ClosedLoop] | list[OpenLoop]
        if self._arrivals is None:
            self.clients = [ClosedLoop(load, reads, number, said) for number in range(load.connections)]
        else:
            self.clients = [OpenLoop(load, reads, n, said, self._arrivals) for n in range(load.connections)]

    def part(self, start: float) -> Part:
        """Figures of a load that has ended."""
        log = Log()
        for client in self.clients:
            log.add(client.log)
        given_up = self._given_up()
        part = Part(faults=log.wrong[:MOST_EXAMPLES], errors=log.errors[:MOST_EXAMPLES])
        part.values = self._figures(log, start, given_up)
        return part

    def _given_up(self) -> NDArray[np.float64]:
        """How long those had waited that nobody came to."""
        if self._arrivals is None:
            return np.empty(0)
        return PATIENCE * self._load.seconds - self._arrivals.offsets[np.asarray(self._arrivals.given_up, np.int64)]

    def _figures(self, log: Log, start: float, given_up: NDArray[np.float64]) -> dict[str, float]:
        intended, started, ended, judged = (
            np.frombuffer(column, np.float64) if len(column) else np.empty(0)
            for column in (log.intended, log.started, log.ended, log.judged)
        )
        answered, asked = ended.size, ended.size + log.failed + given_up.size
        values = {
            "requests": float(asked),
            "error_ratio": log.failed / asked if asked else 0.0,
            "unserved": float(given_up.size),
        }
        if not answered:
            return values
        values["qps"] = answered / max(float(ended.max()) - start, self._load.seconds)
        values |= percentiles(np.concatenate([ended - intended, given_up]))
        values |= {f"service_{name}": value for name, value in percentiles(ended - started).items()}
        values["harness_seconds"] = float(np.mean(judged - ended))
        waited = np.frombuffer(log.idle, np.int8).astype(bool)
        if self._arrivals is not None and waited.any():
            values["start_delay_p99"] = float(np.quantile((started - intended)[waited], 0.99))
        return values


class _Replay:
    """A session without an engine, that gives the right answer at once: what is left is the client itself."""

    def __init__(self, answers: Mapping[int, pa.Table]) -> None:
        self._answers = answers

    @contextmanager
    def connection(self) -> Iterator[_Replay]:
        yield self

    def execute(self, prepared: Prepared) -> pa.Table:
        answer = self._answers[id(prepared)]
        return pa.Table.from_arrays(answer.columns, schema=answer.schema)  # another object, as an engine's would be


def client_limit(load: QueryLoad, reads: Mapping[str, CheckedRead], said: Said) -> float:
    """Requests a second that as many clients of this process could ask and judge of an engine that takes no time."""
    answers = {id(read.prepared): (read.known or [read.expected])[0] for read in reads.values()}
    short = QueryLoad(load.reads, load.connections, _LIMIT_SECONDS, load.seed)
    clients: list[Client] = [ClosedLoop(short, reads, number, said) for number in range(load.connections)]
    start, end, _ = run_clients(_Replay(answers), clients)  # type: ignore[arg-type]
    return sum(len(client.log.ended) for client in clients if isinstance(client, ClosedLoop)) / (end - start)
