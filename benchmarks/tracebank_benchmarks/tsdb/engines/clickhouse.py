"""ClickHouse in the suite: embedded (chDB, in its owner's process) and as a server, on the platform's own adapter.

Lanes: `paper` has the naive table, `idiomatic` the declared one (dictionary-encoded names, codecs, days as partitions,
sorted by symbol and time) and merges it after the load.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import pyarrow as pa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tracebank.engines.clickhouse import ddl as clickhouse_ddl
from tracebank.engines.clickhouse.reach import owner_of, stop
from tracebank.engines.clickhouse.store import ClickHouseStore, client_of
from tracebank.settings import shown_url, without_password
from tracebank.stores.faults import StatementTimeout, StoreError
from tracebank.stores.series_store import TableSize
from tracebank.tables.frames import fitted
from tracebank.tables.select import literal as sql_literal
from tracebank.tables.select import quoted as sql_quoted
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.engine import EngineState, FileForm, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import clickhouse_cluster as cluster_ddl
from tracebank_benchmarks.tsdb.engines import memory, sql, threads
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES, naive

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

URL_VARIABLE: Final = "TRACEBANK_BENCH_CLICKHOUSE_URL"
CLUSTER_VARIABLE: Final = "TRACEBANK_BENCH_CLICKHOUSE_CLUSTER"
URL_FORM: Final = "clickhouse://user:password@host:8123/ (clickhouses:// for TLS)"
_ARROW: Final = {"output_format_arrow_string_as_string": 1, "output_format_arrow_compression_method": "none"}
_CACHES: Final = ("MARK CACHE", "UNCOMPRESSED CACHE", "QUERY CONDITION CACHE")
_MERGE_SECONDS: Final = 600.0
_GATHERED_BELOW: Final = 10_000
"""Rows of a batch below which the engine's documentation has the server gather inserts."""
_PAIRS: Final = "Array(Tuple(String, DateTime64(9, 'UTC')))"


def literal(name: str, value: Value) -> str:
    """A parameter as ClickHouse writes it; tuples of names or numbers as the inside of `IN (…)`, moments as an array.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, or a number is not finite.
    """
    if name == "moments":
        rows = ", ".join(f"({_scalar(symbol)}, {_scalar(moment)})" for symbol, moment in sql.pairs(value))
        return f"CAST([{rows}], {_text(_PAIRS)})"
    if isinstance(value, tuple):
        return ", ".join(map(_scalar, value)) or "NULL"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, datetime):
        return f"toDateTime64('{sql.utc(value):%Y-%m-%d %H:%M:%S.%f}000', 9, 'UTC')"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return sql.number(value)
    raise sql.refused(value)


def _text(value: str) -> str:
    return sql_literal(value, "clickhouse")


def _quoted(name: str) -> str:
    return sql_quoted(name, "clickhouse")


