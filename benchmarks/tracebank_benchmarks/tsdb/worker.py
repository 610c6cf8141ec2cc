"""One engine in a process of its own: what it crashes, leaks or hangs in is that process, with a CPU time of its own.

The harness's side is `Worker`; the child runs `serve`. Answers are compared in the child, so that no rows travel.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, cast

import psutil
import pyarrow as pa

from tracebank.stores.faults import StoreError
from tracebank_benchmarks.tsdb.caps import cap, started_with
from tracebank_benchmarks.tsdb.concurrency.loads import IngestLoad, Outcome, QueryLoad
from tracebank_benchmarks.tsdb.engine import Engine, FileForm, LoadsFiles, Prepared, Session, UnsupportedError
from tracebank_benchmarks.tsdb.usage import Usage
from tracebank_benchmarks.tsdb.workloads import BY_ID, Lane, Parameters
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES, TRADES, naive

_STOP_SECONDS: Final = 10.0
_START_SECONDS: Final = 60.0
"""An engine may take so long to be started and set up, however little time one execution has."""
_MOST_TEXT: Final = 300
_SHARE_HELD: Final = 4
"""Rows of a load are in memory before its clock starts up to this part of the memory that is left."""


class _Counted:
    """Frames on their way, and how many rows they were."""

    def __init__(self, frames: Iterable[pa.Table]) -> None:
        self._frames = iter(frames)
        self.rows = 0

    def __iter__(self) -> Iterator[pa.Table]:
        return self

    def __next__(self) -> pa.Table:
        frame = next(self._frames)
        self.rows += frame.num_rows
        return frame


def _held(frames: Iterator[pa.Table], most: int) -> Iterable[pa.Table]:
    """The frames, as many of them in memory already as `most` bytes allow."""
    kept, size = [], 0
    for frame in frames:
        kept.append(frame)
        size += frame.nbytes
        if size > most:
            return chain(kept, frames)
    return kept


class EngineFailed(Exception):
    """The engine raised an error; one line."""


class EngineAbsent(Exception):
    """The engine cannot be measured here; the message says what is missing."""


class EngineDied(Exception):
    """The engine's process ended by itself."""


class EngineTimeout(Exception):
    """The engine did not answer in time; its process was ended."""


