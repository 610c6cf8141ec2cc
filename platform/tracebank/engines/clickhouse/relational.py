"""`relational`: views over the relational store, made from the models, the same over SQLite and PostgreSQL.

The raw tables lie in the database `_relational`, whose engine is `Memory`: the store's address and password are in the
engine's memory only, and go with it. The views persist; they hold no address.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import MetaData, Table, text
from sqlalchemy.engine import URL

from tracebank.engines.clickhouse.ddl import quoted
from tracebank.engines.clickhouse.guard import quoted as literal
from tracebank.query.column_shapes import shape
from tracebank.query.errors import one_line
from tracebank.stores.faults import StoreError
from tracebank_schemas.catalogue import METADATA

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from tracebank.engines.clickhouse.store import ClickHouseStore
    from tracebank.stores.relational import RelationalStore

VIEWS: Final = "relational"
"""Database of the views."""

RAW: Final = "_relational"
"""Database of the raw tables, in the engine's memory."""


def refresh(series: ClickHouseStore, relational: RelationalStore, metadata: MetaData = METADATA) -> list[str]:
    """Make the views anew from the models, and remove those of models that are gone.

    Returns:
        Names of the views.

    Raises:
        StoreError: the relational store writes dates in a form that the views cannot read, or a store fails.
    """
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
                client.command(f"DROP TABLE {VIEWS}.{quoted(str(name))}")
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
    dialect = url.get_backend_name()
    columns = {table.name: _raw_columns(table, dialect) for table in metadata.sorted_tables}
    place = mark(url)
    marks = {name: f"{place} {_digest(text)}" for name, text in columns.items()}
    standing = client.query(f"SELECT name, comment FROM system.tables WHERE database = '{RAW}'").result_rows
    if changed := marks.items() - {(str(name), str(comment)) for name, comment in standing}:
        client.command(f"CREATE DATABASE IF NOT EXISTS {RAW} ENGINE = Memory")
        for name, comment in sorted(changed):
            client.command(f"DROP TABLE IF EXISTS {RAW}.{quoted(name)}")
            source = f"ENGINE = {_engine(name, url)} COMMENT '{comment}'"
            _create(client, f"CREATE TABLE IF NOT EXISTS {RAW}.{quoted(name)} ({columns[name]}) {source}", url)
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
    types = ", ".join(f"{quoted(column.name)} {shape(column, dialect).type}" for column in table.columns)
    return f"CREATE OR REPLACE VIEW {VIEWS}.{quoted(table.name)} ({types}) AS {view_select(table, dialect)}"


def view_select(table: Table, dialect: str, where: str = "") -> str:
    """What a table's view shows.

    Args:
        table: of the models.
        dialect: "sqlite" or "postgresql".
        where: a condition on the raw table; it stands beside it, so that the engine hands it on.
    """
    shapes = {quoted(column.name): shape(column, dialect) for column in table.columns}
    shown = ", ".join(f"CAST({entry.shown.format(name)} AS {entry.type}) AS {name}" for name, entry in shapes.items())
    rows = f"SELECT {', '.join(shapes)} FROM {RAW}.{quoted(table.name)}" + (where and f" WHERE {where}")
    return f"SELECT {shown} FROM ({rows})"


def _raw_columns(table: Table, dialect: str) -> str:
    return ", ".join(f"{quoted(column.name)} {shape(column, dialect).raw}" for column in table.columns)


def _engine(name: str, url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"SQLite({literal(str(url.database))}, {literal(name)})"
    address = f"{url.host}:{url.port or 5432}"
    parts = (address, str(url.database), name, url.username or "", str(url.password or ""))
    return f"PostgreSQL({', '.join(map(literal, parts))})"


def mark(url: URL) -> str:
    """What tells one relational store from another: a SQLite file also from one of its name that was there before."""
    if url.get_backend_name() == "sqlite":
        found = Path(str(url.database)).stat()
        return _digest(f"{url.database} {found.st_dev} {found.st_ino}")
    return _of_server(url)


@cache
def _of_server(url: URL) -> str:
    """The password too may change; a mark is there to be read, so it is dear to guess from."""
    password = str(url.password or "").encode()
    place = url.set(password=None).render_as_string().encode()
    return hashlib.scrypt(password, salt=place, n=2**14, r=8, p=1, dklen=8).hex()


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _check_forms(relational: RelationalStore) -> None:
    """PostgreSQL writes dates and bytes as its user's settings say; the views read the ISO and hex forms."""
    if relational.url.get_backend_name() != "postgresql":
        return
    wanted = {"datestyle": "ISO", "bytea_output": "hex"}
    with relational.reading() as session:
        for name, start in wanted.items():
            found = str(session.scalar(text(f"SHOW {name}")))
            if not found.startswith(start):
                raise StoreError(
                    f"PostgreSQL setting {name} is {found!r} for user {relational.url.username};"
                    f" run: ALTER ROLE {relational.url.username} SET {name} = '{start}'"
                )
