"""Dying at each moment between two calls of the file system, for what has to go on wherever it was killed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RENAMES = frozenset({"os.rename"})
_CHANGES = frozenset(
    {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "open"}
)  # safetensors and Polars are not heard
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_watched: list[Watch] = []


class Killed(BaseException):
    """The process is gone: nothing of it reaches the file system any more."""


class Watch:
    """Counts what changes a folder, and from a number of changes on lets none through."""

    def __init__(self, folder: Path, last: int, changes: frozenset[str]) -> None:
        self.folder, self.last, self.count, self.changes = str(folder), last, 0, changes

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """One of Python's audit events, before it happens."""
        reads = event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES)
        if event in self.changes and not reads and str(arguments[0]).startswith(self.folder):
            self.count += 1
            if self.count > self.last:
                raise Killed


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for watch in _watched:
        watch.see(event, arguments)


def killed_everywhere(
    work: Callable[[Path], object],
    folder: Path,
    again: Callable[[Path], object],
    begun: Callable[[Path], object] = lambda place: place.mkdir(parents=True),
    changes: frozenset[str] = _CHANGES,
) -> int:
    """Kill some work after each number of changes, and do it again.

    Args:
        work: what is done in a folder of its own.
        folder: where these folders are made.
        again: told of each folder after the kill: does the work again, and looks at what came of it.
        begun: makes each folder, with what the work finds there.
        changes: which ones it is killed before, by the names of Python's audit events.

    Returns:
        In how many places it was killed.
    """
    if _hook not in _HOOKED:
        sys.addaudithook(_hook)
        _HOOKED.append(_hook)
    last = 0
    while True:
        place = folder / f"killed after {last}"
        begun(place)
        watch = Watch(place, last, changes)
        _watched.append(watch)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(shutil, "_use_fd_functions", False)  # else names come without their folder
                work(place)
        except Killed:
            pass
        else:
            return last
        finally:
            _watched.remove(watch)
        again(place)
        last += 1


_HOOKED: list[Callable[..., None]] = []
