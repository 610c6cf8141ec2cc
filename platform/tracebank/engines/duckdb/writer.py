"""Atomic writes into DuckDB: rows go in block by block, in one transaction that other sessions see the end of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, ClassVar, Final

import pyarrow as pa

from tracebank.engines.duckdb import ddl
from tracebank.tables.frames import Frame, fitted
from tracebank.tables.writer import Writer, Written
from tracebank_schemas.series import Partition, SeriesTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from tracebank.engines.duckdb.store import DuckDBStore

_GROUP_ROWS: Final = 122_880
"""Of one of the engine's row groups."""


class DuckDBWriter(Writer):
    """One transaction, from the first block on."""

    block_rows: ClassVar[int] = 4 * _GROUP_ROWS
    block_bytes: ClassVar[int] = 128 << 20

    def __init__(self, store: DuckDBStore, table: SeriesTable, partition: Partition | None) -> None:
        super().__init__(table, partition)
        self._store = store
        self._open = ExitStack()

    def _begin(self) -> None:
        self._connection = self._open.enter_context(self._store.session())
        with self._store.told():
            self._store.prepare(self._connection, self.table)
            self._connection.execute("BEGIN")
            self._open.callback(_rolled_back, self._connection)
            if self.partition is not None:
                gone = ddl.where(ddl.DIALECT.of_partition(self.table, self.partition))
                self._connection.execute(f"DELETE FROM {self._store.place(self.table)}{gone}")

    def _put(self, block: pa.Table) -> None:
        with self._store.told():
            self._connection.register("_block", ddl.without_zones(block))
            self._connection.execute(ddl.insert(self.table, "_block"))
            self._connection.unregister("_block")

    def _commit(self) -> None:
        with self._store.told():
            self._connection.execute("COMMIT")
        self._open.close()

    def _abandon(self) -> None:
        self._open.close()


def _rolled_back(connection: DuckDBPyConnection) -> None:
    import duckdb

    with suppress(duckdb.Error):  # there is no transaction left where it was committed or the engine ended it itself
        connection.execute("ROLLBACK")


class _Drawn:
    """Frames as the engine draws them: checked one by one, from whichever of its threads asks."""

    def __init__(self, table: SeriesTable, frames: Iterator[Frame]) -> None:
        self._table = table
        self._frames = frames
        self.rows = self.bytes = 0
        self.fault: Exception | None = None
        """What a frame, or whoever makes them, raised; the engine would make a text of its own of it."""

    def reader(self) -> pa.RecordBatchReader:
        """The frames as one stream."""
        empty = self._table.arrow_schema.empty_table()
        schema = ddl.without_zones(fitted(self._table, empty)).schema
        return pa.RecordBatchReader.from_batches(schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for frame in self._frames:
                rows = fitted(self._table, frame)
                self.rows += rows.num_rows
                self.bytes += rows.nbytes
                yield from ddl.without_zones(rows).to_batches(max_chunksize=_GROUP_ROWS)
        except Exception as fault:
            self.fault = fault
            raise


def append(store: DuckDBStore, table: SeriesTable, frames: Iterator[Frame], order: Sequence[str]) -> Written:
    """Add the rows of frames in one statement, hence in one transaction.

    Raises:
        FrameRefused: a frame does not fit; nothing was written.
        StoreError: the engine failed; nothing was written.
    """
    import duckdb

    started, drawn = time.perf_counter(), _Drawn(table, frames)
    with store.session() as connection:
        store.prepare(connection, table)
        connection.register("_frames", drawn.reader())
        try:
            connection.execute(ddl.insert(table, "_frames", order))
        except duckdb.Error:
            if drawn.fault is not None:
                raise drawn.fault from None
            raise
        finally:
            connection.unregister("_frames")
    return Written(drawn.rows, time.perf_counter() - started, drawn.bytes)