class ClickHouseSession:
    """A database of its own in one lane; each thread has its own client."""

    family: ClassVar[str] = "clickhouse"
    text_form: ClassVar[FileForm] = FileForm.CSV
    refused_forms: ClassVar[Mapping[FileForm, str]] = {FileForm.LINES: "ClickHouse reads no line protocol"}

    def __init__(
        self, store: ClickHouseStore, url: URL, lane: Lane, settings: dict[str, object], cluster: str = ""
    ) -> None:
        self._store = store
        self._url = url
        self._lane = lane
        self._settings = settings | (cluster_ddl.SETTINGS if cluster else {})
        self._cluster = cluster
        self._clients = threading.local()
        self._open = ExitStack()
        self._guard = threading.Lock()

    def declared(self, table: SeriesTable) -> SeriesTable:
        """The table as the lane has it."""
        return naive(table) if self._lane is Lane.PAPER else table

    def set_up(self) -> None:
        """Make the empty tables."""
        with self._store.session() as client:
            for text in self._statements():
                client.command(text)

    def _statements(self) -> list[str]:
        database = self._store.database
        if self._cluster:
            tables = [
                t for table in TABLES for t in cluster_ddl.create_tables(self.declared(table), database, self._cluster)
            ]
            return [cluster_ddl.create_database(database, self._cluster), *tables]
        own = clickhouse_ddl.EMBEDDED_SETTINGS if self._store.embedded else ""
        tables = [clickhouse_ddl.create_table(self.declared(table), database, own) for table in TABLES]
        return [f"CREATE DATABASE IF NOT EXISTS {_quoted(database)}", *tables]

    def _settlement(self, table: SeriesTable) -> str:
        if self._lane is Lane.PAPER:
            return ""
        if self._cluster:
            return cluster_ddl.optimize(table, self._store.database, self._cluster)
        return f"OPTIMIZE TABLE {self._place(table.name)} FINAL"

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Load Arrow as it is; `settle` merges to one part a partition (idiomatic) or waits for merges (paper)."""
        declared, timed = self.declared(table), sql.Timed(frames)
        start = time.perf_counter()
        if self._cluster:
            for frame in timed:
                self._client().insert_arrow(table.name, fitted(declared, frame), database=self._store.database)
        else:
            self._store.append(declared, timed)
        send = time.perf_counter() - start - timed.seconds
        return LoadPhases(serialise=0.0, send=send, settle=self._settle(table))

    def load_files(self, table: SeriesTable, paths: Sequence[Path], form: FileForm) -> LoadPhases:
        """Have the engine read the files where they are (in process), or send them to it as they are.

        Raises:
            UnsupportedError: the form is line protocol.
            StoreError: a file is broken; nothing of any of them stands.
        """
        if reason := self.refused_forms.get(form):
            raise UnsupportedError(reason)
        if self._cluster:
            raise UnsupportedError("a cluster cannot take back what it has of a broken file: load into one server")
        declared, start = self.declared(table), time.perf_counter()
        client, loading = self._client(), f"{table.name}_loading"
        try:
            with self._faults():
                client.command(f"CREATE TABLE {self._place(loading)} AS {self._place(table.name)}")
                for path in paths:
                    self._take_file(client, loading, declared, path, form)
                send = time.perf_counter() - start
                self._take_over(client, table, loading)
        finally:
            with suppress(StoreError), self._faults():
                client.command(f"DROP TABLE IF EXISTS {self._place(loading)} SYNC")
        spent = time.perf_counter() - start
        if self._store.embedded:
            return LoadPhases(0.0, 0.0, self._settle(table), spent)
        return LoadPhases(0.0, send, self._settle(table), spent - send)

    def _place(self, name: str) -> str:
        return f"{_quoted(self._store.database)}.{_quoted(name)}"

    def _take_over(self, client: Client, table: SeriesTable, loading: str) -> None:
        """Show rows that were loaded aside: their files are linked, partition by partition."""
        found = client.query(
            "SELECT DISTINCT partition_id FROM system.parts"
            " WHERE database = {d:String} AND table = {t:String} AND active",
            parameters={"d": self._store.database, "t": loading},
        ).result_rows
        target, source = self._place(table.name), self._place(loading)
        for (partition,) in found:
            client.command(f"ALTER TABLE {target} ATTACH PARTITION ID {_text(partition)} FROM {source}")

    def _take_file(self, client: Client, loading: str, declared: SeriesTable, path: Path, form: FileForm) -> None:
        names = declared.arrow_schema.names
        name = {FileForm.CSV: "CSVWithNames", FileForm.PARQUET: "Parquet"}[form]
        if self._store.embedded:
            columns = ", ".join(map(_quoted, names))
            given = f", {_text(clickhouse_ddl.structure(declared))}" if form is FileForm.CSV else ""
            client.command(
                f"INSERT INTO {self._place(loading)} ({columns}) SELECT {columns}"
                f" FROM file({_text(str(path))}, {name}{given})"
                f" SETTINGS max_insert_threads = {threads()}, input_format_csv_empty_as_default = 0"
            )
        else:
            with path.open("rb") as file:
                client.raw_insert(f"{self._store.database}.{loading}", names, file, fmt=name)

    def _settle(self, table: SeriesTable) -> float:
        start = time.perf_counter()
        client = self._client()
        with self._faults():
            if text := self._settlement(table):
                client.command(text)
            while self._merging(client, table):
                if time.perf_counter() - start > _MERGE_SECONDS:
                    raise StoreError(f"table {table.name}: still merging after {_MERGE_SECONDS:g} s")
                time.sleep(0.01)
        return time.perf_counter() - start

    def _merging(self, client: Client, table: SeriesTable) -> bool:
        text = "SELECT count() FROM system.merges WHERE database = {d:String} AND table = {t:String}"
        found = client.query(text, parameters={"d": self._store.database, "t": table.name}).result_rows
        return bool(found[0][0])

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is no text.
        """
        text = queries.text(self.family, workload.id, self._lane)
        if text is None:
            raise UnsupportedError(f"{workload.id}: no text in ClickHouse's SQL")
        return self.filled(workload, text, parameters)

    def filled(self, workload: Workload, text: str, parameters: Parameters) -> Prepared:
        """A text of a workload's, in place of the kept one."""
        return Prepared(workload, sql.filled(workload, text, parameters, literal))

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read the whole answer.

        Raises:
            StatementTimeout: it ran longer than it may.
            StoreError: the engine failed.
        """
        client = self._client()
        with self._faults():
            answer = client.query_arrow(prepared.text, settings=dict(_ARROW))
        return sql.shaped(prepared.workload, answer)

    def command(self, statement: str) -> None:
        """Run a statement that has no answer.

        Raises:
            StoreError: the engine refused it.
        """
        with self._faults():
            self._client().command(statement)

    def size(self, table: SeriesTable) -> TableSize:
        """Rows and bytes of the active parts, indexes included; of all nodes in a cluster."""
        if not self._cluster:
            return self._store.size(self.declared(table))
        text = (
            "SELECT sum(rows), sum(bytes_on_disk), sum(data_uncompressed_bytes) FROM cluster({c:String}, system.parts)"
            " WHERE database = {d:String} AND table = {t:String} AND active"
        )
        parameters = {"c": self._cluster, "d": self._store.database, "t": cluster_ddl.local_name(table)}
        rows, on_disk, raw = self._client().query(text, parameters=parameters).result_rows[0]
        return TableSize(int(rows), int(on_disk), int(raw))

    def cold(self) -> str:
        """Close and open the embedded engine; or drop the server's own caches. The system's page cache stays."""
        if self._store.folder is not None:
            stop(self._store.folder)
            with self._faults():
                self._client().command("SELECT 1")
            return "reopened"
        with self._faults():
            for cache in _CACHES:
                self._client().command(f"SYSTEM DROP {cache}")
        return "caches dropped"

    def ddl(self) -> str:
        """The statements that set the lane up, for the record."""
        settle = [text for table in TABLES if (text := self._settlement(table))]
        return ";\n".join([*self._statements(), *settle]) + ";"

    @contextmanager
    def connection(self) -> Iterator[ClickHouseSession]:
        """Another client; in process, of the engine that is open already."""
        other = ClickHouseSession(self._store, self._url, self._lane, self._settings, self._cluster)
        try:
            other._client()
            yield other
        finally:
            other.close()

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        """Insert a batch; a server gathers small ones (idiomatic lane) and acknowledges them once they are written.

        Raises:
            StoreError: the engine refused it.
        """
        client, rows = self._client(), fitted(self.declared(table), rows)
        with self._faults():
            small = self._lane is Lane.IDIOMATIC and rows.num_rows < _GATHERED_BELOW
            settings = {"async_insert": 1, "wait_for_async_insert": 1} if small and not self._store.embedded else {}
            client.insert_arrow(table.name, rows, database=self._store.database, settings=settings)

    def processes(self) -> list[int]:
        """The owner of an embedded engine, whose CPU time is the engine's; a server's are not known."""
        return [] if self._store.folder is None else [owner_of(self._store.folder)]

    def drop(self) -> None:
        """Remove the database, close every client, and let an embedded engine's owner go."""
        name = _quoted(self._store.database)
        text = (
            cluster_ddl.drop_database(self._store.database, self._cluster)
            if self._cluster
            else f"DROP DATABASE IF EXISTS {name} SYNC"
        )
        self.close()
        with self._store.session() as client:
            client.command(text)
        if self._store.folder is not None:
            stop(self._store.folder)

    def close(self) -> None:
        """Close the clients of all threads."""
        with self._guard:
            self._open.close()
            self._clients = threading.local()

    def _client(self) -> Client:
        found: Client | None = getattr(self._clients, "client", None)
        if found is None:
            with self._guard:
                found = client_of(self._store.url, self._store.lock_timeout)
                self._open.callback(found.close)
            found.database = self._store.database
            for name, value in self._settings.items():
                found.set_client_setting(name, value)
            self._clients.client = found
        return found

    @contextmanager
    def _faults(self) -> Iterator[None]:
        from clickhouse_connect.driver.exceptions import Error

        try:
            yield
        except Error as error:
            text = without_password(" ".join(str(error).split()), self._url)[:500]
            if "TIMEOUT_EXCEEDED" in text:
                raise StatementTimeout(f"clickhouse: {text}") from None
            raise StoreError(f"clickhouse: {text}") from None


