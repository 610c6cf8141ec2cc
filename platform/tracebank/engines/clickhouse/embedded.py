"""The embedded ClickHouse engine (chDB): opened per operation under an inter-process lock, shared by the threads of one
process while it is open, never kept open by an idle one.

chDB holds its folder for itself, allows one folder per process at a time, and hangs in a process forked after its use.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from filelock import FileLock, Timeout

from tracebank.engines.clickhouse.ddl import literal, quoted
from tracebank.processors import usable_processors
from tracebank.settings import shown_url
from tracebank.stores.faults import StoreBusy, StoreError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SPOOL_ROWS: Final = 262_144
"""Rows of an Arrow batch on their way in: few enough that two of them are read side by side."""
_WORKERS: Final = 4
"""Threads that take a block in, at most: each holds a share of it in memory, and writes parts of its own."""

_spooled: Final[set[Path]] = set()
"""Files that this process is handing to the engine."""


@dataclass
class _Engine:
    """State of the engine in this process: which folder is open, and how many sessions use it."""

    mutex: threading.Lock = field(default_factory=threading.Lock)
    freed: threading.Condition = field(init=False)
    folder: Path | None = None
    sessions: int = 0
    opening: bool = False
    lock: FileLock | None = None
    forked: bool = False
    """This process was forked from one that had loaded chDB: whatever it asked of the engine would hang."""

    def __post_init__(self) -> None:
        self.freed = threading.Condition(self.mutex)


_engine = _Engine()


def _after_fork() -> None:
    global _engine
    _engine = _Engine(forked=_engine.forked or "chdb" in sys.modules)


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def embedded_session(folder: Path, *, timeout: float) -> Iterator[Client]:
    """A client of the engine on `folder`, which is made if need be.

    Args:
        folder: absolute path of the store.
        timeout: seconds to wait for another process (or another folder of this one) to let go.

    Raises:
        StoreBusy: the lock was not to be had in time; the message names its holder.
        StoreError: the folder cannot be used.
    """
    _acquire(folder, timeout)
    try:
        client = _client(folder)
        try:
            yield client
        finally:
            client.close()
    finally:
        _release()


def stream(folder: Path, text: str) -> Iterator[pa.RecordBatch]:
    """The answer of a query block by block, in bounded memory, inside an `embedded_session` of the same folder.

    The client itself would hold a whole answer in Arrow before it gives the first row.

    Raises:
        StoreError: the engine failed.
    """
    import chdb

    connection = chdb.connect(os.path.realpath(folder))  # type: ignore[no-untyped-call]
    try:
        with connection.send_query(text, "ArrowStream") as blocks:
            for block in blocks:
                yield from pa.ipc.open_stream(block.bytes())
    except RuntimeError as error:
        raise StoreError(f"series store {folder}: {str(error).splitlines()[0][:500]}") from None
    finally:
        connection.close()


def insert(client: Client, folder: Path, table: str, rows: pa.Table) -> None:
    """Put rows into a table by way of a file beside the store, in batches that the engine reads in parallel.

    The client's own way holds three copies of the rows in memory and takes three times as long.

    Raises:
        StoreError: the file cannot be written.
    """
    path = _spool(folder) / f"{uuid.uuid4().hex}.arrow"
    _spooled.add(path)
    try:
        path.parent.mkdir(exist_ok=True, mode=0o700)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=SPOOL_ROWS)
        client.command(_inserting(table, path, rows))
    except OSError as error:
        raise StoreError(f"series store {folder}: {_reason(error)}; the old rows stand") from None
    finally:
        path.unlink(missing_ok=True)
        _spooled.discard(path)


def _inserting(table: str, path: Path, rows: pa.Table) -> str:
    """The statement that takes a file's rows in: by as many threads as its batches are worth.

    One thread has less to set up, but sorts, compresses and writes the batches one after the other.
    """
    batches = -(-rows.num_rows // SPOOL_ROWS)
    if batches == 1:
        return f"INSERT INTO {table} FROM INFILE {literal(str(path))} FORMAT Arrow"
    names = ", ".join(map(quoted, rows.schema.names))
    workers = min(batches, usable_processors(), _WORKERS)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM file({literal(str(path))}, Arrow)"
        f" SETTINGS max_insert_threads = {workers}"
    )


def sweep(folder: Path) -> None:
    """Remove the files that killed inserts left; call it inside a session, when no other process can have any."""
    for path in _spool(folder).glob("*.arrow"):
        if path not in _spooled:
            path.unlink(missing_ok=True)


def _spool(folder: Path) -> Path:
    return folder.with_name(folder.name + ".spool")


def _reason(error: Exception) -> str:
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return str(getattr(error, "strerror", None) or error).splitlines()[0]


def _acquire(folder: Path, timeout: float) -> None:
    if _engine.forked:
        raise StoreError("the embedded store was used before this process was forked; start processes with 'spawn'")
    with _engine.mutex:
        free = _engine.freed.wait_for(
            lambda: not _engine.opening and (_engine.sessions == 0 or _engine.folder == folder), timeout
        )
        if not free:
            raise StoreBusy(f"series store {folder}: this process has {_engine.folder} open; waited {timeout:g} s")
        if _engine.sessions:
            _engine.sessions += 1
            return
        _engine.opening = True
    try:
        lock = _locked(folder, timeout)
    except BaseException:
        _settle(opened=None)
        raise
    _settle(opened=(folder, lock))


def _settle(opened: tuple[Path, FileLock] | None) -> None:
    with _engine.mutex:
        _engine.opening = False
        if opened:
            _engine.folder, _engine.lock = opened
            _engine.sessions = 1
        _engine.freed.notify_all()


def _locked(folder: Path, timeout: float) -> FileLock:
    # The last thread to leave lets go, and that need not be the one that came first. A file system without locks is
    # refused: a lock that is only a file would stay behind a killed process.
    lock = FileLock(f"{folder}.lock", timeout=timeout, thread_local=False, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
        _holder_file(folder).write_text(json.dumps(_me()), encoding="utf-8")
    except Timeout:
        raise StoreBusy(f"series store {folder}: held by {_holder(folder)}; waited {timeout:g} s") from None
    except (OSError, NotImplementedError) as error:
        lock.release()
        raise StoreError(f"series store {folder}: cannot be opened: {_reason(error)}") from None
    return lock


def _release() -> None:
    with _engine.mutex:
        _engine.sessions -= 1
        if _engine.sessions == 0:
            assert _engine.lock is not None
            _engine.lock.release()
            _engine.lock = None
        _engine.freed.notify_all()


def _client(folder: Path) -> Client:
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import Error

    try:
        return clickhouse_connect.get_client(interface="chdb", path=str(folder))
    except (Error, RuntimeError, OSError) as error:
        raise StoreError(f"series store {folder}: cannot be opened: {str(error).splitlines()[0][:300]}") from None


def _holder_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".holder")


def _me() -> dict[str, object]:
    command = " ".join(map(shown_url, sys.argv))[:200]
    return {"pid": os.getpid(), "command": command, "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"}


def _holder(folder: Path) -> str:
    try:
        held = json.loads(_holder_file(folder).read_text(encoding="utf-8"))
        return f"process {held['pid']} ({held['command']}) since {held['since']} UTC"
    except (OSError, ValueError, KeyError):
        return "another process"
