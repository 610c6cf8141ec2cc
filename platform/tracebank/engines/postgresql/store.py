"""The PostgreSQL adapter: binary COPY in by psycopg, Arrow out by ADBC, one transaction for each write.

Tables lie in a schema of their own, so that one database may hold the relational store as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import polars as pl
import psycopg
import pyarrow as pa
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from tracebank.engines.postgresql import ddl as ddl
from tracebank.engines.postgresql.writer import PostgreSQLWriter
from tracebank.settings import without_password
from tracebank.stores.faults import SchemaDrift, StoreBusy, StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank.tables.drift import Difference
from tracebank.tables.frames import Frame
from tracebank.tables.writer import Written, drained
from tracebank_schemas.series import TIMESTAMP, Partition, SeriesTable

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection as ArrowConnection

_BATCH_BYTES: Final = 4 << 20
_HINTS: Final = {
    "42P01": "run 'tracebank db upgrade'",
    "3F000": "run 'tracebank db upgrade'",
    "53100": "the disk is full and the old rows stand",
    "22021": "PostgreSQL's text keeps no NUL; the old rows stand",
}
"""What to do, or what it means, by SQLSTATE."""
_SAFE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class StatementTimeout(StoreError, TimeoutError):
    """A statement ran longer than it may."""


class PostgreSQLStore:
    """Series tables in PostgreSQL."""

    engine: ClassVar[str] = "postgresql"
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]] = "us"
    """Of the engine's own type, which SQL sees; `keeps_nanoseconds` is what `read` gives back."""
    keeps_nanoseconds: ClassVar[bool] = True
    """In a hidden column beside each time stamp."""
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]] = "duplicate"
    asof_join: ClassVar[bool] = False
    arrays: ClassVar[bool] = True
    deletes: ClassVar[bool] = True
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]] = "many_processes"

    def __init__(
        self,
        url: URL,
        *,
        schema: str = "series",
        indexed: bool = True,
        settings: Mapping[str, str] | None = None,
        lock_timeout: float = 120.0,
        connect_timeout: int = 10,
    ) -> None:
        """Nothing is connected yet.

        Args:
            url: of the database, as SQLAlchemy's `postgresql+psycopg` has it.
            schema: where the tables lie; made with the first one.
            indexed: make a btree on the sort key of each table.
            settings: of the server's, for every connection.
            lock_timeout: seconds that a write waits for another one to the same partition.
            connect_timeout: seconds to wait for the server.
        """
        if not _SAFE.fullmatch(schema):
            raise ValueError(f"schema {schema!r} is not accepted; use letters, digits and _")
        self.url = url
        self.schema = schema
        self.indexed = indexed
        self.lock_timeout = lock_timeout
        self._connect_timeout = connect_timeout
        self._settings = {"timezone": "UTC", "search_path": f"{schema},public", **(settings or {})}

    def conninfo(self) -> str:
        """Where and as whom to connect, and the session's settings, as libpq reads it."""
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        given = {key: str(value) for key, value in self.url.query.items()}
        return make_conninfo(
            host=self.url.host,
            port=self.url.port,
            user=self.url.username,
            password=None if self.url.password is None else str(self.url.password),
            dbname=self.url.database,
            options=options,
            connect_timeout=self._connect_timeout,
            **given,
        )

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Errors of the engine and of both drivers, as one-line `StoreError`s."""
        import adbc_driver_manager

        try:
            yield
        except (psycopg.Error, adbc_driver_manager.Error) as error:
            state = str(getattr(error, "sqlstate", None) or "").strip("\0")
            text = without_password(" ".join(str(error).split()), self.url)
            text = f"{_HINTS[state]}; {text}" if state in _HINTS else text
            kind = {"57014": StatementTimeout, "55P03": StoreBusy}.get(state, StoreError)
            raise kind(f"series store {self.url.render_as_string()}: {text[:500]}") from None

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """A connection that commits each statement."""
        with self.faults(), psycopg.connect(self.conninfo(), autocommit=True) as connection:
            yield connection

    def arrow_connection(self) -> ArrowConnection:
        """A connection that answers in Arrow."""
        from adbc_driver_postgresql.dbapi import connect  # type: ignore[import-untyped]

        with self.faults():
            connection: ArrowConnection = connect(self.conninfo(), autocommit=True)
        return connection

    def arrow(self, connection: ArrowConnection, text: str) -> pa.Table:
        """Whole answer of a query on a connection that is open."""
        with self.faults(), connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetch_arrow_table()

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        with self.connection() as connection:
            version = connection.execute("SHOW server_version").fetchone()
        return EngineInfo(self.engine, str(version[0] if version else ""), "server")

    def create(self, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
        """
        with self.connection() as connection, connection.transaction():
            # Who comes second waits, and finds it there.
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{self.schema} DDL",))
            for text in self._changes(table, self._differences(connection, table)):
                connection.execute(text.encode())

    def _changes(self, table: SeriesTable, found: list[Difference] | None) -> list[str]:
        if found is None:
            return [f"CREATE SCHEMA IF NOT EXISTS {ddl.quoted(self.schema)}", *self.statements(table)]
        if fatal := [d for d in found if not d.repairable]:
            first = fatal[0]
            raise SchemaDrift(
                f"table {self.schema}.{table.name}: {first.what} is {first.found}, declared {first.declared}"
                f" ({len(fatal)} such); copy its rows to a new table, or drop it and materialise again"
            )
        names = [difference.what.removeprefix("column ") for difference in found]
        return [text for name in names for text in ddl.add_column(table, self.schema, name)]

    def statements(self, table: SeriesTable) -> list[str]:
        """What makes a new table."""
        indexes = ddl.create_indexes(table, self.schema) if self.indexed else []
        return [*ddl.create_table(table, self.schema), *indexes]

    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""
        with self.connection() as connection:
            found = self._differences(connection, table)
        return [Difference(table.name, "table", "present", "absent", True)] if found is None else found

    def _differences(self, connection: psycopg.Connection, table: SeriesTable) -> list[Difference] | None:
        name = ddl.path(self.schema, table)
        standing = connection.execute(
            "SELECT oid, obj_description(oid, 'pg_class') FROM pg_class WHERE oid = to_regclass(%s)", (name,)
        ).fetchone()
        if standing is None:
            return None
        columns = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END"
            " FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (standing[0],),
        ).fetchall()
        return ddl.differences(table, [(str(column), str(kind)) for column, kind in columns], standing[1])

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        with self.connection() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {ddl.path(self.schema, table)}".encode())

    def replacing(self, table: SeriesTable, partition: Partition) -> PostgreSQLWriter:
        """A writer whose rows replace the partition's when its `with` block ends well; else the old rows stand."""
        return PostgreSQLWriter(self, table, partition)

    def replace(self, table: SeriesTable, partition: Partition, frames: Frame | Iterable[Frame]) -> Written:
        """Replace a partition by the rows of `frames`: atomic, idempotent, in bounded memory.

        Raises:
            FrameRefused: a frame does not fit; the old rows stand.
            StoreBusy: another writer has the partition, and did not end in time.
            StoreError: the engine failed; the old rows stand.
        """
        return drained(PostgreSQLWriter(self, table, partition), frames)

    def append(self, table: SeriesTable, frames: Frame | Iterable[Frame]) -> Written:
        """Add rows of any partitions. All frames are checked before the first row becomes visible."""
        return drained(PostgreSQLWriter(self, table, None), frames)

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
        schema = ddl.asked(table, columns)
        batches = self.read_batches(table, partition=partition, columns=columns, start=start, end=end, ordered=ordered)
        rows = pa.Table.from_batches(batches, schema=schema)
        frame = pl.from_arrow(rows, rechunk=False)
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
        """As `read`, streamed in Arrow batches."""
        text = ddl.select(table, self.schema, partition, columns, start, end, ordered)
        schema = ddl.asked(table, columns)
        with self.faults(), self.arrow_connection() as connection, connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
            cursor.execute(text)
            with cursor.fetch_record_batch() as reader:
                for batch in reader:
                    if batch.num_rows:
                        yield _declared(batch, schema)

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a query in PostgreSQL's SQL, parameters as `%(name)s`; bare table names are those of the schema."""
        if parameters:
            with self.connection() as connection:
                text = psycopg.ClientCursor(connection).mogrify(text.encode(), parameters)
        with self.arrow_connection() as connection:
            return self.arrow(connection, text.strip().removesuffix(";"))

    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows and bytes of the table, or of one partition, whose bytes are its rows' share of the table's."""
        inside = ddl.of_partition(table, partition) if partition is not None else "true"
        with self.connection() as connection:
            total, raw = self.sizes(connection, table)
            text = f"SELECT count(*), count(*) FILTER (WHERE {inside}) FROM {ddl.path(self.schema, table)}"
            every, rows = connection.execute(text.encode()).fetchone() or (0, 0)
        share = rows / every if every else 0.0 if partition is not None else 1.0
        return TableSize(rows, round(total * share), round(raw * share))

    def sizes(self, connection: psycopg.Connection, table: SeriesTable) -> tuple[int, int]:
        """Bytes of the table with its indexes, and of its rows alone: PostgreSQL does not compress them."""
        text = "SELECT pg_total_relation_size(%s::regclass), pg_table_size(%s::regclass)"
        name = ddl.path(self.schema, table)
        found = connection.execute(text, (name, name)).fetchone()
        assert found is not None
        return int(found[0]), int(found[1])


def _declared(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The engine's batch in the declared types: time stamps come as nanoseconds, narrow and unsigned integers wider."""
    columns: list[pa.Array[Any]] = []
    for field, values in zip(schema, batch.columns, strict=True):
        if field.type == TIMESTAMP:
            values = values.cast(pa.int64()).cast(TIMESTAMP)
        columns.append(values.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
