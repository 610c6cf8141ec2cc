"""PostgreSQL and TimescaleDB in the suite, on the platform's own adapters.

Lanes: `paper` has the naive table without an index; `idiomatic` loads the declared one and then makes a btree on
symbol, time and seq and a BRIN on time and seq; TimescaleDB's has its columnstore beside the btree. Both lanes are
vacuumed and analysed after the load, as the server's own daemon would do later.
"""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import psutil
import psycopg
import pyarrow as pa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tracebank.engines.postgresql import ddl as postgresql_ddl
from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.engines.postgresql.timescaledb import ABSENT, TimescaleDBStore, extension_version
from tracebank.engines.postgresql.writer import PostgreSQLWriter, physical_columns
from tracebank.settings import shown_url, without_password
from tracebank.stores.faults import StatementTimeout, StoreError
from tracebank.stores.series_store import TableSize
from tracebank.tables.frames import fitted
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.engine import EngineState, FileForm, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import memory, sql, threads
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import TIMESTAMP, SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES, naive

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection as ArrowConnection

URL_FORM: Final = "postgresql+psycopg://user:password@host:5432/database"
_SCHEMES: Final = ("postgresql+psycopg", "postgresql", "timescaledb+psycopg", "timescaledb")
"""As the series store's own URL has them: the engine that is asked for says which of the two it is."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PIECE: Final = 4 << 20
"""Bytes of a file that are sent at a time."""
_BUCKET: Final = re.compile(r"time_bucket\(('[^']*'), ([^()]+)\)")
_NO_MOMENTS: Final = "(NULL::text, NULL::bigint, NULL::timestamptz)"
_RECORDED: Final = (
    "effective_cache_size",
    "fsync",
    "full_page_writes",
    "jit",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "max_wal_size",
    "random_page_cost",
    "shared_buffers",
    "statement_timeout",
    "synchronous_commit",
    "wal_level",
    "work_mem",
)


def literal(name: str, value: Value) -> str:
    """A parameter as PostgreSQL writes it; tuples of names or numbers as the inside of `IN (…)`, moments as the rows of
    `VALUES`: symbol, nanoseconds since 1970, and time stamp.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, a number is not finite, or text has a NUL.
    """
    if name == "moments":
        rows = (f"({_scalar(symbol)}, {_nanoseconds(at)}::bigint, {_scalar(at)})" for symbol, at in sql.pairs(value))
        return ", ".join(rows) or _NO_MOMENTS
    if isinstance(value, tuple):
        return ", ".join(map(_scalar, value)) or "NULL"
    return _scalar(value)


def _nanoseconds(moment: datetime) -> int:
    return (sql.utc(moment) - _EPOCH) // timedelta(microseconds=1) * 1000


def _scalar(value: object) -> str:
    if isinstance(value, datetime):
        return postgresql_ddl.literal(sql.utc(value))
    if isinstance(value, str):
        return postgresql_ddl.literal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{sql.number(value)}::float8"
    raise sql.refused(value)


class PostgreSQLSession:
    """A schema of its own in one lane; each thread has its own connection."""

    family: ClassVar[str] = "postgresql"
    _own_buckets: ClassVar[bool] = False
    text_form: ClassVar[FileForm] = FileForm.CSV
    refused_forms: ClassVar[Mapping[FileForm, str]] = {
        FileForm.PARQUET: "PostgreSQL reads no Parquet by itself: COPY takes text, CSV or binary",
        FileForm.LINES: "PostgreSQL reads no line protocol",
    }

    def __init__(self, store: PostgreSQLStore, lane: Lane) -> None:
        self._store = store
        self._lane = lane
        self._connections = threading.local()
        self._open = ExitStack()
        self._guard = threading.Lock()

    def declared(self, table: SeriesTable) -> SeriesTable:
        """The table as the lane has it."""
        return naive(table) if self._lane is Lane.PAPER else table

    def set_up(self) -> None:
        """Make the empty tables, and have the encoder compiled before anything is timed."""
        from tracebank.engines.postgresql.copy import warm

        warm()
        for table in TABLES:
            self._store.create(self.declared(table))

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Load by binary COPY in one transaction; `settle` makes indexes, vacuums, analyses and checkpoints."""
        timed = sql.Timed(frames)
        start = time.perf_counter()
        with PostgreSQLWriter(self._store, self.declared(table), None) as writer:
            for frame in timed:
                writer.write(frame)
        send = time.perf_counter() - start - timed.seconds - writer.serialise_seconds
        return LoadPhases(serialise=writer.serialise_seconds, send=send, settle=self._settle(table))

    def load_files(self, table: SeriesTable, paths: Sequence[Path], form: FileForm) -> LoadPhases:
        """Stream CSV as it is by COPY into a temporary table, and have the server read the time stamps out of it.

        Raises:
            UnsupportedError: PostgreSQL reads no such files.
            StoreError: a file is broken; nothing was written.
        """
        if reason := self.refused_forms.get(form):
            raise UnsupportedError(reason)
        declared, start = self.declared(table), time.perf_counter()
        loading = postgresql_ddl.quoted(f"{table.name}_loading")
        with self._store.faults(), psycopg.connect(self._store.conninfo()) as connection:
            connection.execute(_loading_table(declared, loading).encode())
            for path in paths:
                with path.open("rb") as file, connection.cursor() as cursor:
                    text = f"COPY {loading} FROM STDIN (FORMAT csv, HEADER match)"
                    with cursor.copy(text.encode()) as copy:
                        while piece := file.read(_PIECE):
                            copy.write(piece)
            send = time.perf_counter() - start
            connection.execute(_from_loading(declared, self._store.place(declared), loading).encode())
        server = time.perf_counter() - start - send
        return LoadPhases(serialise=0.0, send=send, settle=self._settle(table), server=server)

    def _settle(self, table: SeriesTable) -> float:
        start = time.perf_counter()
        with self._store.session() as connection:
            for text in self._settlement(table):
                connection.execute(text.encode())
            self._convert(table)
            connection.execute(f"VACUUM (ANALYZE) {self._store.place(table)}".encode())
            may = connection.execute("SELECT pg_has_role('pg_checkpoint', 'usage') OR rolsuper FROM pg_roles"
                                     " WHERE rolname = current_user").fetchone()  # fmt: skip
            if may and may[0]:
                connection.execute("CHECKPOINT")
        return time.perf_counter() - start

    def _settlement(self, table: SeriesTable) -> list[str]:
        if self._lane is Lane.PAPER:
            return []
        place = self._store.place(table)
        brin = f'CREATE INDEX IF NOT EXISTS "{table.name}_ts_brin" ON {place} USING brin ("ts", "seq")'
        return [*postgresql_ddl.create_index(table, place), f"{brin} WITH (pages_per_range = 16)"]

    def _convert(self, table: SeriesTable) -> None:
        """Nothing to convert in plain PostgreSQL."""

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is no text.
        """
        text = self._text(workload)
        if text is None:
            raise UnsupportedError(f"{workload.id}: no text in PostgreSQL's SQL")
        return self.filled(workload, text, parameters)

    def filled(self, workload: Workload, text: str, parameters: Parameters) -> Prepared:
        """A text of a workload's, in place of the kept one; buckets have TimescaleDB's name in all of them."""
        if not self._own_buckets:
            text = _BUCKET.sub(r"date_bin(\1, \2, TIMESTAMPTZ '2000-01-01 00:00:00+00')", text)
        return Prepared(workload, sql.filled(workload, text, parameters, literal))

    def command(self, statement: str) -> None:
        """Run a statement that has no answer.

        Raises:
            StoreError: the engine refused it.
        """
        with self._store.session() as connection:
            connection.execute(statement.encode())

    def _text(self, workload: Workload) -> str | None:
        return queries.text(self.family, workload.id, self._lane)

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read the whole answer, in Arrow.

        Raises:
            TimeoutError: it ran longer than it may.
            StoreError: the engine failed.
        """
        with _faults(self._store), self._connection().cursor() as cursor:
            cursor.execute(prepared.text)
            return sql.shaped(prepared.workload, cursor.fetch_arrow_table())

    def size(self, table: SeriesTable) -> TableSize:
        """Rows, bytes with indexes, bytes of the rows; the write-ahead log is the server's and not counted."""
        return self._store.size(self.declared(table))

    def cold(self) -> str:
        """Nothing that a client can do empties a server's buffers."""
        return ""

    def ddl(self) -> str:
        """The statements that set the lane up, for the record."""
        texts = [text for table in TABLES for text in self._store.statements(self.declared(table))]
        texts += [text for table in TABLES for text in self._settlement(table)]
        return ";\n".join([*texts, "VACUUM (ANALYZE)"]) + ";"

    def processes(self) -> list[int]:
        """The server's first process, where it runs on this machine."""
        with self._store.session() as connection:
            backend = connection.info.backend_pid
            try:
                process = psutil.Process(backend)
                parent = process.parent()
            except psutil.Error:
                return []
            return [parent.pid] if parent is not None and "postgres" in process.name() else []

    @contextmanager
    def connection(self) -> Iterator[PostgreSQLSession]:
        """Another connection, and one more for batches once there are any."""
        other = self._another()
        try:
            other._connection()
            yield other
        finally:
            other.close()

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        """Binary COPY of a batch in a transaction of its own, on a connection that stays open.

        Raises:
            StoreError: the engine refused it.
        """
        from tracebank.engines.postgresql.copy import HEADER, TRAILER, encoded

        declared = self.declared(table)
        columns = physical_columns(declared, fitted(declared, rows, postgresql_ddl.LIMITS))
        names = postgresql_ddl.names(declared)
        text = f"COPY {self._store.place(declared)} ({names}) FROM STDIN (FORMAT BINARY)"
        with self._store.faults(), self._writing().cursor() as cursor, cursor.copy(text.encode()) as copy:
            copy.write(b"".join((HEADER, *encoded(columns), TRAILER)))

    def close(self) -> None:
        """Close every connection."""
        with self._guard:
            self._open.close()
            self._connections = threading.local()

    def drop(self) -> None:
        """Remove the schema and close every connection."""
        self.close()
        with self._store.session() as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {postgresql_ddl.quoted(self._store.schema)} CASCADE".encode())

    def _writing(self) -> psycopg.Connection:
        found: psycopg.Connection | None = getattr(self._connections, "writing", None)
        if found is None:
            found = psycopg.connect(self._store.conninfo(), autocommit=True)
            with self._guard:
                self._open.enter_context(closing(found))
            self._connections.writing = found
        return found

    def _another(self) -> PostgreSQLSession:
        return PostgreSQLSession(self._store, self._lane)

    def _connection(self) -> ArrowConnection:
        found: ArrowConnection | None = getattr(self._connections, "connection", None)
        if found is None:
            found = _arrow_connection(self._store)
            with self._guard:
                self._open.enter_context(closing(found))
            self._connections.connection = found
        return found


