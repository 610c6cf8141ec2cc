"""The bar of a long query: on stderr, only on a terminal, only after a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.progress import Progress

_PATIENCE: Final = 1.0
"""Seconds before the bar appears."""


class ReadingProgress:
    """Shows how many rows the engine has read. `update` may be called from any thread."""

    def __init__(self) -> None:
        self._enabled = sys.stderr.isatty()
        self._began = time.monotonic()
        self._mutex = threading.Lock()
        self._bar: Progress | None = None

    def update(self, read: int, total: int) -> None:
        """Rows read so far, and in all (0: not known)."""
        if not self._enabled or time.monotonic() - self._began < _PATIENCE:
            return
        with self._mutex:
            if not self._enabled:
                return
            if self._bar is None:
                self._bar = _bar()
                self._bar.start()
                self._bar.add_task("reading", total=None)
            self._bar.update(self._bar.task_ids[0], completed=read, total=total or None)

    def finished_by(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches; the bar goes when the first one comes, so as not to be mixed with them."""
        for batch in batches:
            self.stop()
            yield batch

    def stop(self) -> None:
        """Take the bar away."""
        with self._mutex:
            self._enabled = False
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
