"""The engine's calls within limits of time, memory and disk, and open to Ctrl-C.

The engine looks at signals now and then only, so that its calls are made by a thread that the caller waits for.
"""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from tracebank.query.contract import Limits
from tracebank.query.errors import SqlError, SqlLimit, one_line
from tracebank.stores.faults import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_T = TypeVar("_T")
_PATIENCE: Final = 0.5
"""Seconds in which an interrupted call is waited for; one that does not end by then ends in its own time."""
_APART: Final = 1 << 30
"""Bytes of addresses that a process takes beside a query's memory: of threads, and of what is done with the answer."""
_PER_THREAD: Final = 128 << 20
_SPILLED: Final = 8
"""Most bytes on disk, as a multiple of those in memory."""


def settings_of(limits: Limits, folder: Path) -> dict[str, str]:
    """The engine's settings that hold a query to its memory, and its temporary files to a folder."""
    return {
        "memory_limit": f"{limits.memory}B",
        "max_temp_directory_size": f"{_SPILLED * limits.memory}B",
        "temp_directory": str(folder),
    }


class Running:
    """A thread that makes a connection's calls one by one."""

    def __init__(self, connection: DuckDBPyConnection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self.begin()
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._make, daemon=True).start()

    def begin(self) -> None:
        """Count the query's seconds from now on."""
        self._ends = time.monotonic() + self._limits.seconds

    def _make(self) -> None:
        for future, call in iter(self._calls.get, None):
            try:
                future.set_result(call())
            except BaseException as error:  # it is raised where the call is waited for
                future.set_exception(error)

    def _begun(self, call: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put((future, call))
        return future

    def __call__(self, call: Callable[[], _T]) -> _T:
        """What a call gives.

        Raises:
            SqlLimit: it took more than it may.
            SqlError: the engine failed, or the answer does not fit.
        """
        future = self._begun(call)
        try:
            done, _ = wait([future], max(self._ends - time.monotonic(), 0))
            if not done:
                raise SqlLimit(
                    f"the query was stopped after {self._limits.seconds:g} s; ask for less, or raise --timeout"
                    " or TRACEBANK_QUERY_TIMEOUT"
                )
        except BaseException:
            self._stop(future)
            raise
        with told(self._limits):
            result: _T = future.result()
            return result

    def _stop(self, future: Future[Any]) -> None:
        until = time.monotonic() + _PATIENCE
        while not future.done() and time.monotonic() < until:
            self._connection.interrupt()  # one that comes before the engine has begun is lost
            wait([future], 0.02)

    def close(self) -> None:
        """Close the connection, once the last call has ended."""
        closing = self._begun(self._connection.close)
        self._calls.put(None)
        wait([closing], _PATIENCE)


@contextlib.contextmanager
def told(limits: Limits) -> Iterator[None]:
    """What the engine and its client raise, as the one kind of error that queries have."""
    import duckdb

    try:
        yield
    except (SqlError, StoreError):
        raise
    except (duckdb.Error, pa.ArrowException, OSError, MemoryError, RuntimeError, ValueError, TypeError) as error:
        text = str(error).partition("\nLINE ")[0].partition("\n\nLINE ")[0]
        if isinstance(error, MemoryError) or "Out of Memory Error" in text:
            raise SqlLimit(
                f"the query needs more than the {limits.memory >> 20} MiB of memory that it may have; ask for less,"
                " or raise --memory or TRACEBANK_QUERY_MEMORY"
            ) from None
        raise SqlError(one_line(text)) from None


@contextlib.contextmanager
def bounded_addresses(limits: Limits, threads: int) -> Iterator[None]:
    """Let no call take far more memory than the limit: single values are no part of what the engine counts.

    Only where this thread is the process's one of Python: others would meet the bound too.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = _addresses()
    if threading.active_count() > 1 or not taken:
        yield
        return
    wanted = taken + limits.memory * 3 // 2 + threads * _PER_THREAD + _APART
    if any(bound != resource.RLIM_INFINITY and bound < wanted for bound in before):
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (wanted, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _addresses() -> int:
    """Bytes of addresses that this process has; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
