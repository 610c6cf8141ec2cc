"""One SQL over both stores where DuckDB holds the series: its dialect, in a session of its own that can only read.

DuckDB's extensions that would attach SQLite or PostgreSQL are not part of its package. So what a query can need of the
relational tables that it names is copied into the session's memory, as it stands when the query begins. The series file
is attached read-only, beside other readers; a writer is waited for.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tracebank.engines.duckdb.pushdown import DATABASE, needs
from tracebank.engines.duckdb.relational import relational_rows
from tracebank.query.contract import MOMENT, Answer, Parameters, first_rows
from tracebank.query.errors import READ_ONLY, SqlError, SqlRefused, one_line
from tracebank.settings import Settings
from tracebank.stores.faults import StoreBusy, StoreError
from tracebank.stores.opening import open_relational
from tracebank_schemas.catalogue import METADATA

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH_ROWS: Final = 122_880
_RETRY_SECONDS: Final = 0.05
_FENCE: Final = (
    "USE series",
    "SET TimeZone = 'UTC'",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
"""No files, no network, no variables of this process; and no way back."""


@contextlib.contextmanager
def opened(settings: Settings, query: str, parameters: Parameters, limit: int | None) -> Iterator[Answer]:
    """The answer of one statement in DuckDB's SQL, parameters as `$name`; open for the length of the block.

    Raises:
        SqlError: the query is refused or fails; one line.
        StoreError: a store cannot be opened.
    """
    import duckdb

    with contextlib.closing(duckdb.connect(":memory:")) as connection:
        _attach(connection, Path(str(settings.series.database)), settings.lock_timeout)
        try:
            statement = _admitted(connection, query)
            _copy_relational(connection, settings, statement, parameters)
            for text in _FENCE:
                connection.execute(text)
            reader = connection.sql(statement, params=dict(parameters) or None).to_arrow_reader(_BATCH_ROWS)
            schema = _shown(reader.schema)
            yield Answer(schema, first_rows((batch.cast(schema) for batch in reader), limit))
        except duckdb.Error as error:
            raise SqlError(settings.redact(one_line(str(error)))) from None


def _attach(connection: DuckDBPyConnection, path: Path, wait: float) -> None:
    import duckdb

    if not path.exists():
        raise StoreError(f"series store {path}: not made yet; run 'tracebank db upgrade'")
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS series (READ_ONLY)")
        except duckdb.Error as error:
            held = "lock" in str(error) or "already" in str(error) or "Unique file handle" in str(error)
            if not held:
                raise StoreError(f"series store {path}: {one_line(str(error))}") from error
            if time.monotonic() >= deadline:
                raise StoreBusy(
                    f"series store {path}: it is being written, and was not free within {wait:g} s"
                ) from None
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _admitted(connection: DuckDBPyConnection, query: str) -> str:
    from duckdb import StatementType

    found = connection.extract_statements(query)
    if not found:
        raise SqlError("the query is empty")
    if len(found) > 1:
        raise SqlRefused(f"{READ_ONLY}: give one statement, not {len(found)}")
    if found[0].type not in (StatementType.SELECT, StatementType.EXPLAIN, StatementType.RELATION):
        raise SqlRefused(f"{READ_ONLY}: {found[0].type.name} is not let through; use SELECT, SHOW, DESCRIBE or EXPLAIN")
    return str(found[0].query)


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


def _shown(schema: pa.Schema) -> pa.Schema:
    """Time stamps in nanoseconds and UTC, as from every engine."""
    return pa.schema([field.with_type(MOMENT) if pa.types.is_timestamp(field.type) else field for field in schema])
