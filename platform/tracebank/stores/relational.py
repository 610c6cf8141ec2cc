"""The relational store: one SQLAlchemy engine on SQLite or PostgreSQL, its migrations, and writes of model rows."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError, StatementError
from sqlalchemy.orm import Session

from tracebank.settings import without_password
from tracebank.stores.faults import StoreError
from tracebank_schemas.catalogue import METADATA
from tracebank_schemas.relational import Base, set_home

if TYPE_CHECKING:
    from tracebank.stores.series_store import EngineInfo

SQLITE_WAIT: Final = 60.0
"""Seconds that SQLite waits for another writer."""
_UNCHECKED: Final = "tracebank_unchecked"
"""Option of a connection to SQLite that does not look at what refers to what."""
_HINTS: Final = {
    re.compile(r"no such (table|column)|(relation|column) .* does not exist"): "; run 'tracebank db upgrade'",
    re.compile(r"unable to open database file"): "; TRACEBANK_HOME names a folder that may be written",
    re.compile(r"(?i)foreign key"): "; what a row refers to has to be there, so materialise that first",
    re.compile(r"in a read-only transaction|a readonly database"): (
        "; it was opened with reading(), or may not be written; writes belong in session()"
    ),
}
"""What to do, by a sign in the database's message."""


class RelationalStore:
    """The catalogue of everything: small tables, transactions, one truth."""

    def __init__(self, url: URL, home: Path | None = None) -> None:
        self.url = url
        self._home = home
        """What paths are stored from, see `tracebank_schemas.relational.HomePath`."""

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's engine; SQLite waits for other writers and keeps a write-ahead log."""
        if self.url.drivername != "sqlite":
            engine = create_engine(self.url, pool_pre_ping=True)
        else:
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            engine = create_engine(self.url, connect_args={"timeout": SQLITE_WAIT})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        set_home(engine.dialect, self._home)
        return engine

    @cached_property
    def _reading(self) -> Engine:
        """The same engine and pool, for transactions that only read."""
        return self.engine.execution_options(postgresql_readonly=True)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction that writes: committed when the block ends well, else rolled back.

        Raises:
            StoreError: the database failed; one line without the password.
        """
        try:
            with Session(self.engine) as session, session.begin():
                yield session
        except (SQLAlchemyError, OSError) as error:
            raise self._fault(error) from error

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads, and waits for no writer.

        Raises:
            StoreError: the block would write, or the database failed; one line without the password.
        """
        try:
            with Session(self._reading) as session, session.begin():
                yield session
        except (SQLAlchemyError, OSError) as error:
            raise self._fault(error) from error

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in one transaction that writes, with faults as in `session`."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise self._fault(error) from error

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """As `connection`, for changes of tables.

        SQLite changes a table by making it anew, and takes the rows that refer to it along with the old one unless
        it is told not to look.
        """
        try:
            with self.engine.execution_options(**{_UNCHECKED: True}).begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise self._fault(error) from error

    def upsert(self, session: Session, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, or overwrite those whose primary key is there: the same call again changes nothing.

        Raises:
            ValueError: the rows do not all have the same columns.
        """
        if not rows:
            return
        if any(row.keys() != rows[0].keys() for row in rows):
            raise ValueError(f"rows of {model.__tablename__} differ in their columns; give each {sorted(rows[0])}")
        insert = sqlite.insert if self.engine.dialect.name == "sqlite" else postgresql.insert
        keys = [column.name for column in inspect(model).primary_key]
        statement = insert(model.metadata.tables[model.__tablename__])
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        if changed:
            statement = statement.on_conflict_do_update(index_elements=keys, set_=changed)
        else:
            statement = statement.on_conflict_do_nothing(index_elements=keys)
        session.execute(statement, list(rows))

    def replace(
        self, session: Session, model: type[Base], where: ColumnElement[bool], rows: Sequence[dict[str, Any]]
    ) -> None:
        """Put rows in the place of those for which a condition holds.

        What refers to a row goes with it. A row whose primary key is among the new ones is written over and not
        deleted, so that what refers to it stands: of something made again it is the reader of versions who tells that
        it is older.
        """
        table = model.metadata.tables[model.__tablename__]
        if table in _referred_to():
            _delete_others(session, table, where, rows)
        else:
            session.execute(delete(model).where(where))
        self.upsert(session, model, rows)

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        # Not above: what the series need (Polars, sqlglot) costs whoever wants this store alone half a second.
        from tracebank.stores.series_store import EngineInfo

        dialect = self.engine.dialect.name
        with self.reading() as session:
            query = "select sqlite_version()" if dialect == "sqlite" else "show server_version"
            return EngineInfo(dialect, str(session.execute(text(query)).scalar()), "relational")

    def close(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()

    def _fault(self, error: Exception) -> StoreError:
        cause = error.__cause__ if isinstance(error, StatementError) and not error.orig else None
        lines = str(getattr(error, "orig", None) or cause or error).strip().splitlines() or [type(error).__name__]
        first = without_password(lines[0], self.url)
        hint = next((hint for sign, hint in _HINTS.items() if sign.search(first)), "")
        return StoreError(f"relational store {self.url.render_as_string()}: {first}{hint}")


@cache
def _referred_to() -> frozenset[Table]:
    """Tables that rows of others refer to."""
    return frozenset(key.referred_table for table in METADATA.tables.values() for key in table.foreign_key_constraints)


def _delete_others(session: Session, table: Table, where: ColumnElement[bool], rows: Sequence[dict[str, Any]]) -> None:
    """Delete the rows for which a condition holds, but for those that have the primary key of a new one."""
    keys = list(table.primary_key)
    kept = {tuple(row[key.name] for key in keys) for row in rows}
    gone = [row for row in session.execute(select(*keys).where(where)) if tuple(row) not in kept]
    if gone:
        same = delete(table).where(*(key == bindparam(f"old_{key.name}") for key in keys))
        parameters = [{f"old_{key.name}": value for key, value in zip(keys, row, strict=True)} for row in gone]
        session.connection().execute(same, parameters)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # sqlite3 itself begins no transactions: `_begin_sqlite` does, before DDL too
    cursor = connection.cursor()
    _to_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _to_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """The change of a new file to a write-ahead log does not wait for another connection that makes it too."""
    give_up = time.monotonic() + SQLITE_WAIT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # The option is PostgreSQL's dialect's own, which needs no more; here it says the same.
    reads = bool(connection.get_execution_options().get("postgresql_readonly"))
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
    unchecked = bool(connection.get_execution_options().get(_UNCHECKED))
    connection.exec_driver_sql(f"PRAGMA foreign_keys={'OFF' if unchecked else 'ON'}")
    # A transaction that reads first and writes later would fail at once, without waiting, if another wrote in between.
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
