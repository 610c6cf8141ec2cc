"""Atomic writes into DuckDB: rows go in block by block, in one transaction that other sessions see the end of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import polars as pl
import pyarrow as pa

from tracebank.engines.duckdb import ddl as sql
from tracebank.tables.frames import Frame, fitted
from tracebank.tables.partition import check_belongs, checked_partition
from tracebank.tables.writer import Written
from tracebank_schemas.series import Partition, SeriesTable

if TYPE_CHECKING:
    from tracebank.engines.duckdb.store import DuckDBStore

BLOCK_ROWS: Final = 491_520
"""Rows that a writer gathers before it hands them to the engine: four of its row groups."""
BLOCK_BYTES: Final = 128 << 20
"""Bytes of Arrow data after which a block is handed over, whatever its rows."""
DRAWN_ROWS: Final = 122_880
"""Rows that the engine draws at a time in an append: one of its row groups."""


class DuckDBWriter:
    """Rows on their way into one partition (`replace`) or into a table (`append`), in one transaction."""

    def __init__(self, store: DuckDBStore, table: SeriesTable, partition: Partition | None) -> None:
        self._store = store
        self._table = table
        self._partition = checked_partition(table, partition) if partition is not None else None
        self._blocks: list[pa.Table] = []
        self._waiting_rows = self._waiting_bytes = self._rows = 0
        self._begun = False
        self._started = time.perf_counter()
        self._written: Written | None = None

    def __enter__(self) -> Self:
        self._session = self._store.session()
        self._connection = self._session.__enter__()
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
        rows = fitted(self._table, frame)
        if self._partition is not None:
            check_belongs(self._table, self._partition, rows)
        self._blocks.append(rows)
        self._waiting_rows += rows.num_rows
        self._waiting_bytes += rows.nbytes
        if self._waiting_rows >= BLOCK_ROWS or self._waiting_bytes >= BLOCK_BYTES:
            self._flush()

    def _begin(self) -> None:
        self._store.prepare(self._connection, self._table)
        self._connection.execute("BEGIN")
        self._begun = True
        if self._partition is not None:
            self._connection.execute(*sql.delete(self._table, self._partition))

    def _flush(self) -> None:
        if not self._begun:
            self._begin()
        if self._waiting_rows:
            block = pa.concat_tables(self._blocks)
            self._connection.register("_block", sql.without_zones(block))
            self._connection.execute(sql.insert(self._table, "_block"))
            self._connection.unregister("_block")
            self._rows += block.num_rows
        self._blocks.clear()
        self._waiting_rows = self._waiting_bytes = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._flush()
                self._connection.execute("COMMIT")
                self._begun = False
                size = self._store.size_in(self._connection, self._table, self._partition)
                self._written = Written(self._rows, time.perf_counter() - self._started, size.bytes)
        except BaseException as fault:
            kind, error, trace = type(fault), fault, fault.__traceback__
            raise
        finally:
            self._blocks.clear()
            self._end(kind, error, trace)

    def _end(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._begun and error is not None:
            self._rollback()
        self._session.__exit__(kind, error, trace)

    def _rollback(self) -> None:
        import duckdb

        with suppress(duckdb.Error):  # the engine may have ended the transaction itself
            self._connection.execute("ROLLBACK")

    @property
    def written(self) -> Written:
        """What was written, once the `with` block has ended well."""
        if self._written is None:
            raise RuntimeError(f"the write to {self._table.name} has not ended")
        return self._written


class _Drawn:
    """Frames as the engine draws them: checked one by one, from whichever of its threads asks."""

    def __init__(self, table: SeriesTable, frames: Iterator[Frame]) -> None:
        self._table = table
        self._frames = frames
        self.rows = 0
        self.fault: Exception | None = None
        """What a frame, or whoever makes them, raised; the engine would make a text of its own of it."""

    def reader(self) -> pa.RecordBatchReader:
        """The frames as one stream."""
        empty = self._table.arrow_schema.empty_table()
        schema = sql.without_zones(fitted(self._table, empty)).schema
        return pa.RecordBatchReader.from_batches(schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for frame in self._frames:
                rows = fitted(self._table, frame)
                self.rows += rows.num_rows
                yield from sql.without_zones(rows).to_batches(max_chunksize=DRAWN_ROWS)
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
    sorting = f" ORDER BY {', '.join(map(sql.quoted, order))}" if order else ""
    with store.session() as connection:
        store.prepare(connection, table)
        connection.register("_frames", drawn.reader())
        try:
            connection.execute(sql.insert(table, "_frames") + sorting)
        except duckdb.Error:
            if drawn.fault is not None:
                raise drawn.fault from None
            raise
        finally:
            connection.unregister("_frames")
        size = store.size_in(connection, table)
    return Written(drawn.rows, time.perf_counter() - started, size.bytes)
