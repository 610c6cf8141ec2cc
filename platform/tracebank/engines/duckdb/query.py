"""One SQL over both stores where DuckDB holds the series: its dialect, in a session of its own that can only read.

DuckDB's extensions that would attach SQLite or PostgreSQL are not part of its package. So what a query can need of the
relational tables that it names is copied into the session's memory, as it stands when the query begins. The series file
is attached read-only, beside other readers; a writer is waited for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tracebank.engines.duckdb import ddl, file, temporary
from tracebank.engines.duckdb.answers import fitted, readable, shown
from tracebank.engines.duckdb.guard import admitted
from tracebank.engines.duckdb.pushdown import DATABASE, needs
from tracebank.engines.duckdb.relational import relational_rows
from tracebank.engines.duckdb.running import Running, bounded_addresses, settings_of, told
from tracebank.query.contract import Answer, Parameters, Request, first_rows
from tracebank.query.mistakes import NOT_THERE
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import open_relational
from tracebank_schemas.catalogue import METADATA

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH_ROWS: Final = 122_880
_THREAD_MEMORY: Final = 64 << 20
"""Bytes without which a thread of the engine is of no use."""
_ALONE: Final = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
}
_FENCE: Final = (
    "USE series",
    "SET TimeZone = 'UTC'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
"""No files, no network; and no way back."""


@contextlib.contextmanager
def opened(settings: Settings, request: Request) -> Iterator[Answer]:
    """The answer of one statement in DuckDB's SQL, parameters as `$name`; open for the length of the block.

    Raises:
        SqlError: the query is refused, fails or takes more than it may; one line.
        StoreError: a store cannot be opened.
    """
    import duckdb

    threads = max(1, min(os.cpu_count() or 1, request.limits.memory // _THREAD_MEMORY))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary.folder(settings.home))
        stack.enter_context(bounded_addresses(request.limits, threads))
        path, wait = Path(str(settings.series.database)), settings.lock_timeout
        stack.enter_context(file.held(path, wait, shared=True))
        own = settings_of(request.limits, folder) | _ALONE | {"threads": str(threads)}
        connection = duckdb.connect(":memory:", config=dict(own))
        running = Running(connection, request.limits)
        stack.callback(running.close)
        with told(request.limits):
            statement = admitted(connection, request.text)
            _attach(connection, path, wait)
            _copy_relational(connection, settings, statement, request.parameters)
            for text in _FENCE:
                connection.execute(text)
        running.begin()
        reader = running(partial(_reader, connection, statement, request))
        schema = shown(reader.schema)
        yield Answer(schema, first_rows(_batches(running, reader, schema), request.rows))


def _attach(connection: DuckDBPyConnection, path: Path, wait: float) -> None:
    if not path.exists():
        raise StoreError(f"series store {path}: not made yet; {NOT_THERE}")
    file.opened(path, lambda: connection.execute(f"ATTACH {ddl.literal(str(path))} AS series (READ_ONLY)"), wait)


def _reader(connection: DuckDBPyConnection, statement: str, request: Request) -> pa.RecordBatchReader:
    relation = connection.sql(statement, params=dict(request.parameters) or None)
    reader: pa.RecordBatchReader = readable(relation).to_arrow_reader(_BATCH_ROWS)
    return reader


def _batches(running: Running, reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while (batch := running(lambda: next(reader, None))) is not None:
        yield fitted(batch, schema)


def _copy_relational(
    connection: DuckDBPyConnection, settings: Settings, statement: str, parameters: Parameters
) -> None:
    connection.execute(f"ATTACH ':memory:' AS {DATABASE}")
    store = open_relational(settings)
    try:
        for need in needs(statement, parameters, METADATA, settings.relational.get_backend_name()):
            connection.register("copied", relational_rows(store, need))
            connection.execute(f'CREATE TABLE {DATABASE}.main."{need.table.name}" AS SELECT * FROM copied')
            connection.unregister("copied")
    finally:
        store.close()
