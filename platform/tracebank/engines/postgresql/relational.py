"""`relational` where both stores are one PostgreSQL database: views of the relational tables, made from the models."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from sqlalchemy import JSON, Column, Connection, DateTime, Enum, MetaData, Table, Uuid
from sqlalchemy.engine import URL

from tracebank.stores.faults import StoreError
from tracebank_schemas.catalogue import METADATA

VIEWS: Final = "relational"
"""Schema of the views."""
_MARK: Final = "views of tracebank, made by tracebank db upgrade"
_STANDING: Final = f"SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = '{VIEWS}'"


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
