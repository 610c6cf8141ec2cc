"""What a time-series store can do: the class that every engine's store derives from.

The platform writes its rows through it and the benchmark suite measures engines through it. Nothing here knows an
engine; what engines of SQL share beyond it stands in `sql_store`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

import polars as pl
import pyarrow as pa

from tracebank.tables.drift import Difference
from tracebank.tables.frames import Frame
from tracebank.tables.partition import by_partition
from tracebank.tables.select import asked
from tracebank.tables.writer import Writer, Written, drained
from tracebank_schemas.series import Partition, PartitionValue, SeriesTable


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


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a table that the engine set aside."""

    table: str
    partition: str
    """As the engine names it."""
    part: str

    def __str__(self) -> str:
        return f"series.{self.table}: rows of partition {self.partition} cannot be read (part {self.part})"


class SeriesStore(ABC):
    """A time-series store."""

    engine: ClassVar[str]
    """Name of the engine, as in `TRACEBANK_SERIES_URL` and the benchmark's tables."""
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]]
    """Finest time that a time stamp keeps in the engine's own type."""
    keeps_nanoseconds: ClassVar[bool] = True
    """Whether `read` gives time stamps back whole, whatever SQL sees of them."""
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]]
    """What appending a row with an existing key does."""
    asof_join: ClassVar[bool]
    """Has an as-of join of its own."""
    arrays: ClassVar[bool]
    """Keeps list columns."""
    deletes: ClassVar[bool]
    """Can delete single rows."""
    catalogue: ClassVar[bool] = False
    """Tells queries of its tables and columns in `system.tables` and `system.columns`."""
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]]
    """Who may have it open at once."""

    @abstractmethod
    def session(self) -> AbstractContextManager[Any]:
        """The engine's own client, open for the length of the block; faults come out as one-line `StoreError`s."""

    @abstractmethod
    def info(self) -> EngineInfo:
        """Engine, version and edition."""

    @abstractmethod
    def create(self, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
        """

    @abstractmethod
    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""

    @abstractmethod
    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""

    @abstractmethod
    def writer(self, table: SeriesTable, partition: Partition | None) -> Writer:
        """A writer of the partition's rows, which replace those that stand; for None, of rows to add anywhere.

        Raises:
            FrameRefused: the partition's keys do not fit.
        """

    @abstractmethod
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
        """Rows in Arrow batches of the declared types, streamed in bounded memory.

        Args:
            table: the declaration.
            partition: only its rows.
            columns: only these, in this order.
            start: only rows whose first time stamp is not before it.
            end: only rows whose first time stamp is before it.
            ordered: by the sort key.

        Raises:
            StoreError: a column is not declared, a time has no zone, or the engine failed.
            FrameRefused: the partition's keys do not fit.
        """

    @abstractmethod
    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a query in the engine's own language, with the rights of the store; users' queries go elsewhere."""

    @abstractmethod
    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows and bytes of the table, or of one partition."""

    def damage(self) -> list[Damage]:
        """Rows that the engine could not read when it opened, and set aside: they are missing from every answer."""
        return []

    def discard_damage(self) -> list[Damage]:
        """Throw away what `damage` lists, so that tables can be read again without it; what it was."""
        return []

    def replacing(self, table: SeriesTable, partition: Partition) -> Writer:
        """A writer whose rows replace the partition's when its `with` block ends well; else the old rows stand."""
        return self.writer(table, partition)

    def replace(self, table: SeriesTable, partition: Partition, frames: Frame | Iterable[Frame]) -> Written:
        """Replace a partition by the rows of `frames`: atomic, idempotent, in bounded memory.

        Raises:
            FrameRefused: a frame does not fit; the old rows stand.
            StoreBusy: another writer has the partition, and did not end in time.
            StoreError: the engine failed; the old rows stand.
        """
        return drained(self.writer(table, partition), frames)

    def append(self, table: SeriesTable, frames: Frame | Iterable[Frame]) -> Written:
        """Add rows of any partitions. All frames are checked before the first row becomes visible."""
        return drained(self.writer(table, None), frames)

    def insert(self, table: SeriesTable, rows: Frame) -> None:
        """Add a few rows of a table that is there as fast as the engine can, all or none; for who adds them again and
        again, and looks whether they are there before it does so once more.

        Raises:
            FrameRefused: the rows do not fit.
            StoreError: the engine failed, or its answer was lost: the rows may be there.
        """
        self.append(table, rows)

    def delete(self, table: SeriesTable, partition: Partition) -> None:
        """Remove a partition's rows; nothing happens where there are none."""
        self.replace(table, partition, ())

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
        """Rows as Polars; arguments and faults are those of `read_batches`."""
        schema = asked(table, columns)
        batches = self.read_batches(table, partition=partition, columns=columns, start=start, end=end, ordered=ordered)
        return as_polars(table, pa.Table.from_batches(batches, schema=schema))

    def partitions(self, table: SeriesTable) -> list[tuple[dict[str, PartitionValue], int]]:
        """Every partition that has rows, with their number; in the order of its values."""
        columns = list(dict.fromkeys(key.column for key in table.partition_keys)) or [table.columns[0].name]
        found: dict[tuple[PartitionValue, ...], int] = {}
        for batch in self.read_batches(table, columns=columns, ordered=False):
            for values, rows in by_partition(table, pa.Table.from_batches([batch])):
                place = tuple(values.values())
                found[place] = found.get(place, 0) + rows.num_rows
        names = [key.name for key in table.partition_keys]
        return [(dict(zip(names, place, strict=True)), found[place]) for place in sorted(found)]


def as_polars(table: SeriesTable, rows: pa.Table) -> pl.DataFrame:
    """Rows in the declared Polars types."""
    frame = pl.from_arrow(rows, rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    return frame.cast({name: table.polars_schema[name] for name in frame.columns})
