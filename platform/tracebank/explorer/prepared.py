"""Statements that are compiled once and given to the driver, for what is asked at each request.

A result of SQLAlchemy costs more than they do.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, text
from sqlalchemy.orm import Session


class Prepared:
    """One SELECT with names of parameters as `:name`, in SQL that both engines understand."""

    def __init__(self, sql: str) -> None:
        self._text = text(sql)
        self._row: Any = None
        self._compiled: dict[str, tuple[str, Sequence[str] | None]] = {}

    def rows(self, session: Session, **values: Any) -> Sequence[Any]:
        """Its rows as the driver gives them: JSON and times are text in SQLite."""
        connection, dialect = _reached(session)
        if dialect.name not in self._compiled:
            compiled = self._text.compile(dialect=dialect)
            self._compiled[dialect.name] = str(compiled), compiled.positiontup
        sql, order = self._compiled[dialect.name]
        parameters = values if order is None else tuple(values[name] for name in order)
        cursor = connection.cursor()
        try:
            cursor.execute(sql, parameters)
            if self._row is None:
                names = [column[0] for column in cursor.description]
                self._row = namedtuple("Row", names, rename=True)  # type: ignore[misc]
            return list(map(self._row._make, cursor.fetchall()))
        finally:
            cursor.close()


def _reached(session: Session) -> tuple[Any, Dialect]:
    """The driver's connection of a session's transaction, kept with it: SQLAlchemy looks long for what it has."""
    if "driver" not in session.info:
        connection = session.connection()
        session.info["driver"] = connection.connection.dbapi_connection, connection.dialect
    found: tuple[Any, Dialect] = session.info["driver"]
    return found
