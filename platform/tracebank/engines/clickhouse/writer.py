"""Atomic writes into ClickHouse: rows are staged in a table of their own, block by block, and moved in one step.

How a complete staging table becomes visible, and what a crash leaves to do, is `commit`'s business.
"""

from __future__ import annotations

import errno
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pyarrow as pa

from tracebank.engines.clickhouse import commit, ddl
from tracebank.stores.faults import StoreError
from tracebank.tables.frames import Limits
from tracebank.tables.writer import Writer
from tracebank_schemas.series import Partition, SeriesTable

if TYPE_CHECKING:
    from tracebank.engines.clickhouse.store import ClickHouseStore

_WAITS: Final = (0.0, 0.5, 2.0)
"""Seconds between attempts to commit where an owner went."""
_BATCH_ROWS: Final = 262_144
"""Rows of an Arrow batch on their way in: few enough that several are read side by side."""


def lost() -> tuple[type[Exception], ...]:
    """What a client raises where the answer did not come."""
    from clickhouse_connect.driver.exceptions import OperationalError
    from urllib3.exceptions import HTTPError

    return OperationalError, HTTPError, ConnectionError


class ClickHouseWriter(Writer):
    """Rows on their way into one partition (`replace`) or into a table (`append`)."""

    block_rows: ClassVar[int] = 1_048_576
    limits: ClassVar[Limits] = ddl.LIMITS

    def __init__(self, store: ClickHouseStore, table: SeriesTable, partition: Partition | None) -> None:
        super().__init__(table, partition)
        self._store = store
        self._where = ddl.partition_literal(table, self.partition) if self.partition is not None else None
        self._id = uuid.uuid4().hex
        self._open = ExitStack()

    def _begin(self) -> None:
        store = self._store
        with store.faults():
            self._client: Any = self._open.enter_context(store.session())
            commit.recover(self._client, store.database, store.folder)
            store.prepare(self._client, self.table)
            try:
                self._open.enter_context(commit.writing(store.folder, self._id))
            except OSError as error:
                raise StoreError(f"series store {store.folder}: cannot be written: {error.strerror}") from None
            commit.stage(self._client, store.database, self.table.name, self._id, self._where)

    def _put(self, block: pa.Table) -> None:
        store, name = self._store, commit.staging_name(self.table.name, self._id)
        with store.faults():
            if store.folder is not None:
                self._spool(block, commit.spooled(store.folder, self._id), name)
            else:
                settings = {"max_partitions_per_insert_block": 0}
                self._client.insert_arrow(name, block, database=store.database, settings=settings)

    def _spool(self, block: pa.Table, path: Path, name: str) -> None:
        """By a file that the owner reads where it is: the socket would copy the rows three times."""
        into = f"INSERT INTO {ddl.quoted(self._store.database)}.{ddl.quoted(name)}"
        into += f" ({', '.join(map(ddl.quoted, block.schema.names))})"
        try:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, block.schema) as file:
                file.write_table(block, max_chunksize=_BATCH_ROWS)
            text = commit.inserting(into, "Arrow", path)
            self._client.command(text, settings={"max_partitions_per_insert_block": 0})
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "the disk is full" if full else error.strerror or str(error)
            raise StoreError(f"series store {self._store.folder}: {reason}; the old rows stand") from None
        finally:
            path.unlink(missing_ok=True)

    def _commit(self) -> None:
        store = self._store
        with self._open, store.faults():
            for wait in (*_WAITS, None):
                try:
                    again = wait is not _WAITS[0]
                    commit.commit(self._client, store.database, self.table.name, self._id, self._where, again=again)
                    return
                except lost():
                    if store.folder is None or wait is None:
                        raise
                    time.sleep(wait)  # the owner went: the next one is asked how far the write came

    def _abandon(self) -> None:
        """Leave nothing behind where that can be done; what cannot be dropped now is swept later."""
        with self._open, suppress(StoreError, OSError), self._store.faults():
            commit.drop_staged(self._client, self._store.database, self.table.name, self._id)
