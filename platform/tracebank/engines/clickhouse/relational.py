"""`relational`: views over the relational store, made from the models, the same over SQLite and PostgreSQL.

The raw tables lie in the database `_relational`, whose engine is `Memory`: the store's address and password are in the
engine's memory only, and go with it. The views persist; they hold no address.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import MetaData, Table, text
from sqlalchemy.engine import URL

from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.query.column_shapes import shape
from tracebank.query.errors import one_line
from tracebank.stores.faults import StoreError
from tracebank_schemas.catalogue import METADATA

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore

VIEWS: Final = "relational"
"""Database of the views."""

RAW: Final = "_relational"
"""Database of the raw tables, in the engine's memory."""


def refresh(series: SeriesStore, relational: RelationalStore, metadata: MetaData = METADATA) -> list[str]:
    """Make the views anew from the models, and remove those of models that are gone.

    Returns:
        Names of the views.

    Raises:
        StoreError: the relational store writes dates in a form that the views cannot read, or a store fails.
    """
    if isinstance(series, PostgreSQLStore):
        from tracebank.engines.postgresql.relational import in_one_database, make_views

        return make_views(relational, metadata) if in_one_database(series.url, relational.url) else []
    if not isinstance(series, ClickHouseStore):
        return []  # the session copies what a query names
    _check_forms(relational)
    with series.session() as client:
        if not attach(client, relational.url, embedded=series.embedded, metadata=metadata):
            return []
        client.command(f"CREATE DATABASE IF NOT EXISTS {VIEWS}")
        for table in metadata.sorted_tables:
            client.command(view_ddl(table, relational.url.get_backend_name()))
        names = [table.name for table in metadata.sorted_tables]
        standing = client.query("SELECT name FROM system.tables WHERE database = 'relational'").result_rows
        for (name,) in standing:
            if name not in names:
                client.command(f"DROP TABLE {VIEWS}.{_quoted(str(name))}")
    return names


def attach(client: Client, url: URL, *, embedded: bool, metadata: MetaData = METADATA) -> bool:
    """Make the raw tables reachable for the life of the engine; nothing of it goes to disk.

    Args:
        client: a session of the series store that may write.
        url: the relational store.
        embedded: whether the engine runs in this process, and so sees this machine's files.
        metadata: the models.

    Returns:
        False where the store is not reachable from the engine: a SQLite file that is not there yet, or is not the
        server's.
    """
    if url.get_backend_name() == "sqlite" and not (embedded and Path(str(url.database)).exists()):
        return False
    mark = _mark(url)
    client.command(f"CREATE DATABASE IF NOT EXISTS {RAW} ENGINE = Memory")
    standing = client.query(f"SELECT name, comment FROM system.tables WHERE database = '{RAW}'").result_rows
    marks = {str(name): str(comment) for name, comment in standing}
    for table in metadata.sorted_tables:
        wanted = f"{mark} {_digest(_raw_columns(table, url.get_backend_name()))}"
        if marks.get(table.name) == wanted:
            continue
        name = f"{RAW}.{_quoted(table.name)}"
        client.command(f"DROP TABLE IF EXISTS {name}")
        columns = _raw_columns(table, url.get_backend_name())
        _create(
            client,
            f"CREATE TABLE IF NOT EXISTS {name} ({columns}) ENGINE = {_engine(table, url)} COMMENT '{wanted}'",
            url,
        )
    return True


def _create(client: Client, statement: str, url: URL) -> None:
    """Run a statement that holds the password, which must not come back in an error."""
    try:
        client.command(statement)
    except Exception as error:
        reason = one_line(str(error))
        if url.password:
            reason = reason.replace(str(url.password), "***")
        raise StoreError(f"relational store {url.render_as_string()}: cannot be attached: {reason}") from None


def view_ddl(table: Table, dialect: str) -> str:
    """The statement that makes a table's view."""
    shapes = {column.name: shape(column, dialect) for column in table.columns}
    types = ", ".join(f"{_quoted(name)} {entry.type}" for name, entry in shapes.items())
    shown = ", ".join(
        f"CAST({entry.shown.format(_quoted(name))} AS {entry.type}) AS {_quoted(name)}"
        for name, entry in shapes.items()
    )
    source = f"(SELECT {', '.join(f'{_quoted(name)}' for name in shapes)} FROM {RAW}.{_quoted(table.name)})"
    return f"CREATE OR REPLACE VIEW {VIEWS}.{_quoted(table.name)} ({types}) AS SELECT {shown} FROM {source}"


def _raw_columns(table: Table, dialect: str) -> str:
    return ", ".join(f"{_quoted(column.name)} {shape(column, dialect).raw}" for column in table.columns)


def _engine(table: Table, url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"SQLite({_literal(str(url.database))}, {_literal(table.name)})"
    address = f"{url.host}:{url.port or 5432}"
    parts = (address, str(url.database), table.name, url.username or "", str(url.password or ""))
    return f"PostgreSQL({', '.join(map(_literal, parts))})"


def _mark(url: URL) -> str:
    """What tells one relational store from another, without its password."""
    return _digest(url.set(password=None).render_as_string())


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _check_forms(relational: RelationalStore) -> None:
    """PostgreSQL writes dates and bytes as its user's settings say; the views read the ISO and hex forms."""
    if relational.url.get_backend_name() != "postgresql":
        return
    wanted = {"datestyle": "ISO", "bytea_output": "hex"}
    with relational.connection() as connection:
        for name, start in wanted.items():
            found = str(connection.execute(text(f"SHOW {name}")).scalar())
            if not found.startswith(start):
                raise StoreError(
                    f"PostgreSQL setting {name} is {found!r} for user {relational.url.username};"
                    f" run: ALTER ROLE {relational.url.username} SET {name} = '{start}'"
                )


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