class _ClickHouse:
    suffix: ClassVar[str] = "sql"
    statement_timeout: float = 600.0
    """Seconds that one query may take."""

    def _settings(self) -> dict[str, object]:
        return {
            "max_threads": threads(),
            "max_memory_usage": memory(),
            "max_execution_time": self.statement_timeout,
            "use_query_cache": 0,
            "use_query_condition_cache": 0,
        }

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings; `fsync_after_insert` is the engine's default."""
        return {name: str(value) for name, value in self._settings().items()} | {"fsync_after_insert": "0"}

    @contextmanager
    def _opened(self, url: URL, lane: Lane, cluster: str = "") -> Iterator[ClickHouseSession]:
        store = ClickHouseStore(url)
        store.database = f"bench_{lane}_{uuid.uuid4().hex[:12]}"
        session = ClickHouseSession(store, url, lane, self._settings(), cluster)
        try:
            session.set_up()
            yield session
        finally:
            session.drop()


class ClickHouseEmbedded(_ClickHouse):
    """ClickHouse embedded: chDB in the process that owns its folder, as the platform has it."""

    name: ClassVar[str] = "clickhouse_embedded"

    def state(self) -> EngineState:
        """Whether chDB can be imported."""
        try:
            import chdb
        except ImportError as error:
            return EngineState(False, reason=f"chdb cannot be imported ({error}); install chdb and clickhouse-connect")
        return EngineState(True, version=str(chdb.engine_version), edition="embedded (chDB)")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[ClickHouseSession]:
        """Open an empty database in a folder of its own below `folder`."""
        place = folder.absolute() / f"clickhouse-{uuid.uuid4().hex[:12]}"
        with self._opened(URL.create("chdb", database=str(place)), lane) as session:
            yield session


