"""The relational store: one SQLAlchemy engine on SQLite or PostgreSQL, its migrations, and writes of model rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tracebank.settings import shown_url
from tracebank.stores.protocol import EngineInfo, StoreError
from tracebank_schemas.relational import Base

_INSERT_ROWS = 500
"""Rows per INSERT: SQLite takes at most 32,766 bound values in one statement."""


class RelationalStore:
    """The catalogue of everything: small tables, transactions, one truth."""

    engine_names: ClassVar[tuple[str, ...]] = ("sqlite", "postgresql")

    def __init__(self, url: URL) -> None:
        self.url = url

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's engine; SQLite waits for other writers and keeps a write-ahead log."""
        if self.url.drivername != "sqlite":
            return create_engine(self.url, pool_pre_ping=True)
        Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_engine(self.url, connect_args={"timeout": 60})
        event.listen(engine, "connect", _prepare_sqlite)
        return engine

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed when the block ends well, else rolled back.

        Raises:
            StoreError: the database failed; one line without the password.
        """
        try:
            with Session(self.engine) as session, session.begin():
                yield session
        except (SQLAlchemyError, OSError) as error:
            raise self._fault(error) from error

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in one transaction, with faults as in `session`."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise self._fault(error) from error

    def upsert(self, session: Session, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, or overwrite those whose primary key is there: the same call again changes nothing."""
        insert = sqlite.insert if self.engine.dialect.name == "sqlite" else postgresql.insert
        keys = [column.name for column in inspect(model).primary_key]
        for start in range(0, len(rows), _INSERT_ROWS):
            block = list(rows[start : start + _INSERT_ROWS])
            statement = insert(model).values(block)
            changed = {name: statement.excluded[name] for name in block[0] if name not in keys}
            session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        dialect = self.engine.dialect.name
        with self.connection() as connection:
            query = "select sqlite_version()" if dialect == "sqlite" else "show server_version"
            return EngineInfo(dialect, str(connection.execute(text(query)).scalar()), "relational")

    def close(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()

    def _fault(self, error: Exception) -> StoreError:
        first = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        if self.url.password:
            first = first.replace(str(self.url.password), "***")
        hint = "; run 'tracebank db upgrade'" if "no such table" in first or "does not exist" in first else ""
        return StoreError(f"relational store {self.url.render_as_string()}: {shown_url(first)}{hint}")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
