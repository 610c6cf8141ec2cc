"""One engine in a process of its own: what it crashes, leaks or hangs in is that process, with a CPU time of its own.

The harness's side is `Worker`; the child runs `serve`. Answers are compared in the child, so that no rows travel.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, cast

import psutil
import pyarrow as pa

from tracebank_benchmarks.tsdb.engine import Engine, Prepared, Session, UnsupportedError
from tracebank_benchmarks.tsdb.workloads import BY_ID, Lane, Parameters
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES, naive

_STOP_SECONDS: Final = 10.0
_MOST_TEXT: Final = 300


class EngineFailed(Exception):
    """The engine raised an error; one line."""


class EngineAbsent(Exception):
    """The engine cannot be measured here; the message says what is missing."""


class EngineDied(Exception):
    """The engine's process ended by itself."""


class EngineTimeout(Exception):
    """The engine did not answer in time; its process was ended."""


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
    bytes: int
    """On disk."""
    raw_bytes: int


@dataclass(slots=True)
class _Child:
    """State of the engine's process."""

    engine: Engine
    session: Session
    lane: Lane
    prepared: dict[str, Prepared] = field(default_factory=dict)
    expected: dict[str, pa.Table] = field(default_factory=dict)
    verified: dict[str, pa.Table] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """What the run's record says of the engine."""
        state = self.engine.state()
        ddl = self.session.ddl()
        return {"version": state.version, "edition": state.edition, "settings": self.engine.settings(), "ddl": ddl}

    def load(self, table_name: str, frames: Callable[[SeriesTable], Iterator[pa.Table]]) -> Loaded:
        """Load a table from frames that are in memory, or mapped, before the clock starts."""
        table = self._table(table_name)
        blocks = list(frames(table))
        cpu = time.process_time()
        phases = self.session.load(table, blocks)
        cpu = time.process_time() - cpu
        size = self.session.size(table)
        return Loaded(phases.serialise, phases.send, phases.settle, cpu, size.rows, size.bytes, size.raw_bytes)

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

    def cold(self) -> str:
        """Make the next execution a cold one."""
        return self.session.cold()

    def resources(self) -> dict[str, float]:
        """What the process has used in its life."""
        process, usage = psutil.Process(), resource.getrusage(resource.RUSAGE_SELF)
        found = {"peak_memory_bytes": float(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))}
        found["cpu_seconds"] = usage.ru_utime + usage.ru_stime
        if hasattr(process, "io_counters"):
            counters = process.io_counters()
            found |= {"read_bytes": float(counters.read_bytes), "written_bytes": float(counters.write_bytes)}
        return found

    def servers(self) -> list[int]:
        """Processes that the engine names as its servers; empty where it names none."""
        named = getattr(self.session, "processes", None)
        return list(named()) if callable(named) else []


_COMMANDS: Final = ("describe", "load", "prepare", "execute", "cold", "resources", "servers")


def serve(connection: Connection, reference: str, lane: str, folder: str) -> None:
    """Body of the child: answer commands until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's to handle
    try:
        engine = loaded_engine(reference)
        state = engine.state()
        if not state.available:
            connection.send(("absent", state.reason))
            return
        with engine.session(Lane(lane), Path(folder)) as session:
            child = _Child(engine, session, Lane(lane))
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

    def __init__(self, reference: str, lane: Lane, folder: Path, *, timeout: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._connection, child = context.Pipe()
        arguments = (child, reference, lane.value, str(folder))
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        child.close()
        try:
            self._receive(timeout)
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
