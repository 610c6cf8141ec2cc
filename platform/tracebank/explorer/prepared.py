"""Statements that are compiled once, for what is asked at each request: the rest of SQLAlchemy costs more than they."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session


class Prepared:
    """One SELECT with names of parameters as `:name`, in SQL that both engines understand."""

    def __init__(self, sql: str) -> None:
        self._text = text(sql)
        self._compiled: dict[str, tuple[str, Sequence[str] | None]] = {}

    def rows(self, session: Session, **values: Any) -> Sequence[Any]:
        """Its rows as the driver gives them: JSON and times are text in SQLite."""
        connection = session.connection()
        dialect = connection.dialect
        if dialect.name not in self._compiled:
            compiled = self._text.compile(dialect=dialect)
            self._compiled[dialect.name] = str(compiled), compiled.positiontup
        sql, order = self._compiled[dialect.name]
        parameters = values if order is None else tuple(values[name] for name in order)
        return connection.exec_driver_sql(sql, parameters or None).all()
