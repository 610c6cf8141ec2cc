"""The ClickHouse store: one class for an embedded engine, reached through its owner, and for a server; one HTTP client,
one dialect."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import polars as pl
import pyarrow as pa
from sqlalchemy.engine import URL

from tracebank.engines.clickhouse import ddl
from tracebank.engines.clickhouse.commit import damaged
from tracebank.engines.clickhouse.writer import ClickHouseWriter
from tracebank.settings import Settings, without_password
from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import Damage, EngineInfo, TableSize, as_polars
from tracebank.stores.sql_store import SqlStore
from tracebank.tables.drift import Standing
from tracebank.tables.frames import Frame, fitted
from tracebank.tables.partition import checked_partition, is_one_partition
from tracebank.tables.select import Dialect
from tracebank_schemas.series import Partition, PartitionValue, SeriesTable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_HINTS: Final = {
    "NOT_ENOUGH_SPACE": "the disk is full and the old rows stand",
    "No space left": "the disk is full and the old rows stand",
    "Read-only file system": "the folder is read-only and the old rows stand",
    "UNKNOWN_TABLE": "run 'tracebank db upgrade'",
    "UNKNOWN_DATABASE": "run 'tracebank db upgrade'",
}
"""What to do, or what it means, by a sign in the engine's message."""

_FEW: Final = 65_536
"""Rows that the engine makes one block of, and so one part, whatever their columns."""
_ARROW: Final = {
    "output_format_arrow_string_as_string": "1",
    "output_format_arrow_compression_method": "none",
    "output_format_arrow_low_cardinality_as_dictionary": "0",
}
"""Plain buffers; batches that have one schema, in which a dictionary of each batch's own has no place."""
_WHOLE: Final = {**_ARROW, "output_format_arrow_low_cardinality_as_dictionary": "1"}
"""Repeated values as dictionaries, for an answer that is held whole: twice as fast as text, measured."""


def client_of(url: URL, wait: float) -> Client:
    """A client of a store.

    Args:
        url: `chdb:///folder`, `clickhouse://…` or `clickhouses://…`.
        wait: seconds to wait for an embedded store's owner to be ready.
    """
    import clickhouse_connect

    # Faults come out as one line of our own; the client's records of them are for who asks for them.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    if url.drivername == "chdb":
        from tracebank.engines.clickhouse.reach import pool

        return clickhouse_connect.get_client(
            host="localhost",
            pool_mgr=pool(Path(str(url.database)), "engine", wait),
            compress=False,
            send_receive_timeout=86_400,
            autogenerate_session_id=False,
        )
    return clickhouse_connect.get_client(
        host=url.host,
        port=url.port or (8443 if url.drivername == "clickhouses" else 8123),
        username=url.username,
        password=str(url.password or ""),
        secure=url.drivername == "clickhouses",
        autogenerate_session_id=False,
    )


_client: Final = cache(client_of)
"""One in a process: making one asks the server for all its settings."""
os.register_at_fork(after_in_child=_client.cache_clear)


def opened(settings: Settings) -> ClickHouseStore:
    """The store that the settings name; nothing is connected yet."""
    return ClickHouseStore(settings.series, lock_timeout=settings.lock_timeout)


