"""Atomic writes into ClickHouse: rows are staged in a table of their own, block by block, and moved in one step.

How a complete staging table becomes visible, and what a crash leaves to do, is `clickhouse_commit`'s business.
"""

from __future__ import annotations

import time
import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import polars as pl
import pyarrow as pa

from tracebank.engines.clickhouse import commit as commit
from tracebank.engines.clickhouse import ddl as ddl
from tracebank.stores.faults import StoreError
from tracebank.tables.frames import Frame, fitted
from tracebank.tables.partition import check_belongs, checked_partition
from tracebank.tables.writer import Written
from tracebank_schemas.series import Partition, SeriesTable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from tracebank.engines.clickhouse.store import ClickHouseStore

BLOCK_ROWS: Final = 1_048_576
"""Rows that a writer gathers before it hands them to the engine."""
BLOCK_BYTES: Final = 256 << 20
"""Bytes of Arrow data after which a block is handed over, whatever its rows."""


class ClickHouseWriter:
    """Rows on their way into one partition (`replace`) or into a table (`append`)."""

    def __init__(self, store: ClickHouseStore, table: SeriesTable, partition: Partition | None) -> None:
        self._store = store
        self._table = table
        self._partition = checked_partition(table, partition) if partition is not None else None
        self._where = ddl.partition_literal(table, self._partition) if self._partition is not None else None
        self._id = uuid.uuid4().hex
        self._blocks: list[pa.Table] = []
        self._waiting_rows = self._waiting_bytes = self._rows = 0
        self._staged = False
        self._started = time.perf_counter()
        self._written: Written | None = None

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
        rows = fitted(self._table, frame, ddl.LIMITS)
        if self._partition is not None:
            check_belongs(self._table, self._partition, rows)
        self._blocks.append(rows)
        self._waiting_rows += rows.num_rows
        self._waiting_bytes += rows.nbytes
        if self._waiting_rows >= BLOCK_ROWS or self._waiting_bytes >= BLOCK_BYTES:
            with self._store.session() as client:
                self._flush(client)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        try:
            with self._store.session() as client:
                self._flush(client)
                self._commit(client)
                size = self._store.size_in(client, self._table, self._partition)
        except BaseException:
            self._abandon()
            raise
        commit.writing.discard(self._id)
        self._written = Written(self._rows, time.perf_counter() - self._started, size.bytes)

    @property
    def written(self) -> Written:
        """What was written, once the `with` block has ended well."""
        if self._written is None:
            raise RuntimeError(f"the write to {self._table.name} has not ended")
        return self._written

    def _flush(self, client: Client) -> None:
        if not self._staged:
            self._stage(client)
        if self._waiting_rows:
            block = pa.concat_tables(self._blocks)
            self._store.insert(client, commit.staging_name(self._table.name, self._id), block)
            self._rows += block.num_rows
        self._blocks.clear()
        self._waiting_rows = self._waiting_bytes = 0

    def _stage(self, client: Client) -> None:
        if not self._store.embedded:  # an embedded store has recovered when it was opened
            commit.recover(client, self._store.database)
        self._store.prepare(client, self._table)
        commit.writing.add(self._id)
        self._staged = True
        commit.stage(client, self._store.database, self._table.name, self._id, self._where)

    def _commit(self, client: Client) -> None:
        commit.commit(client, self._store.database, self._table.name, self._id, self._where, self._store.embedded)

    def _abandon(self) -> None:
        """Leave nothing behind where that can be done; what cannot be dropped now is swept later."""
        self._blocks.clear()
        if not self._staged:
            return
        try:
            with self._store.session() as client:
                commit.drop_staged(client, self._store.database, self._table.name, self._id)
        except (StoreError, OSError):
            return
        finally:
            commit.writing.discard(self._id)
