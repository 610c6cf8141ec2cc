"""One SQL over both stores where PostgreSQL or TimescaleDB holds the series: its dialect, in a session that only reads.

Series tables lie in the schema `series`, and views of the relational tables in `relational` where both stores are one
database. PostgreSQL reaches no other database by itself: elsewhere `relational` is refused in one line.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import JSON, Column, Connection, DateTime, Enum, MetaData, Table, Uuid
from sqlalchemy.engine import URL

from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.query.contract import MOMENT, Answer, Parameters, first_rows
from tracebank.query.errors import READ_ONLY, SqlError, SqlRefused
from tracebank.settings import Settings, without_password
from tracebank.stores.faults import StoreError
from tracebank_schemas.catalogue import METADATA

VIEWS: Final = "relational"
_MARK: Final = "views of tracebank, made by tracebank db upgrade"
_STANDING: Final = f"SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = '{VIEWS}'"
_READ_ONLY_SESSION: Final = {"default_transaction_read_only": "on", "idle_in_transaction_session_timeout": "10min"}
_READER: Final = "pg_read_all_data"
"""PostgreSQL's own role that reads every table, and nothing beside tables; taken in place of a superuser's rights."""
_COMMENT: Final = re.compile(r"\s+|--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)
_COPIED: Final = ("SELECT", "WITH", "VALUES", "TABLE")
_TOLD: Final = ("SHOW", "EXPLAIN")
_REACHES_OUT: Final = re.compile(
    r"(?i)\b(set_config|dblink\w*|lo_\w+|pg_read_\w+|pg_ls_\w+|pg_stat_file|pg_terminate_backend|pg_cancel_backend"
    r"|pg_(?:try_)?advisory_\w+|pg_reload_conf|pg_rotate_logfile|pg_logical_\w+|pg_export_snapshot|pg_notify"
    r"|\w+_to_xml\w*|pg_file_\w+)\b|u&\""
)
"""Functions that change the session, run text as SQL, or reach files and other sessions."""


@contextlib.contextmanager
def opened(settings: Settings, query: str, parameters: Parameters, limit: int | None) -> Iterator[Answer]:
    """The answer of one statement in PostgreSQL's SQL, parameters as `%(name)s`; open for the length of the block.

    Raises:
        SqlError: the query is refused or fails; one line.
        StoreError: the server cannot be reached.
    """
    text, word = _admitted(query)
    url = settings.series.set(drivername="postgresql+psycopg")
    plain = PostgreSQLStore(url, settings=_READ_ONLY_SESSION)
    with plain.connection() as connection:
        is_super = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        if parameters:
            text = psycopg.ClientCursor(connection).mogrify(text.encode(), dict(parameters))
    role = {"role": _READER} if is_super and is_super[0] else {}
    store = PostgreSQLStore(url, settings={**_READ_ONLY_SESSION, **role})
    with _faults(settings):
        if word in _TOLD:
            yield _told(store, text, limit)
            return
        with store.arrow_connection() as arrow, arrow.cursor() as cursor:
            cursor.execute(text)
            with cursor.fetch_record_batch() as reader:
                schema = _shown(reader.schema)
                yield Answer(schema, first_rows((_converted(batch, schema) for batch in reader), limit))


def _admitted(query: str) -> tuple[str, str]:
    text = query.strip().rstrip(";").rstrip()
    rest = text
    while found := _COMMENT.match(rest):
        rest = rest[found.end() :]
    if not rest:
        raise SqlError("the query is empty")
    if "\0" in text:
        raise SqlError("the query holds a NUL byte")
    word = rest.lstrip("(").split(None, 1)[0].split("(")[0].upper()
    if word not in (*_COPIED, *_TOLD):
        raise SqlRefused(f"{READ_ONLY}: {word} is not let through; use SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN")
    if found := _REACHES_OUT.search(text):
        raise SqlRefused(f"{READ_ONLY}: {found.group()} is not let through")
    return text, word


def _told(store: PostgreSQLStore, text: str, limit: int | None) -> Answer:
    """Answers of SHOW and EXPLAIN, which are text."""
    with store.connection() as connection:
        cursor = connection.execute(text.encode(), prepare=True)
        names = [column.name for column in cursor.description or []]
        rows = [[str(value) for value in row] for row in cursor.fetchall()]
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    return Answer(table.schema, first_rows(iter(table.to_batches()), limit))


@contextlib.contextmanager
def _faults(settings: Settings) -> Iterator[None]:
    import adbc_driver_manager

    try:
        yield
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        raise SqlError(_line(str(error), settings)) from None
    except StoreError as error:
        raise SqlError(_line(str(error).partition(": ")[2] or str(error), settings)) from None


def _line(message: str, settings: Settings) -> str:
    text = without_password(" ".join(message.split()), settings.series)[:400]
    if f"{VIEWS}." in text and "does not exist" in text and not in_one_database(settings.series, settings.relational):
        shown = settings.relational.render_as_string()
        return (
            f"relational: PostgreSQL reaches the relational store only where it is the same database, and {shown} is"
            " not; set TRACEBANK_RELATIONAL_URL to the series store's database, or query each store by itself"
        )
    return settings.redact(text)


def _is_numeric(field: pa.Field[Any]) -> bool:
    return (field.metadata or {}).get(b"ADBC:postgresql:typname") == b"numeric"


def _shown(schema: pa.Schema) -> pa.Schema:
    """Time stamps in nanoseconds and UTC as from every engine, PostgreSQL's numeric as double precision."""
    fields = []
    for field in schema:
        if pa.types.is_timestamp(field.type):
            field = field.with_type(MOMENT)
        elif _is_numeric(field):
            field = field.with_type(pa.float64())
        fields.append(field.remove_metadata())
    return pa.schema(fields)


