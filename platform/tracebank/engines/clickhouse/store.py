"""The ClickHouse adapter: one class for the engine in process (chDB) and for a server, which speak one dialect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import polars as pl
import pyarrow as pa
from sqlalchemy.engine import URL

from tracebank.engines.clickhouse import ddl as ddl
from tracebank.engines.clickhouse import embedded
from tracebank.engines.clickhouse.commit import recover
from tracebank.engines.clickhouse.select import ARROW, BATCHES, select
from tracebank.engines.clickhouse.writer import ClickHouseWriter
from tracebank.settings import without_password
from tracebank.stores.faults import SchemaDrift, StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank.tables.drift import Difference
from tracebank.tables.frames import Frame
from tracebank.tables.partition import checked_partition
from tracebank.tables.writer import Written, drained
from tracebank_schemas.series import Partition, SeriesTable

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


class ClickHouseStore:
    """Series tables in ClickHouse."""

    engine: ClassVar[str] = "clickhouse"
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]] = "ns"
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]] = "duplicate"
    asof_join: ClassVar[bool] = True
    arrays: ClassVar[bool] = True
    deletes: ClassVar[bool] = True
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]]

    def __init__(self, url: URL, *, lock_timeout: float = 120.0) -> None:
        self._url = url
        self._lock_timeout = lock_timeout
        self._folder = Path(str(url.database))
        self.embedded = url.drivername == "chdb"
        self.database = "series" if self.embedded else str(url.database)
        self.concurrency = "one_process" if self.embedded else "many_processes"  # type: ignore[misc]

    @contextmanager
    def session(self) -> Iterator[Client]:
        """A client, open for the length of the block; faults come out as one-line `StoreError`s."""
        from clickhouse_connect.driver.exceptions import Error

        try:
            if self.embedded:
                with embedded.embedded_session(self._folder, timeout=self._lock_timeout) as client:
                    embedded.sweep(self._folder)
                    recover(client, self.database)
                    yield client
            else:
                client = self._connect()
                try:
                    yield client
                finally:
                    client.close()
        except Error as error:
            raise StoreError(f"series store {self._url.render_as_string()}: {self._one_line(error)}") from error

    def _connect(self) -> Client:
        import clickhouse_connect

        return clickhouse_connect.get_client(
            host=self._url.host,
            port=self._url.port or (8443 if self._url.drivername == "clickhouses" else 8123),
            username=self._url.username,
            password=str(self._url.password or ""),
            secure=self._url.drivername == "clickhouses",
        )

    def _one_line(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        for sign, hint in _HINTS.items():
            if sign in text:
                text = f"{hint}; {text}"
                break
        text = without_password(text, self._url)
        return text if len(text) < 500 else text[:500] + "…"

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        with self.session() as client:
            version = str(client.query("SELECT version()").result_rows[0][0])
        return EngineInfo(self.engine, version, "embedded (chDB)" if self.embedded else "server")

    def create(self, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
        """
        with self.session() as client:
            self.prepare(client, table)

    def prepare(self, client: Client, table: SeriesTable) -> None:
        """`create`, in a session that is open."""
        found = self._differences(client, table)
        if found is None:
            client.command(f"CREATE DATABASE IF NOT EXISTS {ddl.quoted(self.database)}")
            settings = ddl.EMBEDDED_SETTINGS if self.embedded else ""
            client.command(ddl.create_table(table, self.database, settings))
            return
        if fatal := [d for d in found if not d.repairable]:
            first = fatal[0]
            raise SchemaDrift(
                f"table {self.database}.{table.name}: {first.what} is {first.found}, declared {first.declared}"
                f" ({len(fatal)} such); copy its rows to a new table, or drop it and materialise again"
            )
        for difference in found:
            client.command(ddl.add_column(table, self.database, difference.what.removeprefix("column ")))

    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""
        with self.session() as client:
            found = self._differences(client, table)
        return [Difference(table.name, "table", "present", "absent", True)] if found is None else found

    def _differences(self, client: Client, table: SeriesTable) -> list[Difference] | None:
        where = {"d": self.database, "t": table.name}
        keys = client.query(
            "SELECT partition_key, sorting_key FROM system.tables WHERE database = {d:String} AND name = {t:String}",
            parameters=where,
        ).result_rows
        if not keys:
            return None
        columns = client.query(
            "SELECT name, type FROM system.columns WHERE database = {d:String} AND table = {t:String}"
            " ORDER BY position",
            parameters=where,
        ).result_rows
        return ddl.differences(table, [(name, kind) for name, kind in columns], keys[0][0], keys[0][1])

    def insert(self, client: Client, table: str, rows: pa.Table) -> None:
        """Put rows into a table of the store's database, in a session that is open."""
        if self.embedded:
            embedded.insert(client, self._folder, f"{ddl.quoted(self.database)}.{ddl.quoted(table)}", rows)
        else:
            client.insert_arrow(table, rows, database=self.database)

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        with self.session() as client:
            client.command(f"DROP TABLE IF EXISTS {self._name(table)} SYNC")

    def replacing(self, table: SeriesTable, partition: Partition) -> ClickHouseWriter:
        """A writer whose rows replace the partition's when its `with` block ends well; else the old rows stand."""
        return ClickHouseWriter(self, table, partition)

    def replace(self, table: SeriesTable, partition: Partition, frames: Frame | Iterable[Frame]) -> Written:
        """Replace a partition by the rows of `frames`: atomic, idempotent, in bounded memory.

        Raises:
            FrameRefused: a frame does not fit; the old rows stand.
            StoreError: the engine failed; the old rows stand.
        """
        return drained(ClickHouseWriter(self, table, partition), frames)

    def append(self, table: SeriesTable, frames: Frame | Iterable[Frame]) -> Written:
        """Add rows of any partitions. All frames are checked before the first row becomes visible."""
        return drained(ClickHouseWriter(self, table, None), frames)

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
        text = select(table, self.database, partition, columns, start, end, ordered)
        with self.session() as client:
            answer = pa.ipc.open_file(client.raw_query(text + ARROW, fmt="Arrow")).read_all()
        frame = pl.from_arrow(answer, rechunk=False)
        assert isinstance(frame, pl.DataFrame)
        return frame.cast({name: table.polars_schema[name] for name in frame.columns})

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
        """As `read`, streamed in Arrow batches; the embedded store stays open until the iterator ends."""
        text = select(table, self.database, partition, columns, start, end, ordered)
        with self.session() as client:
            if self.embedded:
                yield from embedded.stream(self._folder, text + BATCHES)
            else:
                with client.query_arrow_stream(text) as stream:
                    yield from stream

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a query in ClickHouse's SQL; bare table names are those of the store's database."""
        with self.session() as client:
            client.database = self.database
            return client.query_arrow(text, parameters=parameters)

    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows and bytes of the table, or of one partition."""
        with self.session() as client:
            return self.size_in(client, table, partition)

    def size_in(self, client: Client, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """`size`, in a session that is open."""
        text = (
            "SELECT sum(rows), sum(bytes_on_disk), sum(data_uncompressed_bytes) FROM system.parts"
            " WHERE database = {d:String} AND table = {t:String} AND active"
        )
        parameters = {"d": self.database, "t": table.name}
        if partition is not None:
            text += f" AND partition = {ddl.partition_text(table, checked_partition(table, partition))}"
        rows, on_disk, raw = client.query(text, parameters=parameters).result_rows[0]
        return TableSize(int(rows), int(on_disk), int(raw))

    def _name(self, table: SeriesTable) -> str:
        return f"{ddl.quoted(self.database)}.{ddl.quoted(table.name)}"
