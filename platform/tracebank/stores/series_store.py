"""What a time-series store can do: the protocol that every engine's adapter implements, and the shapes it speaks.

The platform writes its rows through this protocol and the benchmark suite measures engines through it. Nothing here
knows an engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import ClassVar, Literal, Protocol, Self, runtime_checkable

import polars as pl
import pyarrow as pa

from tracebank_schemas.series import Partition, SeriesTable

Frame = pl.DataFrame | pa.Table | pa.RecordBatch
"""A block of rows on its way in; a long table is an iterator of them."""


class StoreError(RuntimeError):
    """A store could not do what was asked: one line with what, where and what to do. Old rows stand."""


class StoreBusy(StoreError):
    """Another process has the embedded store open, and did not close it in time."""


class FrameRefused(StoreError, ValueError):
    """A frame does not fit its table's declaration; nothing was written."""


class SchemaDrift(StoreError):
    """The table that stands differs from its declaration in more than columns to add."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a standing table differs from its declaration."""

    table: str
    what: str
    """E.g. "column price"."""
    declared: str
    found: str
    repairable: bool
    """True for a column (or a whole table) that `create` adds by itself."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one write did."""

    rows: int
    seconds: float
    bytes: int
    """Bytes on disk of the partition after a `replace`; of the table after an `append`."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """Rows and bytes of a table or of one partition of it."""

    rows: int
    bytes: int
    """On disk, compressed, indexes included."""
    raw_bytes: int
    """Before compression."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Which engine this is."""

    engine: str
    version: str
    edition: str


class PartitionWriter(Protocol):
    """Takes the rows of one partition block by block; they become visible together, when the `with` block ends well."""

    def write(self, frame: Frame) -> None:
        """Take more rows.

        Raises:
            FrameRefused: columns, types, nulls or partition do not fit.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def written(self) -> Written:
        """What was written, once the `with` block has ended."""
        ...


@runtime_checkable
class SeriesStore(Protocol):
    """A time-series store."""

    engine: ClassVar[str]
    """Name of the engine, as in `TRACEBANK_SERIES_URL` and the benchmark's tables."""
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]]
    """Finest time that a time stamp keeps."""
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]]
    """What appending a row with an existing key does."""
    asof_join: ClassVar[bool]
    """Has an as-of join of its own."""
    arrays: ClassVar[bool]
    """Keeps list columns."""
    deletes: ClassVar[bool]
    """Can delete single rows."""
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]]
    """Who may have it open at once."""

    def info(self) -> EngineInfo:
        """Engine, version and edition."""

    def create(self, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
        """

    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""

    def replacing(self, table: SeriesTable, partition: Partition) -> AbstractContextManager[PartitionWriter]:
        """A writer whose rows replace the partition's when the block ends well; else the old rows stand."""

    def replace(self, table: SeriesTable, partition: Partition, frames: Frame | Iterable[Frame]) -> Written:
        """Replace a partition by the rows of `frames`: atomic, idempotent, in bounded memory.

        Raises:
            FrameRefused: a frame does not fit; the old rows stand.
            StoreError: the engine failed; the old rows stand.
        """

    def append(self, table: SeriesTable, frames: Frame | Iterable[Frame]) -> Written:
        """Add rows of any partitions. All frames are checked before the first row becomes visible."""

    def read(
        self,
        table: SeriesTable,
        *,
        partition: Partition | None = None,
        columns: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ordered: bool = True,
    ) -> pl.DataFrame:
        """Rows as Polars, of a partition and of `[start, end)` of the first time-stamp column where given."""

    def read_batches(
        self,
        table: SeriesTable,
        *,
        partition: Partition | None = None,
        columns: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ordered: bool = True,
    ) -> Iterator[pa.RecordBatch]:
        """As `read`, streamed in Arrow batches."""

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a query in the engine's own language."""

    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows and bytes of the table, or of one partition."""
