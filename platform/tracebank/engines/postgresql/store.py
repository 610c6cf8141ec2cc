"""The PostgreSQL adapter: binary COPY in and out, one transaction for each write, native partitions that are swapped.

Tables lie in a schema of their own, so that one database may hold the relational store as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Literal

import psycopg
import pyarrow as pa
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from tracebank.engines.postgresql import ddl
from tracebank.engines.postgresql.answers import answer
from tracebank.engines.postgresql.partitions import NAMES, NOTES, SIZES, Leaf, divided, noted, parts
from tracebank.engines.postgresql.writer import PostgreSQLWriter
from tracebank.settings import Settings, without_password
from tracebank.stores.faults import StatementTimeout, StoreBusy, StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank.stores.sql_store import SqlStore
from tracebank.tables.drift import Standing
from tracebank.tables.drift import noted as keys_noted
from tracebank.tables.partition import checked_partition
from tracebank.tables.select import Dialect
from tracebank_schemas.series import TIMESTAMP, Partition, PartitionValue, SeriesTable

HINTS: Final = {
    "42P01": "run 'tracebank db upgrade'",
    "3F000": "run 'tracebank db upgrade'",
    "53100": "the disk is full and the old rows stand",
    "53200": "the server is out of locks or memory; with thousands of partitions raise max_locks_per_transaction",
    "22021": "PostgreSQL's text keeps no NUL; the old rows stand",
}
"""What to do, or what it means, by SQLSTATE."""
_DROPPED_AT_ONCE: Final = 500
_SAFE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def conninfo(url: URL, settings: Mapping[str, str], connect_timeout: int = 10) -> str:
    """Where and as whom to connect, and the session's settings, as libpq reads it."""
    given = {key: str(value) for key, value in url.query.items()}
    return make_conninfo(
        host=url.host,
        port=url.port,
        user=url.username,
        password=None if url.password is None else str(url.password),
        dbname=url.database,
        options=" ".join(f"-c {name}={value}" for name, value in {**ddl.SESSION, **settings}.items()),
        connect_timeout=connect_timeout,
        client_encoding="utf8",
        **given,
    )


def opened(settings: Settings) -> PostgreSQLStore:
    """The store that the settings name; nothing is connected yet."""
    return PostgreSQLStore(settings.series, lock_timeout=settings.lock_timeout)


