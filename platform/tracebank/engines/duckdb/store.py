"""The DuckDB adapter: series tables in one file, open in one process at a time.

The engine has no partitions and no sort keys: both are kept in the table's comment, and a partition is its rows. DDL
and the SELECT behind `read` stand in `duckdb_sql`, writes in `duckdb_writer`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import polars as pl
import pyarrow as pa

from tracebank.engines.duckdb import ddl as sql
from tracebank.engines.duckdb.writer import DuckDBWriter, append
from tracebank.stores.faults import SchemaDrift, StoreBusy, StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank.tables.drift import Difference
from tracebank.tables.frames import Frame, as_frames
from tracebank.tables.writer import Written, drained
from tracebank_schemas.series import Partition, SeriesTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH_ROWS: Final = 122_880
_RETRY_SECONDS: Final = 0.05
_BLOCK_SIZE: Final = 262_144
"""Of the engine's file format."""


class DuckDBStore:
    """Series tables in a DuckDB file."""

    engine: ClassVar[str] = "duckdb"
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
        self._users = 0

    @contextmanager
    def session(self) -> Iterator[DuckDBPyConnection]:
        """A connection of the caller's own, open for the length of the block; faults come out as `StoreError`s.

        The file is open from the first session to the last; no other process can open it meanwhile.

        Raises:
            StoreBusy: another process has the file open, and did not close it in time.
        """
        import duckdb

        with self._mutex:
            if self._database is None:
                self._database = self._connect()
            self._users += 1
            connection = self._database.cursor()
        try:
            yield connection
        except duckdb.Error as error:
            raise self._fault(error) from error
        finally:
            connection.close()
            with self._mutex:
                self._users -= 1
                if not self._users and self._database is not None:
                    self._database.close()
                    self._database = None

    def _connect(self) -> DuckDBPyConnection:
        import duckdb

        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                database = duckdb.connect(str(self._path))
                database.execute("SET TimeZone = 'UTC'")
                if self._threads is not None:
                    database.execute(f"SET threads = {self._threads:d}")
                if self._memory:
                    database.execute(f"SET memory_limit = '{self._memory:d}B'")
                return database
            except OSError as error:
                raise StoreError(f"series store {self._path}: {error.strerror or error}") from error
            except duckdb.Error as error:
                if "lock" not in str(error):
                    raise self._fault(error) from error
                if time.monotonic() >= deadline:
                    raise StoreBusy(
                        f"series store {self._path}: another process has it open, and did not close it within"
                        f" {self._lock_timeout:g} s; stop it or wait"
                    ) from error
                time.sleep(_RETRY_SECONDS)

    def _fault(self, error: Exception) -> StoreError:
        text = " ".join(str(error).split())
        if "Table with name" in text and "does not exist" in text:
            text = f"run 'tracebank db upgrade'; {text}"
        return StoreError(f"series store {self._path}: {text if len(text) < 500 else text[:500] + '…'}")

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        import duckdb

        return EngineInfo(self.engine, str(duckdb.__version__), "embedded")

    def create(self, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
        """
        with self.session() as connection:
            self.prepare(connection, table)

    def prepare(self, connection: DuckDBPyConnection, table: SeriesTable) -> None:
        """`create`, in a session that is open."""
        found = self._differences(connection, table)
        statements = sql.create_table(table)
        if found is not None:
            if fatal := [d for d in found if not d.repairable]:
                first = fatal[0]
                raise SchemaDrift(
                    f"table {table.name}: {first.what} is {first.found}, declared {first.declared}"
                    f" ({len(fatal)} such); copy its rows to a new table, or drop it and materialise again"
                )
            gained = [d.what.removeprefix("column ") for d in found]
            statements = [statement for name in gained for statement in sql.add_column(table, name)]
        if statements:
            connection.execute("BEGIN")
            for statement in statements:
                connection.execute(statement)
            connection.execute("COMMIT")

    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""
        with self.session() as connection:
            found = self._differences(connection, table)
        return [Difference(table.name, "table", "present", "absent", True)] if found is None else found

    @staticmethod
    def _differences(connection: DuckDBPyConnection, table: SeriesTable) -> list[Difference] | None:
        where = {"t": table.name}
        comment = connection.execute(
            "SELECT comment FROM duckdb_tables() WHERE schema_name = 'main' AND table_name = $t", where
        ).fetchall()
        if not comment:
            return None
        columns = connection.execute(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns()"
            " WHERE schema_name = 'main' AND table_name = $t ORDER BY column_index",
            where,
        ).fetchall()
        return sql.differences(table, columns, str(comment[0][0]))

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        with self.session() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {sql.quoted(table.name)}")

    def replacing(self, table: SeriesTable, partition: Partition) -> DuckDBWriter:
        """A writer whose rows replace the partition's when its `with` block ends well; else the old rows stand."""
        return DuckDBWriter(self, table, partition)

    def replace(self, table: SeriesTable, partition: Partition, frames: Frame | Iterable[Frame]) -> Written:
        """Replace a partition by the rows of `frames`: atomic, idempotent, in bounded memory.

        Raises:
            FrameRefused: a frame does not fit; the old rows stand.
            StoreError: the engine failed; the old rows stand.
        """
        return drained(DuckDBWriter(self, table, partition), frames)

    def append(self, table: SeriesTable, frames: Frame | Iterable[Frame], *, order: Sequence[str] = ()) -> Written:
        """Add rows of any partitions. All frames are checked before the first row becomes visible.

        Args:
            table: the declaration.
            frames: rows, drawn by the engine's threads while it writes earlier ones.
            order: columns by which the new rows are sorted before they are written; as they come where none is given.
        """
        return append(self, table, as_frames(frames), order)

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
        text, parameters = sql.select(table, partition, columns, start, end, ordered)
        with self.session() as connection:
            answer = connection.sql(text, params=parameters).to_arrow_table(_BATCH_ROWS)
        frame = pl.DataFrame(answer)
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
        """As `read`, streamed in Arrow batches; the store stays open until the iterator ends."""
        text, parameters = sql.select(table, partition, columns, start, end, ordered)
        names = list(columns) if columns is not None else table.arrow_schema.names
        schema = pa.schema([table.arrow_schema.field(name) for name in names])
        with self.session() as connection:
            for batch in connection.sql(text, params=parameters).to_arrow_reader(_BATCH_ROWS):
                yield batch.cast(schema)

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a query in DuckDB's SQL; parameters stand in it as `$name`."""
        with self.session() as connection:
            answer: pa.Table = connection.sql(text, params=parameters).to_arrow_table(_BATCH_ROWS)
            return answer

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
        [(blocks,)] = connection.execute(sql.STORED_BLOCKS, {"t": table.name}).fetchall()
        on_disk = int(blocks) * _BLOCK_SIZE or raw
        if partition is None:
            return TableSize(rows, on_disk, raw)
        part, part_raw = self._rows(connection, table, partition)
        return TableSize(part, on_disk * part // rows if rows else 0, part_raw)

    @staticmethod
    def _rows(connection: DuckDBPyConnection, table: SeriesTable, partition: Partition | None) -> tuple[int, int]:
        text, parameters = sql.count(table, partition)
        [(rows, raw)] = connection.execute(text, parameters).fetchall()
        return int(rows), int(raw or 0)
