"""`connect().sql(…)`: one query over both stores, from Python and for the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tracebank.engines.clickhouse import activations
from tracebank.engines.clickhouse.functions import CATALOGUE_QUERY, FunctionCatalogue
from tracebank.engines.clickhouse.guard import admit
from tracebank.engines.clickhouse.pushdown import pushed
from tracebank.engines.clickhouse.reader import EmbeddedReader, Progress, Reader, ServerReader
from tracebank.engines.clickhouse.relational import attach
from tracebank.engines.clickhouse.run import Run, bound
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.query.answer import Answer, Parameters, first_rows
from tracebank.query.errors import SqlError, from_engine
from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank.stores.series_store import StoreError

if TYPE_CHECKING:
    import polars as pl

Session = Callable[[Settings, str, Parameters, int | None], contextlib.AbstractContextManager[Answer]]
"""Opens the answer of a query; progress is ClickHouse's alone."""

_catalogues: dict[str, FunctionCatalogue] = {}
"""Functions by engine version; asked once per process."""


def connect(settings: Settings | None = None) -> Connection:
    """A read-only view of both stores in SQL. Nothing is opened until a query runs.

    Args:
        settings: where the stores are; by default what `TRACEBANK_*` say.

    Raises:
        SettingsError: a setting cannot be used.
    """
    return Connection(settings or Settings.load())


class Connection:
    """Queries over `series`, `relational` and `system`. Each query opens the store, and closes it when it ends."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def sql(self, query: str, *, parameters: Parameters | None = None, limit: int | None = None) -> pl.DataFrame:
        """Answer a query as Polars.

        Args:
            query: one statement that reads, in the SQL of the engine that holds the series: SELECT, SHOW, DESCRIBE,
                EXISTS or EXPLAIN. Tables without a database are those of `series`.
            parameters: values of `{name:Type}` in ClickHouse's SQL, `$name` in DuckDB's, `%(name)s` in PostgreSQL's.
            limit: most rows to give.

        Returns:
            One column each; time stamps as `Datetime("ns", "UTC")`, names as strings.

        Raises:
            SqlError: the query is refused or fails; one line.
            StoreError: the store cannot be opened.
        """
        import polars as pl

        frame = pl.from_arrow(self.arrow(query, parameters=parameters, limit=limit))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def arrow(self, query: str, *, parameters: Parameters | None = None, limit: int | None = None) -> pa.Table:
        """As `sql`, as an Arrow table."""
        with self.open(query, parameters=parameters, limit=limit) as answer:
            return pa.Table.from_batches(answer.batches, schema=answer.schema)

    def stream(
        self, query: str, *, parameters: Parameters | None = None, limit: int | None = None
    ) -> Generator[pa.RecordBatch]:
        """As `sql`, batch by batch in bounded memory. The store stays open until the last batch, or `close()`."""
        with self.open(query, parameters=parameters, limit=limit) as answer:
            yield from answer.batches

    @contextlib.contextmanager
    def open(
        self,
        query: str,
        *,
        parameters: Parameters | None = None,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Answer]:
        """The answer's schema and batches, with the store open for the length of the block."""
        if limit is not None and limit < 0:
            raise SqlError(f"limit: {limit} is not accepted; use 0 or more")
        if elsewhere := _session_of(self.settings):
            with elsewhere(self.settings, query, parameters or {}, limit) as answer:
                yield answer
            return
        values = {name: bound(name, value) for name, value in (parameters or {}).items()}
        store = open_series(self.settings)
        assert isinstance(store, ClickHouseStore)
        with self._reader(store, query, limit, progress) as (reader, absence, attached):
            try:
                statement = admit(query, reader, _functions(reader))
                if attached and statement.selects:
                    dialect = self.settings.relational.get_backend_name()
                    statement = replace(statement, text=pushed(statement.text, reader, dialect, parameters or {}))
                run = Run(reader, statement, values)
                try:
                    yield Answer(run.schema, first_rows(run.batches(), limit))
                finally:
                    run.close()
            except (SqlError, StoreError, KeyboardInterrupt, GeneratorExit):
                raise
            except _engine_faults() as error:
                raise self._fault(error, reader, absence) from None

    def _fault(self, error: Exception, reader: Reader, absence: str) -> SqlError:
        found = from_engine(error, _tables(reader))
        text = f"{found} ({absence})" if absence and activations.named_in(str(found)) else str(found)
        return type(found)(self.settings.redact(text))

    @contextlib.contextmanager
    def _reader(
        self, store: ClickHouseStore, query: str, limit: int | None, progress: Progress | None
    ) -> Iterator[tuple[Reader, str, bool]]:
        """A reader; why `series.activations` is not there where the query may mean it; whether `relational` is."""
        with store.session() as client:
            attached = attach(client, self.settings.relational, embedded=store.embedded)
            if store.embedded:
                client.command(f"CREATE DATABASE IF NOT EXISTS {store.database}")
            wanted = activations.named_in(query)
            absence = activations.attach(store, client, self.settings.activations) if wanted else ""
            if not store.embedded:
                with store.session() as canceller:
                    yield ServerReader(client, canceller, store.database, limit=limit), absence, attached
                return
            folder = Path(str(self.settings.series.database))
            reader = EmbeddedReader(folder, store.database, client, limit=limit, progress=progress)
            try:
                yield reader, absence, attached
            finally:
                reader.close()


def _session_of(settings: Settings) -> Session | None:
    """What answers in another engine's SQL; None for ClickHouse, whose SQL is this module's."""
    match settings.series.drivername:
        case "duckdb":
            from tracebank.engines.duckdb import query as duckdb_session

            return duckdb_session.opened
        case "postgresql+psycopg" | "timescaledb+psycopg":
            from tracebank.engines.postgresql import query as postgresql_session

            return postgresql_session.opened
    return None


def _functions(reader: Reader) -> FunctionCatalogue:
    version = str(reader.ask("SELECT version()")[0][0])
    if version not in _catalogues:
        rows = reader.ask(CATALOGUE_QUERY)
        _catalogues[version] = FunctionCatalogue.of([(str(a), str(b), str(c), str(d)) for a, b, c, d in rows])
    return _catalogues[version]


def _tables(reader: Reader) -> list[str]:
    """Tables that a query may name; none where even that cannot be asked."""
    query = (
        "SELECT concat(database, '.', name) FROM system.tables"
        " WHERE database IN ('relational', 'system') OR database = currentDatabase()"
    )
    with contextlib.suppress(Exception):
        return [str(row[0]) for row in reader.ask(query)]
    return []


def _engine_faults() -> tuple[type[Exception], ...]:
    from chdb import ChdbError
    from clickhouse_connect.driver.exceptions import Error

    return (ChdbError, Error, pa.ArrowInvalid, RuntimeError)