def _converted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for values, field in zip(batch.columns, schema, strict=True):
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        columns.append(pc.cast(values, field.type) if values.type != field.type else values)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def in_one_database(series: URL, relational: URL) -> bool:
    """Whether both stores are one PostgreSQL database."""

    def place(url: URL) -> tuple[str | None, int, str | None]:
        return url.host, url.port or 5432, url.database

    engines = series.get_backend_name(), relational.get_backend_name()
    is_both = engines in (("postgresql", "postgresql"), ("timescaledb", "postgresql"))
    return is_both and place(series) == place(relational)


@contextlib.contextmanager
def views_replaced(connection: Connection, series: URL, relational: URL) -> Iterator[None]:
    """Take the views away, which would keep a migration from changing the tables beneath them, and make them anew.

    All in the connection's transaction: to others the views are never missing, and what fails leaves the old ones.

    Raises:
        StoreError: somebody else's schema has the views' name.
    """
    if connection.exec_driver_sql(_STANDING).scalar() == _MARK:
        connection.exec_driver_sql(f"DROP SCHEMA {VIEWS} CASCADE")
    yield
    if in_one_database(series, relational):
        make_views(connection, relational)


def make_views(connection: Connection, relational: URL, metadata: MetaData = METADATA) -> None:
    """Make the views of `relational` from the models.

    Raises:
        StoreError: somebody else's schema has that name.
    """
    if connection.exec_driver_sql(_STANDING).first() is not None:
        shown = relational.render_as_string()
        raise StoreError(f"relational store {shown}: its schema {VIEWS} is not tracebank's; rename that schema")
    connection.exec_driver_sql(f"CREATE SCHEMA {VIEWS}")
    connection.exec_driver_sql(f"COMMENT ON SCHEMA {VIEWS} IS '{_MARK}'")
    schema = str(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
    for table in metadata.sorted_tables:
        connection.exec_driver_sql(_view(table, schema))


def _view(table: Table, schema: str) -> str:
    columns = ", ".join(f'{_form(column)} AS "{column.name}"' for column in table.columns)
    return f'CREATE VIEW {VIEWS}."{table.name}" AS SELECT {columns} FROM "{schema}"."{table.name}"'


def _form(column: Column[object]) -> str:
    """A column as it is shown, of the same kind as over every other engine."""
    if isinstance(column.type, JSON | Enum | Uuid):
        return f'"{column.name}"::text'
    if isinstance(column.type, DateTime) and not column.type.timezone:
        return f"\"{column.name}\" AT TIME ZONE 'UTC'"
    return f'"{column.name}"'