@contextmanager
def _faults(store: PostgreSQLStore) -> Iterator[None]:
    """Errors of Arrow's driver, too, as those of the store."""
    import adbc_driver_manager

    try:
        with store.faults():
            yield
    except adbc_driver_manager.Error as error:
        kind = StatementTimeout if str(error.sqlstate or "").strip("\0") == "57014" else StoreError
        text = without_password(" ".join(str(error).split()), store.url)
        raise kind(f"series store {store.url.render_as_string()}: {text[:500]}") from None


def _arrow_connection(store: PostgreSQLStore) -> ArrowConnection:
    """A connection that answers in Arrow; dear to open, and quick once it is."""
    from adbc_driver_postgresql.dbapi import connect  # type: ignore[import-untyped]

    with _faults(store):
        connection: ArrowConnection = connect(store.conninfo(), autocommit=True)
    return connection


def _loading_table(declared: SeriesTable, loading: str) -> str:
    """A table that goes with its transaction; time stamps are text, since the engine would round nanoseconds."""
    columns = ", ".join(
        f"{postgresql_ddl.quoted(c.name)} {'text' if c.type == TIMESTAMP else postgresql_ddl.column_type(c.name, c)}"
        for c in declared.columns
    )
    return f"CREATE TEMPORARY TABLE {loading} ({columns}) ON COMMIT DROP"


