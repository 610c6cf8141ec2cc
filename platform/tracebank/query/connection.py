"""`connect().sql(…)`: one query over both stores, from Python and for the command line. How an engine answers is its
own folder's business; what comes back is the same from all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa

from tracebank.engines import engine_module
from tracebank.query.contract import Answer, Limits, Parameters, Progress, Request
from tracebank.query.errors import SqlError
from tracebank.query.mistakes import way_out
from tracebank.settings import Settings

if TYPE_CHECKING:
    import polars as pl

Opened = Callable[[Settings, Request], AbstractContextManager[Answer]]
"""`opened` of an engine's `query` module: the answer of one statement, open for the length of the block."""


def connect(settings: Settings | None = None) -> Connection:
    """A read-only view of both stores in SQL. Nothing is opened until a query runs.

    Args:
        settings: where the stores are; by default what `TRACEBANK_*` say.

    Raises:
        SettingsError: a setting cannot be used.
    """
    return Connection(settings or Settings.load())


class Connection:
    """Queries over `series`, `relational` and `system`. Each query opens the store, and closes it when it ends.

    A `with` block is a matter of taste: nothing stays open that its end would close.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __repr__(self) -> str:
        series, relational = self.settings.series.render_as_string(), self.settings.relational.render_as_string()
        return f"<tracebank: series {series}, relational {relational}; .tables(), .sql(…), .arrow(…), .stream(…)>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def tables(self) -> pl.DataFrame:
        """What can be queried: a row a table, with its database, rows, bytes, number of columns and what it is.

        Raises:
            StoreError: a store cannot be opened.
        """
        import polars as pl

        from tracebank.query.catalogue import tables

        kinds = {"database": pl.String, "table": pl.String, "rows": pl.Int64, "bytes": pl.Int64, "columns": pl.Int32}
        rows = [(t.database, t.name, t.rows, t.bytes, len(t.columns), t.doc) for t in tables(self)]
        return pl.DataFrame(rows, schema={**kinds, "doc": pl.String}, orient="row")

    def sql(
        self,
        query: str,
        *,
        parameters: Parameters | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        memory: int | None = None,
    ) -> pl.DataFrame:
        """Answer a query as Polars.

        Args:
            query: one statement that reads, in the SQL of the engine that holds the series: SELECT, SHOW, DESCRIBE,
                EXISTS or EXPLAIN. Tables without a database are those of `series`.
            parameters: values of `{name:Type}` in ClickHouse's SQL, `$name` in DuckDB's, `%(name)s` in PostgreSQL's.
            limit: most rows to give.
            timeout: seconds after which it is stopped; by default `TRACEBANK_QUERY_TIMEOUT`.
            memory: bytes that the engine may hold for it; by default `TRACEBANK_QUERY_MEMORY`.

        Returns:
            One column each; time stamps as `Datetime("ns", "UTC")`, names as strings.

        Raises:
            SqlError: the query is refused or fails; one line.
            StoreError: the store cannot be opened.
        """
        import polars as pl

        table = self.arrow(query, parameters=parameters, limit=limit, timeout=timeout, memory=memory)
        try:
            frame = pl.from_arrow(table)
        except pl.exceptions.PolarsError as error:
            raise SqlError(f"the answer has a type that Polars does not have: {_first_line(error)}") from None
        assert isinstance(frame, pl.DataFrame)
        return frame

    def arrow(
        self,
        query: str,
        *,
        parameters: Parameters | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        memory: int | None = None,
    ) -> pa.Table:
        """As `sql`, as an Arrow table."""
        with self.open(query, parameters=parameters, limit=limit, timeout=timeout, memory=memory) as answer:
            return pa.Table.from_batches(answer.batches, schema=answer.schema)

    def stream(
        self,
        query: str,
        *,
        parameters: Parameters | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        memory: int | None = None,
    ) -> Generator[pa.RecordBatch]:
        """As `sql`, batch by batch in bounded memory. The store stays open until the last batch, or `close()`."""
        with self.open(query, parameters=parameters, limit=limit, timeout=timeout, memory=memory) as answer:
            yield from answer.batches

    @contextlib.contextmanager
    def open(
        self,
        query: str,
        *,
        parameters: Parameters | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        memory: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Answer]:
        """The answer's schema and batches, with the store open for the length of the block."""
        if limit is not None and limit < 0:
            raise SqlError(f"limit: {limit} is not accepted; use 0 or more")
        limits = self._limits(timeout, memory)
        opened: Opened = engine_module(self.settings.series, "query").opened
        request = Request(query, limits, parameters or {}, limit, progress)
        with contextlib.ExitStack() as stack:
            with _told(query):
                answer = stack.enter_context(opened(self.settings, request))
                _check_names(answer.schema)
            yield Answer(answer.schema, _guarded(answer.batches, query))

    def _limits(self, timeout: float | None, memory: int | None) -> Limits:
        seconds = self.settings.query_timeout if timeout is None else timeout
        held = self.settings.query_memory if memory is None else memory
        if not seconds > 0:
            raise SqlError(f"timeout: {seconds:g} is not accepted; use seconds above 0")
        if held < MIN_MEMORY:
            raise SqlError(f"memory: {held} bytes is not accepted; use {MIN_MEMORY} (16 MiB) or more")
        return Limits(seconds, held)


MIN_MEMORY: Final = 16 << 20
"""Bytes with which every engine can answer something."""


def _check_names(schema: pa.Schema) -> None:
    names = schema.names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SqlError(f"two columns are named {twice!r}; give one another name with AS")


def _guarded(batches: Iterator[pa.RecordBatch], query: str) -> Iterator[pa.RecordBatch]:
    while True:
        with _told(query):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextlib.contextmanager
def _told(query: str) -> Iterator[None]:
    """What Arrow and the system raise while an answer is read, as the one kind of error that queries have; and the way
    out of a mistake."""
    try:
        yield
    except SqlError as error:
        raise type(error)(way_out(query, str(error))) from None
    except (pa.ArrowException, OSError) as error:
        raise SqlError(f"the answer cannot be read: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
