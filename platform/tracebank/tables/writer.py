"""Rows on their way into a store: checked, gathered into blocks, and given to an engine that shows them all at once."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

import polars as pl
import pyarrow as pa

from tracebank.tables.frames import Frame, Limits, as_frames, fitted
from tracebank.tables.partition import check_belongs, checked_partition
from tracebank_schemas.series import Partition, SeriesTable


@dataclass(frozen=True, slots=True)
class Written:
    """What one write did."""

    rows: int
    seconds: float
    bytes: int
    """Arrow bytes of the rows, not what they take on disk: that is asked for once a run, by `size`."""


class Writer(ABC):
    """Takes the rows of one partition, or of a table; they become visible together, when its `with` block ends well.

    An engine gives `_begin`, `_put`, `_commit` and `_abandon`; nothing of the engine is touched before the first block
    is full or the `with` block has ended.
    """

    block_rows: ClassVar[int]
    """Rows that are gathered before the engine gets them."""
    block_bytes: ClassVar[int] = 256 << 20
    """Arrow bytes after which it gets them, whatever their rows."""
    limits: ClassVar[Limits] = {}
    """Values that the engine keeps, of types of which it does not keep all."""

    def __init__(self, table: SeriesTable, partition: Partition | None) -> None:
        """Args:
        table: the declaration.
        partition: that is replaced; None to add rows of any.

        Raises:
            FrameRefused: the partition's keys do not fit.
        """
        self.table = table
        self.partition = checked_partition(table, partition) if partition is not None else None
        self._blocks: list[pa.Table] = []
        self._waiting_rows = self._waiting_bytes = self._rows = self._bytes = 0
        self._begun = False
        self._started = time.perf_counter()
        self._written: Written | None = None

    @abstractmethod
    def _begin(self) -> None:
        """Get ready for the first block; called once."""

    @abstractmethod
    def _put(self, block: pa.Table) -> None:
        """Take rows, which nobody sees yet."""

    @abstractmethod
    def _commit(self) -> None:
        """Show all rows at once."""

    @abstractmethod
    def _abandon(self) -> None:
        """Leave nothing behind; called once `_begin` was, whatever failed."""

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Take more rows.

        Raises:
            FrameRefused: columns, types, nulls or partition do not fit; nothing of this writer becomes visible.
        """
        rows = frame.height if isinstance(frame, pl.DataFrame) else frame.num_rows
        for start in range(0, max(rows, 1), self.block_rows):
            self._take(frame[start : start + self.block_rows] if rows > self.block_rows else frame)

    def _take(self, frame: Frame) -> None:
        rows = self._checked(frame)
        self._blocks.append(rows)
        self._waiting_rows += rows.num_rows
        self._waiting_bytes += rows.nbytes
        if self._waiting_rows >= self.block_rows or self._waiting_bytes >= self.block_bytes:
            self._flush()

    def _checked(self, frame: Frame) -> pa.Table:
        rows = fitted(self.table, frame, self.limits)
        if self.partition is not None:
            check_belongs(self.table, self.partition, rows)
        return rows

    def _flush(self) -> None:
        if not self._begun:
            self._begun = True
            self._begin()
        if self._waiting_rows:
            self._put(pa.concat_tables(self._blocks))
            self._rows += self._waiting_rows
            self._bytes += self._waiting_bytes
        self._blocks.clear()
        self._waiting_rows = self._waiting_bytes = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._flush()
                self._commit()
            except BaseException:
                self._leave()
                raise
            self._written = Written(self._rows, time.perf_counter() - self._started, self._bytes)
        else:
            self._leave()

    def _leave(self) -> None:
        self._blocks.clear()
        if self._begun:
            self._abandon()

    @property
    def written(self) -> Written:
        """What was written, once the `with` block has ended well."""
        if self._written is None:
            raise RuntimeError(f"the write to {self.table.name} has not ended")
        return self._written


def drained(writer: Writer, frames: Frame | Iterable[Frame]) -> Written:
    """Write all frames and commit them.

    Raises:
        FrameRefused: a frame does not fit; nothing of the writer's becomes visible.
    """
    with writer:
        for frame in as_frames(frames):
            writer.write(frame)
    return writer.written