def _from_loading(declared: SeriesTable, place: str, loading: str) -> str:
    """Rows of the temporary table into the real one: each time stamp in microseconds, cut off, and in nanoseconds."""
    physical = postgresql_ddl.physical(declared)
    values = []
    for name, source in physical:
        text = postgresql_ddl.quoted(source.name)
        if source.type == TIMESTAMP and name == source.name:
            text = f"left({text}, 26)::timestamptz"
        elif source.type == TIMESTAMP:
            seconds = f"extract(epoch FROM left({text}, 19)::timestamp)::bigint * 1000000000"
            text = f"{seconds} + rpad(substr({text}, 21, 9), 9, '0')::bigint"
        values.append(text)
    names = ", ".join(postgresql_ddl.quoted(name) for name, _ in physical)
    return f"INSERT INTO {place} ({names}) SELECT {', '.join(values)} FROM {loading}"


class TimescaleDBSession(PostgreSQLSession):
    """As PostgreSQL's, on hypertables."""

    family: ClassVar[str] = "timescaledb"
    _own_buckets: ClassVar[bool] = True

    def __init__(self, store: TimescaleDBStore, lane: Lane) -> None:
        super().__init__(store, lane)
        self._hypertables = store

    def _settlement(self, table: SeriesTable) -> list[str]:
        if self._lane is Lane.PAPER:
            return []
        return postgresql_ddl.create_index(table, self._store.place(table))

    def _text(self, workload: Workload) -> str | None:
        """Its own, or PostgreSQL's without an index: a columnstore is scanned, not looked up in."""
        return queries.text(self.family, workload.id) or queries.text("postgresql", workload.id, Lane.PAPER)

    def _another(self) -> PostgreSQLSession:
        return TimescaleDBSession(self._hypertables, self._lane)

    def _convert(self, table: SeriesTable) -> None:
        if self._hypertables.columnstore:
            self._hypertables.to_columnstore(table)


