"""Writing partitions of both stores and their ledger entry, so that a kill at any moment leaves rows and ledger agreed.

Series rows are staged as they come, while their digest is taken. At the end the entry is made pending, the series rows
are committed, and one relational transaction writes the relational rows and settles the entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import polars as pl
from sqlalchemy import ColumnElement, and_, true

from tracebank.content import ModelContent, SeriesContent
from tracebank.ledger import Ledger, Part
from tracebank.stores.series_store import TableSize
from tracebank_schemas.relational import Base
from tracebank_schemas.series import SeriesTable

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tracebank.metering import Meter
    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore
    from tracebank.tables.frames import Frame
    from tracebank.tables.writer import Writer
    from tracebank_schemas.ledger import Materialization
    from tracebank_schemas.series import Partition

Rows = Sequence[dict[str, Any]] | pl.DataFrame
"""Rows of a relational table."""


class SeriesRows:
    """Rows of one partition of a series table: they replace those that stand, when all of them are there."""

    def __init__(self, table: SeriesTable, partition: Partition, writer: AbstractContextManager[Writer]) -> None:
        self.table = table
        self.partition = partition
        self.content = SeriesContent(table)
        self.stored = TableSize(0, 0, 0)
        """What the store holds of the partition, once it is committed."""
        self._staged = writer

    def __enter__(self) -> Self:
        self._writer = self._staged.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._staged.__exit__(kind, error, trace)

    def write(self, frame: Frame) -> None:
        """Take more rows.

        Raises:
            FrameRefused: columns, types, nulls or partition do not fit.
        """
        self._writer.write(frame)
        self.content.update(frame)

    @property
    def part(self) -> Part:
        """What the ledger keeps of them."""
        return Part(f"series.{self.table.name}", self.partition, self.content.rows, self.content.digest)


class ModelRows:
    """Rows of one partition of a relational table: those for which a condition holds."""

    def __init__(self, model: type[Base], where: ColumnElement[bool] | None) -> None:
        self.model = model
        self._where = where
        self._rows: list[dict[str, Any]] = []
        self._content = ModelContent(model.metadata.tables[model.__tablename__])

    def write(self, rows: Rows) -> None:
        """Take more rows, all with the same columns."""
        taken = rows.to_dicts() if isinstance(rows, pl.DataFrame) else rows
        self._content.update(taken)
        self._rows += taken

    def commit(self, relational: RelationalStore, session: Session) -> None:
        """Put them in the place of those that stand, in a transaction."""
        if self._where is None:
            relational.upsert(session, self.model, self._rows)
        else:
            relational.replace(session, self.model, self._where, self._rows)

    @property
    def part(self) -> Part:
        """What the ledger keeps of them."""
        return Part(f"relational.{self.model.__tablename__}", {}, len(self._rows), self._content.digest)


class Writing:
    """Partitions that one materialisation writes: all of them become visible at `commit`, or none."""

    def __init__(self, relational: RelationalStore, series: SeriesStore) -> None:
        self.series_rows: list[SeriesRows] = []
        self.model_rows: list[ModelRows] = []
        self._relational = relational
        self._series = series
        self._staged = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._staged.__exit__(kind, error, trace)

    @overload
    def into(self, table: SeriesTable, partition: Partition) -> SeriesRows: ...
    @overload
    def into(self, table: type[Base], partition: Mapping[str, Any] | ColumnElement[bool] | None) -> ModelRows: ...
    def into(
        self, table: SeriesTable | type[Base], partition: Mapping[str, Any] | ColumnElement[bool] | None
    ) -> SeriesRows | ModelRows:
        """Begin to write a partition.

        Args:
            table: of either store.
            partition: values of the partition keys. Of a relational table values of columns, or a condition; None adds
                rows and overwrites those of the same primary key. Relational partitions are written in the order in
                which they were begun.
        """
        if isinstance(table, SeriesTable):
            assert isinstance(partition, Mapping)
            rows = SeriesRows(table, partition, self._series.replacing(table, partition))
            self.series_rows.append(self._staged.enter_context(rows))
            return rows
        if isinstance(partition, Mapping):
            columns = table.metadata.tables[table.__tablename__].columns
            partition = and_(true(), *(columns[name] == value for name, value in partition.items()))
        self.model_rows.append(ModelRows(table, partition))
        return self.model_rows[-1]

    @property
    def parts(self) -> list[Part]:
        """What was written until now."""
        return [*(one.part for one in self.series_rows), *(one.part for one in self.model_rows)]

    def commit(self, ledger: Ledger, entry: Materialization, meter: Meter) -> None:
        """Make the rows visible and enter them in the ledger.

        Args:
            ledger: where they are entered.
            entry: what is told of them. It gets their parts and what they cost; its bytes grow by their size on disk.
            meter: of the work.

        Raises:
            StoreError: a store failed. The entry is not done; if rows stand all the same, it is settled later.
        """
        entry.parts = [part.as_json() for part in self.parts]
        try:
            if self.series_rows:
                _told(entry, meter)
                ledger.intend(entry)
            self._staged.close()
            for one in self.series_rows:
                one.stored = self._series.size(one.table, one.partition)
                entry.bytes += one.stored.bytes
            with self._relational.session() as session:
                for rows in self.model_rows:
                    rows.commit(self._relational, session)
                _told(entry, meter)
                ledger.settle(session, entry)
        finally:
            ledger.forget(entry)


def _told(entry: Materialization, meter: Meter) -> None:
    meter.read()
    entry.seconds, entry.peak_memory, entry.finished_at = meter.seconds, meter.peak_memory, meter.finished_at


def content_of(parts: Iterable[Part], elsewhere: str = "") -> str:
    """Digest of several partitions together, and of what was written elsewhere."""
    told = sorted(f"{part.table} {part.rows} {part.content}" for part in parts)
    return sha256("\n".join([*told, elsewhere]).encode()).hexdigest()[:16]
