"""The DuckDB adapter: series tables in one file, open in one process at a time.

The engine has no partitions and no sort keys: both are noted in the table's comment, and a partition is its rows, which
are found by the smallest and largest values of row groups. DDL stands in `ddl`, writes in `writer`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import pyarrow as pa

from tracebank.engines.duckdb import ddl, file
from tracebank.engines.duckdb.writer import DuckDBWriter, append
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank.stores.sql_store import SqlStore
from tracebank.tables.drift import Standing, noted
from tracebank.tables.frames import Frame, as_frames
from tracebank.tables.select import Dialect
from tracebank.tables.writer import Written
from tracebank_schemas.series import Partition, PartitionValue, SeriesTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH_ROWS: Final = 122_880
_BLOCK_SIZE: Final = 262_144
"""Of the engine's file format."""


def opened(settings: Settings) -> DuckDBStore:
    """The store that the settings name.

    Raises:
        StoreError: DuckDB is not installed.
    """
    if find_spec("duckdb") is None:
        raise StoreError("series store duckdb: duckdb is not installed; pip install duckdb")
    return DuckDBStore(Path(str(settings.series.database)), lock_timeout=settings.lock_timeout)


class DuckDBStore(SqlStore):
    """Series tables in a DuckDB file."""

    engine: ClassVar[str] = "duckdb"
    dialect: ClassVar[Dialect] = ddl.DIALECT
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]] = "ns"
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]] = "duplicate"
    asof_join: ClassVar[bool] = True
    arrays: ClassVar[bool] = True
    deletes: ClassVar[bool] = True
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]] = "one_process"

    def __init__(self, path: Path, *, lock_timeout: float = 120.0, threads: int | None = None, memory: int = 0) -> None:
        self._path = path
        self._lock_timeout = lock_timeout
        self._threads = threads
        self._memory = memory
        self._mutex = threading.Lock()
        self._database: DuckDBPyConnection | None = None
        self._held = ExitStack()
        self._users = 0

    @contextmanager
    def session(self) -> Iterator[DuckDBPyConnection]:
        """A connection of the caller's own, open for the length of the block; faults come out as `StoreError`s.

        The file is open from the first session to the last; no other process can open it meanwhile.

        Raises:
            StoreBusy: another process has the file open, and did not close it in time.
        """
        with self._mutex:
            if self._database is None:
                with ExitStack() as stack:
                    file.made_place(self._path)
                    stack.enter_context(file.held(self._path, self._lock_timeout, shared=False))
                    self._database = file.opened(self._path, self._connect, self._lock_timeout)
                    self._held = stack.pop_all()
            self._users += 1
            connection = self._database.cursor()
        try:
            with self.told():
                yield connection
        finally:
            connection.close()
            with self._mutex:
                self._users -= 1
                if not self._users and self._database is not None:
                    self._database.close()
                    self._database = None
                    self._held.close()

    @contextmanager
    def told(self) -> Iterator[None]:
        """What the engine raises within, as one line."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise file.fault(self._path, error) from error

    def _connect(self) -> DuckDBPyConnection:
        import duckdb

        database = duckdb.connect(str(self._path))
        database.execute("SET TimeZone = 'UTC'")
        if self._threads is not None:
            database.execute(f"SET threads = {self._threads:d}")
        if self._memory:
            database.execute(f"SET memory_limit = '{self._memory:d}B'")
        return database

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        import duckdb

        return EngineInfo(self.engine, str(duckdb.__version__), "embedded")

    def place(self, table: SeriesTable) -> str:
        """The table's name, as SQL text."""
        return ddl.quoted(table.name)

    def _declared(self, table: SeriesTable) -> Standing:
        return ddl.declared(table)

    def _found(self, session: DuckDBPyConnection, table: SeriesTable) -> Standing | None:
        where = {"t": table.name}
        comment = session.execute(
            "SELECT comment FROM duckdb_tables() WHERE schema_name = 'main' AND table_name = $t", where
        ).fetchone()
        if comment is None:
            return None
        columns = session.execute(
            "SELECT column_name, data_type || if(is_nullable, '', ' NOT NULL') FROM duckdb_columns()"
            " WHERE schema_name = 'main' AND table_name = $t ORDER BY column_index",
            where,
        ).fetchall()
        return Standing(dict(columns), *noted(comment[0]))

    def _making(self, table: SeriesTable) -> list[str]:
        return ddl.create_table(table)

    def _adding(self, table: SeriesTable, column: str) -> list[str]:
        return ddl.add_column(table, column)

    def _execute(self, session: DuckDBPyConnection, statements: Sequence[str]) -> None:
        if not statements:
            return
        session.begin()
        try:
            for statement in statements:
                session.execute(statement)
            session.commit()
        except BaseException:
            session.rollback()
            raise

    def writer(self, table: SeriesTable, partition: Partition | None) -> DuckDBWriter:
        """As `SeriesStore.writer`; many rows for any partition go in faster by `append`."""
        return DuckDBWriter(self, table, partition)

    def append(self, table: SeriesTable, frames: Frame | Iterable[Frame], *, order: Sequence[str] = ()) -> Written:
        """Add rows of any partitions. All frames are checked before the first row becomes visible.

        Args:
            table: the declaration.
            frames: rows, drawn by the engine's threads while it writes earlier ones.
            order: columns by which the new rows are sorted before they are written; as they come where none is given.
        """
        return append(self, table, as_frames(frames), order)

    def _batches(self, text: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self.session() as connection:
            for batch in connection.sql(text).to_arrow_reader(_BATCH_ROWS):
                yield batch.cast(schema)

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a query in DuckDB's SQL; parameters stand in it as `$name`."""
        with self.session() as connection:
            answer: pa.Table = connection.sql(text, params=parameters).to_arrow_table(_BATCH_ROWS)
            return answer

    def partitions(self, table: SeriesTable) -> list[tuple[dict[str, PartitionValue], int]]:
        """Every partition that has rows, with their number; in the order of its values."""
        names = [key.name for key in table.partition_keys]
        with self.session() as connection:
            found = connection.execute(ddl.partitions(table)).fetchall()
        return [(dict(zip(names, values, strict=True)), rows) for *values, rows in found]

    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows and bytes of the table, or of one partition.

        Bytes on disk are whole blocks, once the log is written into them; those of a partition are its share by rows.
        """
        with self.session() as connection:
            return self.size_in(connection, table, partition)

    def size_in(
        self, connection: DuckDBPyConnection, table: SeriesTable, partition: Partition | None = None
    ) -> TableSize:
        """`size`, in a session that is open."""
        import duckdb

        with suppress(duckdb.TransactionException):  # others are writing: what is in the log counts with its raw bytes
            connection.execute("CHECKPOINT")
        rows, raw = self._rows(connection, table, None)
        [(blocks,)] = connection.execute(ddl.STORED_BLOCKS, {"t": table.name}).fetchall()
        on_disk = int(blocks) * _BLOCK_SIZE or raw
        if partition is None:
            return TableSize(rows, on_disk, raw)
        part, part_raw = self._rows(connection, table, partition)
        return TableSize(part, on_disk * part // rows if rows else 0, part_raw)

    @staticmethod
    def _rows(connection: DuckDBPyConnection, table: SeriesTable, partition: Partition | None) -> tuple[int, int]:
        conditions = ddl.DIALECT.of_partition(table, partition) if partition is not None else []
        [(rows, raw)] = connection.execute(ddl.count(table, conditions)).fetchall()
        return int(rows), int(raw or 0)
