"""DuckDB in the suite, on the platform's own adapter, in process.

Lanes: `paper` has rows in load order; `idiomatic` sorts them by symbol and time after the load, since row groups are
skipped by their smallest and largest values. Names stay text, which the engine keeps as dictionaries by itself: an ENUM
would compare by its own order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from tracebank.engines.duckdb import ddl as duckdb_sql
from tracebank.engines.duckdb.store import DuckDBStore
from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import TableSize
from tracebank.tables.frames import fitted
from tracebank.tables.select import literal as sql_literal
from tracebank.tables.select import quoted as sql_quoted
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.engine import EngineState, FileForm, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import memory, sql, threads
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES, naive

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def literal(name: str, value: Value) -> str:
    """A parameter as DuckDB writes it; tuples of names or numbers as the inside of `IN (…)`, moments as rows of VALUES.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, or a number is not finite.
    """
    if name == "moments":
        return ", ".join(f"({_scalar(symbol)}, {_scalar(moment)})" for symbol, moment in sql.pairs(value))
    if isinstance(value, tuple):
        return ", ".join(map(_scalar, value)) or "NULL"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, datetime):
        return f"TIMESTAMP_NS '{sql.utc(value):%Y-%m-%d %H:%M:%S.%f}'"
    if isinstance(value, str):
        return sql_literal(value, "duckdb")
    if isinstance(value, float):
        return f"'{sql.number(value)}'::DOUBLE"
    if isinstance(value, int) and not isinstance(value, bool):
        return sql.number(value)
    raise sql.refused(value)


def _quoted(name: str) -> str:
    return sql_quoted(name, "duckdb")


class DuckDBSession:
    """A file of its own in one lane; each thread has its own connection."""

    family: ClassVar[str] = "duckdb"
    text_form: ClassVar[FileForm] = FileForm.CSV
    refused_forms: ClassVar[Mapping[FileForm, str]] = {FileForm.LINES: "DuckDB reads no line protocol"}

    def __init__(self, store: DuckDBStore, lane: Lane) -> None:
        self._store = store
        self._lane = lane
        self._open = ExitStack()
        self._guard = threading.Lock()
        self._connections = threading.local()

    def declared(self, table: SeriesTable) -> SeriesTable:
        """The table as the lane has it."""
        return naive(table) if self._lane is Lane.PAPER else table

    def set_up(self) -> None:
        """Make the empty tables."""
        for table in TABLES:
            self._store.prepare(self._connection(), self.declared(table))

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Insert Arrow as it is, sorted on the way (idiomatic), in one statement; `settle` is what the log still has.

        The adapter writes the log into the file by itself at the end of a load.
        """
        start = time.perf_counter()
        self._store.append(self.declared(table), frames, order=self._order(table))
        send = time.perf_counter() - start
        return LoadPhases(serialise=0.0, send=send, settle=self._settle())

    def load_files(self, table: SeriesTable, paths: Sequence[Path], form: FileForm) -> LoadPhases:
        """Insert from the engine's own readers, in one statement.

        Raises:
            UnsupportedError: the form is line protocol.
            StoreError: a file is broken; nothing was written.
        """
        if reason := self.refused_forms.get(form):
            raise UnsupportedError(reason)
        declared, start = self.declared(table), time.perf_counter()
        names = ", ".join(_quoted(name) for name in declared.arrow_schema.names)
        order = f" ORDER BY {', '.join(map(_quoted, self._order(table)))}" if self._order(table) else ""
        source = duckdb_sql.reading(declared, list(map(str, paths)), form.value)
        self.command(f"INSERT INTO {_quoted(table.name)} ({names}) {source}{order}")
        server = time.perf_counter() - start
        return LoadPhases(serialise=0.0, send=0.0, settle=self._settle(), server=server)

    def _order(self, table: SeriesTable) -> tuple[str, ...]:
        return table.sort_key if self._lane is Lane.IDIOMATIC else ()

    def _settle(self) -> float:
        start = time.perf_counter()
        self.command("CHECKPOINT")
        return time.perf_counter() - start

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is no text.
        """
        text = queries.text(self.family, workload.id, self._lane)
        if text is None:
            raise UnsupportedError(f"{workload.id}: no text in DuckDB's SQL")
        return self.filled(workload, text, parameters)

    def filled(self, workload: Workload, text: str, parameters: Parameters) -> Prepared:
        """A text of a workload's, in place of the kept one."""
        return Prepared(workload, sql.filled(workload, text, parameters, literal))

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read the whole answer.

        Raises:
            StoreError: the engine failed.
        """
        import duckdb

        try:
            answer = self._connection().sql(prepared.text).to_arrow_table()
        except duckdb.Error as error:
            raise StoreError(f"duckdb: {' '.join(str(error).split())[:500]}") from None
        return sql.shaped(prepared.workload, answer)

    def size(self, table: SeriesTable) -> TableSize:
        """Rows and bytes of the table's blocks; raw bytes of its values."""
        return self._store.size(self.declared(table))

    def cold(self) -> str:
        """Close the file and open it again; the system's page cache stays."""
        self.close()
        self._connection()
        return "reopened"

    def ddl(self) -> str:
        """The statements that set the lane up, for the record."""
        made = [statement for table in TABLES for statement in duckdb_sql.create_table(self.declared(table))]
        orders = {table.name: ", ".join(self._order(table)) for table in TABLES}
        sorting = [f"-- {name}: sorted by {order} as it is loaded" for name, order in orders.items() if order]
        return "\n".join([*(f"{statement};" for statement in made), *sorting, "CHECKPOINT;"])

    @contextmanager
    def connection(self) -> Iterator[DuckDBSession]:
        """Another connection to the file, of this process: no other one could open it."""
        other = DuckDBSession(self._store, self._lane)
        try:
            other._connection()
            yield other
        finally:
            other.close()

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        """Insert a batch in a transaction of its own; the log is synced when this returns.

        Raises:
            StoreError: the engine refused it.
        """
        import duckdb

        connection = self._connection()
        try:
            connection.register("_batch", duckdb_sql.without_zones(fitted(table, rows)))
            connection.execute(duckdb_sql.insert(table, "_batch"))
        except duckdb.Error as error:
            raise StoreError(f"duckdb: {' '.join(str(error).split())[:500]}") from None
        finally:
            connection.unregister("_batch")

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._guard:
            self._open.close()
            self._connections = threading.local()

    def command(self, statement: str) -> None:
        """Run a statement that has no answer.

        Raises:
            StoreError: the engine refused it.
        """
        import duckdb

        try:
            self._connection().execute(statement)
        except duckdb.Error as error:
            raise StoreError(f"duckdb: {' '.join(str(error).split())[:500]}") from None

    def _connection(self) -> DuckDBPyConnection:
        found: DuckDBPyConnection | None = getattr(self._connections, "connection", None)
        if found is None:
            with self._guard:
                found = self._open.enter_context(self._store.session())
            self._connections.connection = found
        return found


class DuckDB:
    """DuckDB in process."""

    name: ClassVar[str] = "duckdb"
    suffix: ClassVar[str] = "sql"

    def state(self) -> EngineState:
        """Whether the package can be imported."""
        try:
            import duckdb
        except ImportError as error:
            return EngineState(False, reason=f"duckdb cannot be imported ({error}); install duckdb")
        return EngineState(True, version=str(duckdb.__version__), edition="embedded")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[DuckDBSession]:
        """An empty file in `folder`, removed afterwards."""
        path = folder / f"{lane}.duckdb"
        self._remove(path)
        session = DuckDBSession(DuckDBStore(path, threads=threads(), memory=memory()), lane)
        try:
            session.set_up()
            yield session
        finally:
            session.close()
            self._remove(path)

    @staticmethod
    def _remove(path: Path) -> None:
        for file in (path, *path.parent.glob(f"{path.name}.*")):  # its log and its lock
            file.unlink(missing_ok=True)

    def settings(self) -> dict[str, str]:
        """Threads and memory; the log is synced at every commit, the engine's default."""
        return {
            "threads": str(threads()),
            "memory_limit": str(memory() or "default"),
            "preserve_insertion_order": "true",
            "durability": "log synced at commit",
        }