class ClickHouseStore(SqlStore):
    """Series tables in ClickHouse."""

    engine: ClassVar[str] = "clickhouse"
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]] = "ns"
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]] = "duplicate"
    asof_join: ClassVar[bool] = True
    arrays: ClassVar[bool] = True
    deletes: ClassVar[bool] = True
    catalogue: ClassVar[bool] = True
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]] = "many_processes"
    dialect: ClassVar[Dialect] = ddl.DIALECT

    def __init__(self, url: URL, *, lock_timeout: float = 120.0) -> None:
        """Nothing is connected yet.

        Args:
            url: `chdb:///folder`, `clickhouse://…` or `clickhouses://…`.
            lock_timeout: seconds to wait for an embedded store's owner to be ready.
        """
        self.url = url
        self.lock_timeout = lock_timeout
        self.embedded = url.drivername == "chdb"
        self.folder = Path(str(url.database)) if self.embedded else None
        self.database = "series" if self.embedded else str(url.database)

    @contextmanager
    def session(self) -> Iterator[Client]:
        """The client, of which a process has one; faults come out as one-line `StoreError`s."""
        with self.faults():
            yield _client(self.url, self.lock_timeout)

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Errors of the engine and of the way to it, as one-line `StoreError`s."""
        from clickhouse_connect.driver.exceptions import Error
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (Error, HTTPError, ConnectionError, pa.ArrowInvalid) as error:
            raise StoreError(f"series store {self.url.render_as_string()}: {self._one_line(error)}") from error

    def _one_line(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        for sign, hint in _HINTS.items():
            if sign in text:
                text = f"{hint}; {text}"
                break
        text = without_password(text, self.url)
        return text if len(text) < 500 else text[:500] + "…"

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        with self.session() as client:
            version = str(client.query("SELECT version()").result_rows[0][0])
        return EngineInfo(self.engine, version, "embedded (chDB)" if self.embedded else "server")

    def place(self, table: SeriesTable) -> str:
        """The table's full name, as SQL text."""
        return f"{ddl.quoted(self.database)}.{ddl.quoted(table.name)}"

    def _declared(self, table: SeriesTable) -> Standing:
        return ddl.declared(table)

    def _found(self, session: Client, table: SeriesTable) -> Standing | None:
        where = {"d": self.database, "t": table.name}
        keys = session.query(
            "SELECT partition_key, sorting_key FROM system.tables WHERE database = {d:String} AND name = {t:String}",
            parameters=where,
        ).result_rows
        if not keys:
            return None
        columns = session.query(
            "SELECT name, type FROM system.columns WHERE database = {d:String} AND table = {t:String}"
            " ORDER BY position",
            parameters=where,
        ).result_rows
        return ddl.standing(((str(name), str(kind)) for name, kind in columns), keys[0][0], keys[0][1])

    def _making(self, table: SeriesTable) -> list[str]:
        settings = ddl.EMBEDDED_SETTINGS if self.embedded else ""
        return [
            f"CREATE DATABASE IF NOT EXISTS {ddl.quoted(self.database)}",
            ddl.create_table(table, self.database, settings),
        ]

    def _adding(self, table: SeriesTable, column: str) -> list[str]:
        return [ddl.add_column(table, self.database, column)]

    def _execute(self, session: Client, statements: Sequence[str]) -> None:
        for text in statements:
            session.command(text)

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        with self.session() as client:
            client.command(f"DROP TABLE IF EXISTS {self.place(table)} SYNC")

    def writer(self, table: SeriesTable, partition: Partition | None) -> ClickHouseWriter:
        """A writer that stages its rows in a table of their own."""
        return ClickHouseWriter(self, table, partition)

    def insert(self, table: SeriesTable, rows: Frame) -> None:
        """As `SeriesStore.insert`: rows of one partition become a part of it by one statement, which is atomic."""
        fit = fitted(table, rows, ddl.LIMITS)
        if not 0 < fit.num_rows <= _FEW or not is_one_partition(table, fit):
            self.append(table, fit)
        else:
            with self.session() as client:
                client.insert_arrow(table.name, fit, database=self.database, settings={"max_threads": 1})

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
        """As `SeriesStore.read`; repeated values come as dictionaries."""
        text = self.dialect.select(
            table,
            self.place(table),
            partition=partition,
            columns=columns,
            start=start,
            end=end,
            ordered=ordered,
        )
        with self.session() as client, client.raw_stream(text, settings=_WHOLE, fmt="ArrowStream") as stream:
            return as_polars(table, pa.ipc.open_stream(stream).read_all())

    def _batches(self, text: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self.session() as client, client.raw_stream(text, settings=_ARROW, fmt="ArrowStream") as stream:
            for batch in pa.ipc.open_stream(stream):
                yield batch.cast(schema)

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a query in ClickHouse's SQL; bare table names are those of the store's database."""
        with self.session() as client:
            return client.query_arrow(text, parameters=parameters, settings={"database": self.database})

    def damage(self) -> list[Damage]:
        """Parts that were set aside as broken."""
        with self.session() as client:
            return [Damage(*map(str, row)) for row in client.query(damaged(self.database)).result_rows]

    def discard_damage(self) -> list[Damage]:
        """Throw broken parts away."""
        found = self.damage()
        with self.session() as client:
            for entry in found:
                name = f"{ddl.quoted(self.database)}.{ddl.quoted(entry.table)}"
                text = f"ALTER TABLE {name} DROP DETACHED PART {ddl.literal(entry.part)}"
                client.command(text, settings={"allow_drop_detached": 1})
        return found

    def partitions(self, table: SeriesTable) -> list[tuple[dict[str, PartitionValue], int]]:
        """Every partition that has rows, from the engine's parts."""
        names = [key.name for key in table.partition_keys]
        shown = [f"_partition_value.{at} AS {ddl.quoted(name)}" for at, name in enumerate(names, 1)]
        text = f"SELECT {', '.join([*shown, 'count() AS rows'])} FROM {self.place(table)}"
        if names:
            places = ", ".join(map(str, range(1, len(names) + 1)))
            text += f" GROUP BY {places} ORDER BY {places}"
        with self.session() as client:
            found = client.query(text).result_rows
        return [(dict(zip(names, values, strict=True)), rows) for *values, rows in found if rows]

    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows and bytes of the table, or of one partition."""
        text = (
            "SELECT sum(rows), sum(bytes_on_disk), sum(data_uncompressed_bytes) FROM system.parts"
            " WHERE database = {d:String} AND table = {t:String} AND active"
        )
        parameters = {"d": self.database, "t": table.name}
        if partition is not None:
            text += f" AND partition = {ddl.partition_text(table, checked_partition(table, partition))}"
        with self.session() as client:
            rows, on_disk, raw = client.query(text, parameters=parameters).result_rows[0]
        return TableSize(int(rows), int(on_disk), int(raw))
