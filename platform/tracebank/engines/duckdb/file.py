"""A DuckDB file: who may open it, how long that is waited for, and what is wrong with it, in one line."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracebank.stores.faults import StoreBusy, StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RETRY_SECONDS: Final = 0.05
_BUSY: Final = "series store {path}: somebody else has it open, and did not close it within {wait:g} s; stop it or wait"
_HELD: Final = ("Could not set lock", "Unique file handle conflict", "is already attached")
_REASONS: Final = (
    (
        "with a newer version of DuckDB",
        "a newer DuckDB wrote it than the one installed, {version}; pip install --upgrade duckdb",
    ),
    ("Is a directory", "it is a folder; name a file in TRACEBANK_SERIES_URL"),
    ("not a valid DuckDB database", "it is no DuckDB file; name another, or move it away"),
    ("Corrupt database file", "it is damaged; restore it, or move it away and materialise again ({text})"),
    ("Could not read enough bytes", "it is cut short; restore it, or move it away and materialise again"),
    ("Read-only file system", "it lies on a file system that is read-only; queries work, writes do not"),
    ("does not exist!", "run 'tracebank db upgrade'; {text}"),
)
"""What a part of the engine's message means, and the way out."""


def made_place(path: Path) -> None:
    """Make the file's folder.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"series store {path}: {error.strerror}") from error


@contextmanager
def held(path: Path, wait: float, *, shared: bool) -> Iterator[None]:
    """Keep writers from a file that is read, and everybody from one that is written.

    The engine's own lock is the process's, and gone as soon as one of its queries closes the file. This one is of a
    file beside it.

    Raises:
        StoreBusy: somebody has the file open, and did not close it within `wait` seconds.
    """
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.ENOENT, errno.ENOTDIR):
            raise
        yield  # where nobody can write
        return
    deadline = time.monotonic() + wait
    try:
        while not _locked(descriptor, shared):
            if time.monotonic() >= deadline:
                raise StoreBusy(_BUSY.format(path=path, wait=wait))
            time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, shared: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def opened(path: Path, connect: Callable[[], DuckDBPyConnection], wait: float) -> DuckDBPyConnection:
    """What `connect` gives, once nobody holds the file against it.

    Raises:
        StoreBusy: somebody has it open, and did not close it within `wait` seconds.
        StoreError: it cannot be opened.
    """
    import duckdb

    deadline = time.monotonic() + wait
    while True:
        try:
            return connect()
        except OSError as error:
            raise StoreError(f"series store {path}: {error.strerror or error}") from error
        except duckdb.Error as error:
            if not any(held in str(error) for held in _HELD):
                raise fault(path, error) from error
            if time.monotonic() >= deadline:
                raise StoreBusy(_BUSY.format(path=path, wait=wait)) from error
            time.sleep(_RETRY_SECONDS)


def fault(path: Path, error: Exception) -> StoreError:
    """The engine's exception as one line."""
    import duckdb

    text = " ".join(str(error).split())
    text = text if len(text) < 500 else text[:500] + "…"
    reason = next((reason for part, reason in _REASONS if part in text), "{text}")
    return StoreError(f"series store {path}: {reason.format(text=text, version=duckdb.__version__)}")