class PostgreSQL:
    """A PostgreSQL server."""

    name: ClassVar[str] = "postgresql"
    suffix: ClassVar[str] = "sql"
    variables: ClassVar[tuple[str, ...]] = ("TRACEBANK_BENCH_POSTGRES_URL",)
    """Where its URL is looked for."""
    statement_timeout: float = 600.0
    """Seconds that one query may take."""

    def _url(self) -> URL:
        variable = next((name for name in self.variables if os.environ.get(name)), self.variables[0])
        text = os.environ.get(variable, "")
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            url = None
        if url is None or url.drivername not in _SCHEMES or not url.host or not url.database:
            what = f"{shown_url(text)!r} is not accepted" if text else "is not set"
            raise StoreError(f"{variable}: {what}; use {URL_FORM}")
        return url.set(drivername="postgresql+psycopg")

    def _session_settings(self) -> dict[str, str]:
        cap = threads()
        share = (memory() or psutil.virtual_memory().total) // (16 * cap)
        return {
            "max_parallel_workers_per_gather": str(cap - 1),  # the leader works, too
            "max_parallel_workers": str(max(cap - 1, 1)),
            "jit": "off",  # compiling takes 0.1 to 0.7 s where a read has many small parts, and gains nothing in scans
            "work_mem": f"{max(share >> 20, 64)}MB",
            "statement_timeout": f"{round(self.statement_timeout * 1000)}ms",
        }

    def _store(self, url: URL, lane: Lane, settings: dict[str, str]) -> PostgreSQLStore:
        return PostgreSQLStore(url, schema=self._schema(lane), indexed=False, partitioned=False, settings=settings)

    @staticmethod
    def _schema(lane: Lane) -> str:
        return f"bench_{lane}_{uuid.uuid4().hex[:12]}"

    def _session(self, lane: Lane) -> PostgreSQLSession:
        return PostgreSQLSession(self._store(self._url(), lane, self._session_settings()), lane)

    def state(self) -> EngineState:
        """Ask the server for its version."""
        try:
            info = PostgreSQLStore(self._url(), settings={"statement_timeout": "3000ms"}, connect_timeout=3).info()
        except StoreError as error:
            return EngineState(False, reason=str(error))
        return EngineState(True, version=info.version, edition=f"{info.edition}{self._not_durable()}")

    def _not_durable(self) -> str:
        """What of the server's settings loses acknowledged rows in a crash."""
        settings = self.settings()
        off = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if settings.get(name) == "off"]
        return f", not durable: {', '.join(off)} off" if off else ""

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings, as the server has them in the suite's sessions."""
        store = self._store(self._url(), Lane.PAPER, self._session_settings())
        with store.session() as connection:
            rows = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
                (list(_RECORDED),),
            ).fetchall()
        return {str(name): str(value) for name, value in rows}

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[PostgreSQLSession]:  # noqa: ARG002 - a server has no folder
        """Make a schema with the lane's empty tables, dropped afterwards."""
        session = self._session(lane)
        try:
            session.set_up()
            yield session
        finally:
            session.drop()


class TimescaleDB(PostgreSQL):
    """A PostgreSQL server with the extension timescaledb."""

    name: ClassVar[str] = "timescaledb"
    variables: ClassVar[tuple[str, ...]] = ("TRACEBANK_BENCH_TIMESCALEDB_URL", "TRACEBANK_BENCH_POSTGRES_URL")

    def _store(self, url: URL, lane: Lane, settings: dict[str, str]) -> TimescaleDBStore:
        columnstore = lane is Lane.IDIOMATIC
        options = {"schema": self._schema(lane), "indexed": False, "settings": settings}
        # A load converts its chunks itself, and is timed. Venues take turns: side by side their prices pack badly.
        return TimescaleDBStore(url, columnstore=columnstore, policy=False, segments=("venue",), **options)

    def _session(self, lane: Lane) -> PostgreSQLSession:
        return TimescaleDBSession(self._store(self._url(), lane, self._session_settings()), lane)

    def state(self) -> EngineState:
        """Ask the server for the extension."""
        server = super().state()
        if not server.available:
            return server
        store = PostgreSQLStore(self._url(), settings={"statement_timeout": "3000ms"}, connect_timeout=3)
        with store.session() as connection:
            version = extension_version(connection)
        if not version:
            return EngineState(False, reason=f"{ABSENT} (PostgreSQL {server.version})")
        return EngineState(True, version=version, edition=f"PostgreSQL {server.version}{self._not_durable()}")