class ClickHouseServer(_ClickHouse):
    """A ClickHouse server over HTTP, or a cluster behind it where its name is set."""

    name: ClassVar[str] = "clickhouse"

    def _url(self) -> URL:
        text = os.environ.get(URL_VARIABLE, "")
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            url = None
        if url is None or url.drivername not in ("clickhouse", "clickhouses") or not url.host:
            what = f"{shown_url(text)!r} is not accepted" if text else "is not set"
            raise StoreError(f"{URL_VARIABLE}: {what}; use {URL_FORM}")
        return url

    def state(self) -> EngineState:
        """Ask the server for its version."""
        import clickhouse_connect
        from clickhouse_connect.driver.exceptions import Error

        try:
            url = self._url()
            client = clickhouse_connect.get_client(
                host=url.host,
                port=url.port or (8443 if url.drivername == "clickhouses" else 8123),
                username=url.username,
                password=str(url.password or ""),
                secure=url.drivername == "clickhouses",
                connect_timeout=3,
                send_receive_timeout=5,
                query_retries=0,
            )
        except StoreError as error:
            return EngineState(False, reason=str(error))
        except (Error, OSError) as error:
            text = without_password(" ".join(str(error).split()), url)[:300]
            return EngineState(False, reason=f"{URL_VARIABLE}: {url.render_as_string()} does not answer: {text}")
        try:
            return EngineState(True, version=str(client.server_version), edition="server")
        finally:
            client.close()

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[ClickHouseSession]:  # noqa: ARG002 - a server has no folder
        """Make an empty database on the server, dropped afterwards."""
        with self._opened(self._url(), lane, os.environ.get(CLUSTER_VARIABLE, "")) as session:
            yield session