class EngineOverran(EngineTimeout):
    """The engine itself gave up after too long; it can be asked again."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as the engine's process saw it."""

    seconds: float
    cpu_seconds: float
    """Of the engine's process; servers' CPU time is measured from outside."""
    rows: int
    bytes: int
    faults: list[str]
    """How the answer differs from the right one; empty where it is right."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One bulk load."""

    serialise: float
    send: float
    settle: float
    cpu_seconds: float
    rows: int
    """That were sent."""
    stored: int | None
    """That the engine says it holds; none where it cannot tell."""
    bytes: int
    """On disk; 0 where it cannot tell."""
    no_size: str
    """Why it cannot tell them."""
    server: float = 0.0


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Rows sent to where rows of their keys stand."""

    rows: int
    more: int | None
    """Rows that the table holds more than before; none where the engine cannot tell."""
    refused: str
    """What it said, where it refused them."""


@dataclass(slots=True)
class _Child:
    """State of the engine's process."""

    engine: Engine
    session: Session
    lane: Lane
    caps: dict[str, str]
    usage: Usage
    prepared: dict[str, Prepared] = field(default_factory=dict)
    expected: dict[str, pa.Table] = field(default_factory=dict)
    verified: dict[str, pa.Table] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """What the run's record says of the engine."""
        state = self.engine.state()
        ddl = self.session.ddl()
        settings = self.engine.settings()
        return {"version": state.version, "edition": state.edition, "settings": settings, "ddl": ddl, "caps": self.caps}

    def load(self, table_name: str, frames: Callable[[SeriesTable], Iterator[pa.Table]]) -> Loaded:
        """Load a table from frames that are in memory before the clock starts, or read on the way where they are too
        many; how long reading takes is not the engine's time, but then in its CPU time.
        """
        table = self._table(table_name)
        before = self.usage.size()
        blocks = _Counted(_held(frames(table), psutil.virtual_memory().available // _SHARE_HELD))
        self.usage.bring(before)
        cpu = time.process_time()
        with self.usage.counted():
            phases = self.session.load(table, blocks)
        cpu = time.process_time() - cpu
        self.usage.loaded()
        stored, size, why = self._size(table)
        return Loaded(phases.serialise, phases.send, phases.settle, cpu, blocks.rows, stored, size, why, phases.server)

    def text_form(self) -> FileForm:
        """The form of text files that the engine reads."""
        return self._files().text_form

    def accept(self, form: FileForm) -> None:
        """Raise UnsupportedError where the engine does not read files of a form."""
        if reason := self._files().refused_forms.get(form):
            raise UnsupportedError(reason)

    def load_files(self, table_name: str, paths: Sequence[Path], form: FileForm) -> Loaded:
        """Load a table from files."""
        table, session = self._table(table_name), self._files()
        cpu = time.process_time()
        phases = session.load_files(table, paths, form)
        cpu = time.process_time() - cpu
        stored, size, why = self._size(table)
        return Loaded(phases.serialise, phases.send, phases.settle, cpu, stored or 0, stored, size, why, phases.server)

    def _files(self) -> LoadsFiles:
        if not isinstance(self.session, LoadsFiles):
            raise UnsupportedError("the engine's adapter loads no files, only rows that the client has in memory")
        return self.session

    def _size(self, table: SeriesTable) -> tuple[int | None, int, str]:
        try:
            size = self.session.size(table)
        except UnsupportedError as error:
            return None, 0, one_line(error, kind=False)
        return size.rows, size.bytes, ""

    def rewrite(self, table_name: str, frames: Callable[[SeriesTable], Iterator[pa.Table]]) -> Rewritten:
        """Send rows of keys that stand, as a batch, or as a bulk load where the engine takes no batches."""
        table = next(table for table in TABLES if table.name == table_name)
        rows = pa.concat_tables(list(frames(table)))
        before, _, _ = self._size(self._table(table_name))
        try:
            try:
                self.session.append(table, rows)
            except UnsupportedError:
                self.session.load(self._table(table_name), [rows])
        except StoreError as error:
            return Rewritten(rows.num_rows, None, one_line(error, kind=False))
        after, _, _ = self._size(self._table(table_name))
        more = None if before is None or after is None else after - before
        return Rewritten(rows.num_rows, more, "")

    def _table(self, name: str) -> SeriesTable:
        declared = next(table for table in TABLES if table.name == name)
        return naive(declared) if self.lane is Lane.PAPER else declared

    def prepare(self, case: str, workload: str, parameters: Parameters, expected: str) -> tuple[str, str]:
        """Text of a query, and why it is partial."""
        prepared = self.session.prepare(BY_ID[workload], parameters)
        self.prepared[case] = prepared
        with pa.memory_map(expected) as source:
            self.expected[case] = pa.ipc.open_file(source).read_all()
        return prepared.text, prepared.partial

    def execute(self, case: str) -> Execution:
        """Run a prepared query once, timed, and judge its answer."""
        from tracebank_benchmarks.tsdb.comparison import compare

        prepared = self.prepared[case]
        gc.disable()
        with self.usage.counted():
            cpu, wall = time.process_time(), time.perf_counter()
            answer = self.session.execute(prepared)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        gc.enable()
        known = self.verified.get(case)
        # An answer that equals one already compared needs no second comparison: this is what most repetitions are.
        faults = [] if known is not None and answer.equals(known) else compare(
            prepared.workload, self.expected[case], answer
        )  # fmt: skip
        if not faults:
            self.verified[case] = answer
        return Execution(wall, cpu, answer.num_rows, answer.nbytes, faults)

    def gone(self) -> str:
        """Why the engine is not to be had any more; empty where it is."""
        state = self.engine.state()
        return "" if state.available else state.reason or "it does not answer"

    def cold(self) -> str:
        """Make the next execution a cold one."""
        return self.session.cold()

    def resources(self) -> dict[str, float]:
        """What the engine has used of the process."""
        return self.usage.told(sum(answer.nbytes for answer in self.verified.values()))

    def concurrent(self, queries: QueryLoad | None, ingest: IngestLoad | None,
                   frames: Callable[[SeriesTable], Iterator[pa.Table]]) -> Outcome:  # fmt: skip
        """Have several clients ask, write, or both at once."""
        from tracebank_benchmarks.tsdb.concurrency.measure import measure
        from tracebank_benchmarks.tsdb.concurrency.queries import CheckedRead

        names = queries.reads if queries is not None else ()
        reads = {name: CheckedRead(self.prepared[name], self.expected[name]) for name in names}
        return measure(
            self.session, one_line, queries=queries, reads=reads, ingest=ingest, models=frames(self._table(TRADES.name))
        )

    def servers(self) -> list[int]:
        """Processes that the engine names as its servers; empty where it names none."""
        named = getattr(self.session, "processes", None)
        return list(named()) if callable(named) else []


_COMMANDS: Final = (
    "describe", "load", "load_files", "text_form", "accept",
    "prepare", "execute", "rewrite", "gone", "cold", "resources", "concurrent", "servers",
)  # fmt: skip


def serve(connection: Connection, reference: str, lane: str, folder: str, threads: int, memory: float) -> None:
    """Body of the child: answer commands until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's to handle
    try:
        caps, usage = cap(threads, memory), Usage()
        engine = loaded_engine(reference)
        state = engine.state()
        if not state.available:
            connection.send(("absent", state.reason))
            return
        with engine.session(Lane(lane), Path(folder)) as session:
            child = _Child(engine, session, Lane(lane), caps, usage)
            connection.send(("ok", None))
            _answer(connection, child)
    except (EOFError, BrokenPipeError):
        return
    except ImportError as error:
        connection.send(("absent", f"cannot be imported: {one_line(error, kind=False)}"))
    except Exception as error:
        with suppress(OSError):
            connection.send(("error", one_line(error)))


def _answer(connection: Connection, child: _Child) -> None:
    while True:
        command, arguments = connection.recv()
        if command == "stop":
            return
        try:
            assert command in _COMMANDS, command
            connection.send(("ok", getattr(child, command)(*arguments)))
        except UnsupportedError as error:
            connection.send(("unsupported", one_line(error, kind=False)))
        except TimeoutError as error:
            connection.send(("overran", one_line(error, kind=False)))
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            connection.send(("error", one_line(error)))


def loaded_engine(reference: str) -> Engine:
    """An engine by module:class."""
    module, _, attribute = reference.partition(":")
    return cast("Engine", getattr(importlib.import_module(module), attribute)())


def one_line(error: BaseException, *, kind: bool = True) -> str:
    """An exception as one line of bearable length, without passwords."""
    from tracebank.settings import Settings

    text = Settings.load().redact(" ".join(str(error).split()))
    text = text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "…"
    return f"{type(error).__name__}: {text}" if kind else text


class Worker:
    """The harness's side of an engine's process: the engine, started and empty.

    Raises:
        EngineAbsent: it is not to be had here.
        EngineFailed, EngineDied, EngineTimeout: it could not be set up.
    """

    def __init__(
        self, reference: str, lane: Lane, folder: Path, *, timeout: float, threads: int = 0, memory: float = 0.0
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._connection, child = context.Pipe()
        arguments = (child, reference, lane.value, str(folder), threads, memory)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        with started_with(threads):
            self._process.start()
        child.close()
        try:
            self._receive(max(timeout, _START_SECONDS))
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the engine's process."""
        return int(self._process.pid or os.getpid())

    def call(self, command: str, *arguments: object, timeout: float) -> Any:
        """Have the child do something.

        Raises:
            UnsupportedError: the engine cannot express it.
            EngineFailed: it raised an error; it can be asked again.
            EngineDied: its process ended.
            EngineTimeout: it took longer than `timeout` seconds, and was ended.
        """
        try:
            self._connection.send((command, arguments))
        except OSError:
            raise EngineDied(self._end()) from None
        return self._receive(timeout)

    def _receive(self, timeout: float) -> Any:
        try:
            if not self._connection.poll(timeout):
                self._process.kill()
                raise EngineTimeout(f"no answer within {timeout:g} s")
            kind, value = self._connection.recv()
        except (EOFError, ConnectionError):
            raise EngineDied(self._end()) from None
        if kind == "absent":
            raise EngineAbsent(value)
        if kind == "unsupported":
            raise UnsupportedError(value)
        if kind == "overran":
            raise EngineOverran(value or "the engine gave up by itself")
        if kind == "error":
            raise EngineFailed(value)
        return value

    def _end(self) -> str:
        self._process.join(_STOP_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"the engine's process was ended by signal {signal.Signals(-code).name}"
        return f"the engine's process ended with exit code {code}"

    def close(self) -> None:
        """End the process: let it clean up, then insist."""
        with suppress(OSError):
            self._connection.send(("stop", ()))
        self._process.join(_STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()