class PostgreSQLStore(SqlStore):
    """Series tables in PostgreSQL."""

    engine: ClassVar[str] = "postgresql"
    dialect: ClassVar[Dialect] = ddl.DIALECT
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]] = "us"
    """Of the engine's own type, which SQL sees; a hidden column beside each time stamp keeps the nanoseconds."""
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]] = "duplicate"
    asof_join: ClassVar[bool] = False
    arrays: ClassVar[bool] = True
    deletes: ClassVar[bool] = True
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]] = "many_processes"
    _known: ClassVar[str] = "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass"
    """Rows of a table without native partitions, as far as the engine knows them without counting."""

    def __init__(
        self,
        url: URL,
        *,
        schema: str = "series",
        indexed: bool = True,
        partitioned: bool = True,
        settings: Mapping[str, str] | None = None,
        lock_timeout: float = 120.0,
        connect_timeout: int = 10,
    ) -> None:
        """Nothing is connected yet.

        Args:
            url: of the database, as SQLAlchemy's `postgresql+psycopg` has it.
            schema: where the tables lie; made with the first one.
            indexed: make a btree on the sort key of each table.
            partitioned: divide new tables into native partitions.
            settings: of the server's, for every connection.
            lock_timeout: seconds that a write waits for another one to the same partition, or for readers.
            connect_timeout: seconds to wait for the server.
        """
        if not _SAFE.fullmatch(schema):
            raise ValueError(f"schema {schema!r} is not accepted; use letters, digits and _")
        self.url = url
        self.schema = schema
        self.indexed = indexed
        self.partitioned = partitioned
        self.lock_timeout = lock_timeout
        self._connect_timeout = connect_timeout
        self._settings = {"search_path": f"{schema},public", **(settings or {})}

    def conninfo(self) -> str:
        """Where and as whom to connect, and the session's settings, as libpq reads it."""
        return conninfo(self.url, self._settings, self._connect_timeout)

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Errors of the engine, as one-line `StoreError`s."""
        try:
            yield
        except psycopg.Error as error:
            state = error.sqlstate or ""
            text = without_password(" ".join(str(error).split()), self.url)
            text = f"{HINTS[state]}; {text}" if state in HINTS else text
            kind = {"57014": StatementTimeout, "55P03": StoreBusy}.get(state, StoreError)
            raise kind(f"series store {self.url.render_as_string()}: {text[:500]}") from None

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection]:
        """A connection that commits each statement."""
        with self.faults(), psycopg.connect(self.conninfo(), autocommit=True) as connection:
            yield connection

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        with self.session() as session:
            version = session.execute("SHOW server_version").fetchone()
        return EngineInfo(self.engine, str(version[0] if version else ""), "server")

    def place(self, table: SeriesTable) -> str:
        """The table's full name, as SQL text."""
        return ddl.path(self.schema, table.name)

    def prepare(self, session: psycopg.Connection, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained, in a session that is open.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
        """
        if self._found(session, table) == self._declared(table):
            return
        with session.transaction():
            # Who comes second waits, and finds it there.
            wait_for(session, f"{self.schema} DDL")
            super().prepare(session, table)

    def _declared(self, table: SeriesTable) -> Standing:
        return ddl.standing(table)

    def _found(self, session: psycopg.Connection, table: SeriesTable) -> Standing | None:
        standing = session.execute(
            "SELECT oid, obj_description(oid, 'pg_class') FROM pg_class WHERE oid = to_regclass(%s)",
            (self.place(table),),
        ).fetchone()
        if standing is None:
            return None
        columns = session.execute(
            "SELECT attname, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END"
            " FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (standing[0],),
        ).fetchall()
        return Standing(dict(columns), *keys_noted(standing[1]))

    def _making(self, table: SeriesTable) -> list[str]:
        place = self.place(table)
        index = ddl.create_index(table, place) if self.indexed else []
        schemas = [f"CREATE SCHEMA IF NOT EXISTS {ddl.quoted(self.schema)}"]
        if self.partitioned:
            schemas.append(f"CREATE SCHEMA IF NOT EXISTS {ddl.quoted(parts(self.schema))}")
            return [*schemas, *ddl.create_table(table, place, divided(table, 0)), *index]
        beside = [key.name for key in table.partition_keys if key.column == key.name not in table.sort_key]
        index += ddl.create_index(table, place, beside) if self.indexed else []
        return [*schemas, *ddl.create_table(table, place), *index]

    def statements(self, table: SeriesTable) -> list[str]:
        """Statements that make a table which is not there, for the record."""
        return self._making(table)

    def _adding(self, table: SeriesTable, column: str) -> list[str]:
        return ddl.add_column(table, self.place(table), column)

    def _execute(self, session: psycopg.Connection, statements: Sequence[str]) -> None:
        with session.transaction():
            for text in statements:
                session.execute(text.encode())

    def divided(self, session: psycopg.Connection, table: SeriesTable) -> bool:
        """Whether the table that stands has native partitions; those of earlier versions have none."""
        text = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%s)"
        found = session.execute(text, (self.place(table),)).fetchone()
        return bool(found and found[0])

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there; partitions go some at a time: a server's locks are few."""
        with self.session() as session:
            names = [str(name) for (name,) in session.execute(NAMES, (self.place(table),)).fetchall()]
            for start in range(0, len(names), _DROPPED_AT_ONCE):
                text = f"DROP TABLE IF EXISTS {', '.join(names[start : start + _DROPPED_AT_ONCE])}"
                session.execute(text.encode())
        super().drop(table)

    def writer(self, table: SeriesTable, partition: Partition | None) -> PostgreSQLWriter:
        """A writer of the partition's rows, which replace those that stand; for None, of rows to add anywhere.

        Raises:
            FrameRefused: the partition's keys do not fit.
        """
        return PostgreSQLWriter(self, table, partition)

    def _batches(self, text: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self.session() as session:
            for batch in answer(session, text).batches:
                yield _typed(batch, schema)

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a query in PostgreSQL's SQL, parameters as `%(name)s`; bare table names are those of the schema."""
        with self.session() as session:
            if parameters:
                text = psycopg.ClientCursor(session).mogrify(text.encode(), parameters)
            found = answer(session, text.strip().removesuffix(";"))
            return pa.Table.from_batches(found.batches, schema=found.schema)

    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows and bytes of the table, or of one partition: out of the engine's catalogue, nothing is counted."""
        leaf = self.leaf(table, checked_partition(table, partition)) if partition is not None else None
        with self.session() as session:
            if not self.divided(session, table):
                return self._whole_size(session, table, partition)
            place = leaf.place if leaf else self.place(table)
            found = session.execute(SIZES, (place,)).fetchall()
        return TableSize(
            sum(noted(table, row[0])[1] for row in found), sum(row[1] for row in found), sum(row[2] for row in found)
        )

    def _whole_size(self, session: psycopg.Connection, table: SeriesTable, partition: Partition | None) -> TableSize:
        """Of a table without native partitions: those rows are counted, and take their share of its bytes."""
        total, raw = self.sizes(session, table)
        inside = " AND ".join(self.dialect.of_partition(table, partition)) if partition is not None else ""
        text = f"SELECT count(*) FROM {self.place(table)} WHERE {inside or 'true'}"
        [rows] = session.execute(text.encode()).fetchone() or (0,)
        if partition is None:
            return TableSize(rows, total, raw)
        known = session.execute(self._known, (self.place(table),)).fetchone() or (0,)
        share = rows / max(rows, int(known[0]), 1)
        return TableSize(rows, round(total * share), round(raw * share))

    def sizes(self, session: psycopg.Connection, table: SeriesTable) -> tuple[int, int]:
        """Bytes of a table with its indexes, and of its rows alone: PostgreSQL does not compress them."""
        text = "SELECT pg_total_relation_size(%s::regclass), pg_table_size(%s::regclass)"
        found = session.execute(text, (self.place(table),) * 2).fetchone()
        assert found is not None
        return int(found[0]), int(found[1])

    def partitions(self, table: SeriesTable) -> list[tuple[dict[str, PartitionValue], int]]:
        """Every partition that has rows, with their number; in the order of its values."""
        with self.session() as session:
            if not self.divided(session, table):
                return super().partitions(table)
            found = [noted(table, row[0]) for row in session.execute(NOTES, (self.place(table),))]
        return sorted((entry for entry in found if entry[1]), key=lambda entry: tuple(entry[0].values()))

    def leaf(self, table: SeriesTable, values: Mapping[str, PartitionValue]) -> Leaf:
        """A partition of the table's.

        Raises:
            FrameRefused: text has a NUL.
        """
        found = Leaf(table, self.schema, values)
        found.condition()
        return found


def wait_for(session: psycopg.Connection, name: str) -> None:
    """Wait until nobody else holds the name, which is this transaction's until it ends."""
    session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))


def _typed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The engine's batch in the declared types: time stamps come as nanoseconds, narrow and unsigned integers wider."""
    columns: list[pa.Array[Any]] = []
    for field, values in zip(schema, batch.columns, strict=True):
        if field.type == TIMESTAMP:
            values = values.cast(pa.int64()).cast(TIMESTAMP)
        columns.append(values.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
