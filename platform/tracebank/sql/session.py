"""`connect().sql(…)`: one query over both stores, from Python and for the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tracebank.settings import Settings
from tracebank.sql.errors import SqlError, from_engine
from tracebank.sql.functions import CATALOGUE_QUERY, FunctionCatalogue
from tracebank.sql.reader import EmbeddedReader, Progress, Reader, ServerReader
from tracebank.sql.relational_views import attach
from tracebank.sql.result_types import Conversion, in_doubt, retyped
from tracebank.sql.statement import Statement, admit
from tracebank.stores import StoreError, open_series

if TYPE_CHECKING:
    import polars as pl

    from tracebank.stores.clickhouse import ClickHouseStore

Parameters = Mapping[str, object]

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


@dataclass(frozen=True, slots=True)
class Answer:
    """A query under way: its schema, and its batches as they come."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


class Connection:
    """Queries over `series`, `relational` and `system`. Each query opens the store, and closes it when it ends."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def sql(self, query: str, *, parameters: Parameters | None = None, limit: int | None = None) -> pl.DataFrame:
        """Answer a query as Polars.

        Args:
            query: one statement of ClickHouse's SQL that reads: SELECT, SHOW, DESCRIBE, EXISTS or EXPLAIN. Tables
                without a database are those of `series`.
            parameters: values of `{name:Type}` in the query.
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
        values = {name: bound(name, value) for name, value in (parameters or {}).items()}
        store = open_series(self.settings)
        with self._reader(store, limit, progress) as reader:
            try:
                run = _Run(reader, admit(query, reader, _functions(reader)), values)
                try:
                    yield Answer(run.schema, run.batches())
                finally:
                    run.close()
            except (SqlError, StoreError, KeyboardInterrupt, GeneratorExit):
                raise
            except _engine_faults() as error:
                raise self._fault(error, reader) from None

    def _fault(self, error: Exception, reader: Reader) -> SqlError:
        found = from_engine(error, _tables(reader))
        return type(found)(self.settings.redact(str(found)))

    @contextlib.contextmanager
    def _reader(self, store: ClickHouseStore, limit: int | None, progress: Progress | None) -> Iterator[Reader]:
        with store.session() as client:
            attach(client, self.settings.relational, embedded=store.embedded)
            if not store.embedded:
                with store.session() as canceller:
                    yield ServerReader(client, canceller, store.database, limit=limit)
                return
            client.command(f"CREATE DATABASE IF NOT EXISTS {store.database}")
            folder = Path(str(self.settings.series.database))
            reader = EmbeddedReader(folder, store.database, client, limit=limit, progress=progress)
            try:
                yield reader
            finally:
                reader.close()


@dataclass(slots=True)
class _Run:
    """One statement as it runs: the first batch tells the types, the rest follows."""

    reader: Reader
    statement: Statement
    parameters: Mapping[str, str]
    schema: pa.Schema = field(init=False)
    _conversion: Conversion = field(init=False)
    _source: Iterator[pa.RecordBatch] = field(init=False, default_factory=lambda: iter(()))
    _first: pa.RecordBatch | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        arrow = self._start(self.statement.text)
        types: dict[str, str] = {}
        if self.statement.selects and in_doubt(arrow):
            types = self._types()
            if others := retyped(types):
                self.close()
                casts = ", ".join(f"CAST({_name(name)} AS {wanted}) AS {_name(name)}" for name, wanted in others.items())
                arrow = self._start(f"SELECT * REPLACE({casts}) FROM ({self.statement.text})")
                types |= others
        self._conversion = Conversion.of(arrow, types)
        self.schema = self._conversion.schema

    def _start(self, text: str) -> pa.Schema:
        if not self.statement.selects:
            table = self.reader.whole(text, self.parameters)
            self._source = iter(table.to_batches())
            return table.schema
        self._source = self.reader.batches(text, self.parameters)
        self._first = next(self._source, None)
        if self._first is not None:
            return self._first.schema
        return self.reader.whole(f"SELECT * FROM ({text}) LIMIT 0", self.parameters).schema

    def _types(self) -> dict[str, str]:
        """The engine's names of the columns' types."""
        described = self.reader.whole(f"DESCRIBE ({self.statement.text})", self.parameters).to_pydict()
        return dict(zip(described["name"], described["type"], strict=True))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every batch, converted."""
        try:
            if self._first is not None:
                yield self._conversion.batch(self._first)
            for batch in self._source:
                yield self._conversion.batch(batch)
        finally:
            self.close()

    def close(self) -> None:
        """Stop the query."""
        close = getattr(self._source, "close", None)
        if close:
            close()


def bound(name: str, value: object) -> str:
    """A parameter's value as the engine reads it.

    Raises:
        SqlError: a time without zone, or a value of a type that has no form in SQL.
    """
    from clickhouse_connect.driver.binding import format_bind_value

    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise SqlError(f"parameter {name}: {value!r} has no time zone; give one in UTC")
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return str(format_bind_value(value))
    except Exception as error:
        raise SqlError(f"parameter {name}: {value!r} cannot be passed: {error}") from None


def _name(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


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
