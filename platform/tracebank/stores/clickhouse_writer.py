"""Atomic writes into ClickHouse: rows are staged in a table of their own, block by block, and moved in one step.

A staging table that is complete is renamed to `_commit_…`: from there on the write is decided, and whoever opens the
store after a crash finishes it; a table still called `_staging_…` whose writer is gone is swept away.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import psutil
import pyarrow as pa

from tracebank.stores import clickhouse_ddl as ddl
from tracebank.stores.frames import check_belongs, checked_partition, fitted
from tracebank.stores.protocol import Frame, StoreError, Written
from tracebank_schemas.series import Partition, SeriesTable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from tracebank.stores.clickhouse import ClickHouseStore

BLOCK_ROWS: Final = 1_048_576
"""Rows that a writer gathers before it hands them to the engine."""
BLOCK_BYTES: Final = 256 << 20
"""Bytes of Arrow data after which a block is handed over, whatever its rows."""
ORPHAN_SECONDS: Final = 3600
"""Age at which work left by a writer on another machine counts as abandoned."""

_writing: Final[set[str]] = set()
"""Writers of this process that are under way, which recovery must leave alone."""


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
        rows = fitted(self._table, frame)
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
        finally:
            _writing.discard(self._id)
        self._written = Written(self._rows, time.perf_counter() - self._started, size.bytes)

    @property
    def written(self) -> Written:
        """What was written, once the `with` block has ended well."""
        if self._written is None:
            raise RuntimeError(f"the write to {self._table.name} has not ended")
        return self._written

    def _name(self, stage: str) -> str:
        return f"{ddl.quoted(self._store.database)}.{ddl.quoted(f'_{stage}_{self._table.name}_{self._id}')}"

    def _flush(self, client: Client) -> None:
        if not self._staged:
            self._stage(client)
        if self._waiting_rows:
            block = pa.concat_tables(self._blocks)
            name = f"_staging_{self._table.name}_{self._id}"
            client.insert_arrow(name, block, database=self._store.database)
            self._rows += block.num_rows
        self._blocks.clear()
        self._waiting_rows = self._waiting_bytes = 0

    def _stage(self, client: Client) -> None:
        self._store.prepare(client, self._table)
        self._staged = True
        _writing.add(self._id)
        note = {
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "host": socket.gethostname(),
            "partition": self._where,
        }
        target = f"{ddl.quoted(self._store.database)}.{ddl.quoted(self._table.name)}"
        client.command(f"CREATE TABLE {self._name('staging')} AS {target} COMMENT {ddl.literal(json.dumps(note))}")

    def _commit(self, client: Client) -> None:
        client.command(f"RENAME TABLE {self._name('staging')} TO {self._name('commit')}")
        finish(client, self._store.database, self._table.name, f"_commit_{self._table.name}_{self._id}", self._where)

    def _abandon(self) -> None:
        """Leave no staging table behind where that can be done; what cannot be dropped now is swept later."""
        self._blocks.clear()
        if not self._staged:
            return
        from clickhouse_connect.driver.exceptions import Error

        try:
            with self._store.session() as client:
                for stage in ("staging", "commit"):
                    client.command(f"DROP TABLE IF EXISTS {self._name(stage)} SYNC")
        except (Error, StoreError, OSError):
            return
        finally:
            _writing.discard(self._id)


def finish(client: Client, database: str, table: str, commit: str, partition: str | None) -> None:
    """Carry out a decided write: replace the partition, or move every staged part; then drop the staged table.

    Both may be done again after a crash in the middle with the same end.
    """
    target, staged = (f"{ddl.quoted(database)}.{ddl.quoted(name)}" for name in (table, commit))
    ids = client.query(
        "SELECT DISTINCT partition_id FROM system.parts WHERE database = {d:String} AND table = {t:String} AND active",
        parameters={"d": database, "t": commit},
    ).result_rows
    if partition is not None and ids:
        client.command(f"ALTER TABLE {target} REPLACE PARTITION {partition} FROM {staged}")
    elif partition is not None:
        client.command(f"ALTER TABLE {target} DROP PARTITION {partition}")
    else:
        for (partition_id,) in ids:
            client.command(f"ALTER TABLE {staged} MOVE PARTITION ID {ddl.literal(partition_id)} TO TABLE {target}")
    client.command(f"DROP TABLE {staged} SYNC")


def recover(client: Client, database: str) -> None:
    """Finish decided writes and sweep abandoned ones whose writers are gone."""
    left = client.query(
        "SELECT name, comment, dateDiff('second', metadata_modification_time, now()) FROM system.tables"
        " WHERE database = {d:String} AND (startsWith(name, '_staging_') OR startsWith(name, '_commit_'))",
        parameters={"d": database},
    ).result_rows
    for name, comment, age in left:
        note = json.loads(comment)
        stage, table = name[1:].split("_", 1)[0], name[1:].split("_", 1)[1].rsplit("_", 1)[0]
        if _alive(note, name.rsplit("_", 1)[1], age):
            continue
        if stage == "staging":
            client.command(f"DROP TABLE IF EXISTS {ddl.quoted(database)}.{ddl.quoted(name)} SYNC")
        else:
            finish(client, database, table, name, note["partition"])


def _alive(note: dict[str, Any], writer: str, age: int) -> bool:
    if note["host"] != socket.gethostname():
        return age < ORPHAN_SECONDS
    if note["pid"] == os.getpid():
        return writer in _writing
    try:
        return bool(psutil.Process(note["pid"]).create_time() == note["started"])
    except psutil.NoSuchProcess:
        return False
