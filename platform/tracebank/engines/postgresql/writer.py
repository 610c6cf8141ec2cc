"""Atomic writes into PostgreSQL: one transaction a write, rows by binary COPY, block by block.

A `replace` deletes the old rows first, in its own transaction, under a lock of the partition: two at once would each
delete only what was there before both.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl
import psycopg
import pyarrow as pa

from tracebank.engines.postgresql import ddl as ddl
from tracebank.stores.faults import StoreError
from tracebank.tables.frames import Frame, fitted
from tracebank.tables.partition import check_belongs, checked_partition
from tracebank.tables.writer import Written
from tracebank_schemas.series import TIMESTAMP, Partition, SeriesTable

if TYPE_CHECKING:
    from tracebank.engines.postgresql.store import PostgreSQLStore

BLOCK_ROWS: Final = 262_144
"""Rows that are checked and encoded at a time."""


class PostgreSQLWriter:
    """Rows on their way into one partition (`replace`) or into a table (`append`)."""

    def __init__(self, store: PostgreSQLStore, table: SeriesTable, partition: Partition | None) -> None:
        self._store = store
        self._table = table
        self._partition = checked_partition(table, partition) if partition is not None else None
        self._where = ddl.of_partition(table, self._partition) if self._partition is not None else ""
        self._open = ExitStack()
        self._connection: psycopg.Connection | None = None
        self._copy: psycopg.Copy | None = None
        self._rows = 0
        self._started = time.perf_counter()
        self._written: Written | None = None
        self.serialise_seconds = 0.0
        """Spent on checking and encoding so far."""

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Take more rows.

        Raises:
            FrameRefused: columns, types, nulls or partition do not fit; nothing of this writer becomes visible.
        """
        rows = frame.height if isinstance(frame, pl.DataFrame) else frame.num_rows
        for start in range(0, max(rows, 1), BLOCK_ROWS):
            self._take(frame[start : start + BLOCK_ROWS] if rows > BLOCK_ROWS else frame)

    def _take(self, frame: Frame) -> None:
        from tracebank.engines.postgresql.copy import encoded

        start = time.perf_counter()
        rows = fitted(self._table, frame, ddl.LIMITS)
        if self._partition is not None:
            check_belongs(self._table, self._partition, rows)
        self.serialise_seconds += time.perf_counter() - start
        if not rows.num_rows:
            return
        copy = self._started_copy()
        pieces = encoded(self._columns(rows))
        with self._store.faults():
            while (piece := self._timed_next(pieces)) is not None:
                copy.write(piece)
        self._rows += rows.num_rows

    def _timed_next(self, pieces: Any) -> memoryview | None:
        start = time.perf_counter()
        piece = next(pieces, None)
        self.serialise_seconds += time.perf_counter() - start
        return piece

    def _columns(self, rows: pa.Table) -> list[pa.Array[Any]]:
        columns = []
        for name, source in ddl.physical(self._table):
            chunks = rows.column(source.name).chunks
            values = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
            columns.append(values.cast(pa.int64()) if name != source.name and source.type == TIMESTAMP else values)
        return columns

    def _begun(self) -> psycopg.Connection:
        if self._connection is None:
            self._store.create(self._table)
            connection = psycopg.connect(self._store.conninfo())
            self._connection = self._open.enter_context(connection)
            if self._where:
                self._empty(connection)
        return self._connection

    def _empty(self, connection: psycopg.Connection) -> None:
        table = ddl.path(self._store.schema, self._table)
        connection.execute(f"SET LOCAL lock_timeout = {max(1, round(self._store.lock_timeout * 1000))}".encode())
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{table} {self._where}",))
        connection.execute(f"DELETE FROM {table} WHERE {self._where}".encode())

    def _started_copy(self) -> psycopg.Copy:
        from tracebank.engines.postgresql.copy import HEADER

        if self._copy is None:
            with self._store.faults():
                cursor = self._open.enter_context(self._begun().cursor())
                names = ", ".join(ddl.quoted(name) for name, _ in ddl.physical(self._table))
                text = f"COPY {ddl.path(self._store.schema, self._table)} ({names}) FROM STDIN (FORMAT BINARY)"
                self._copy = self._open.enter_context(cursor.copy(text.encode()))
                self._copy.write(HEADER)
        return self._copy

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        try:
            with self._store.faults():
                self._begun()
                if self._copy is not None:
                    from tracebank.engines.postgresql.copy import TRAILER

                    self._copy.write(TRAILER)
                self._open.close()  # ends the COPY, then commits
        except BaseException:
            self._abandon()
            raise
        self._written = Written(self._rows, time.perf_counter() - self._started, self._bytes())

    def _bytes(self) -> int:
        if self._partition is not None:
            return self._store.size(self._table, self._partition).bytes
        with self._store.connection() as connection:  # counts no rows, as a partition's share would
            return self._store.sizes(connection, self._table)[0]

    @property
    def written(self) -> Written:
        """What was written, once the `with` block has ended well."""
        if self._written is None:
            raise RuntimeError(f"the write to {self._table.name} has not ended")
        return self._written

    def _abandon(self) -> None:
        """Roll back by leaving: PostgreSQL undoes what was not committed."""
        abandoned = StoreError(f"the write to {self._table.name} was abandoned")
        with suppress(psycopg.Error):
            self._open.__exit__(StoreError, abandoned, None)
        if self._connection is not None:
            self._connection.close()
