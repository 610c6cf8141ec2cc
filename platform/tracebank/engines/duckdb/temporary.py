"""Folders for queries' temporary files: below the home, for the user alone, gone with the query or with the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tracebank.stores.faults import StoreError


@contextlib.contextmanager
def folder(home: Path) -> Iterator[Path]:
    """An empty folder; those that killed queries left are removed first.

    Raises:
        StoreError: it cannot be made.
    """
    place = home / "temporary"
    try:
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o700)
        _sweep(place)
        made, handle = _made(place)
    except OSError as error:
        raise StoreError(f"folder for temporary files {place}: {error.strerror or error}") from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)  # a call that is still ending may make a file; the next query sweeps
        os.close(handle)


def _made(place: Path) -> tuple[Path, int]:
    while True:
        made = Path(tempfile.mkdtemp(prefix="query-", dir=place))
        if (handle := _held(made)) is not None:
            return made, handle


def _held(made: Path) -> int | None:
    """The folder's lock, which ends with its process; None where somebody has it or the folder is gone."""
    try:
        handle = os.open(made, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if made.exists():
        return handle
    os.close(handle)
    return None


def _sweep(place: Path) -> None:
    for left in place.glob("query-*"):
        if (handle := _held(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)  # what cannot be removed now is tried again by the next query
            os.close(handle)
