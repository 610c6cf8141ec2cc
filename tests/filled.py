"""Rows of any relational table, of which a test says only what it is about."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from tracebank.query.column_shapes import stored_type
from tracebank_schemas.relational import Base


def filled(model: type[Base], /, **values: Any) -> dict[str, Any]:
    """A row: what is not given is null where it may be, and else something of its type."""
    columns = model.metadata.tables[model.__tablename__].columns
    return {
        column.name: values.get(column.name, None if column.nullable else _some(stored_type(column).python_type))
        for column in columns
    }


def _some(kind: type) -> Any:
    return (
        datetime(2024, 8, 8, tzinfo=UTC)
        if kind is datetime
        else date(2024, 8, 8)
        if kind is date
        else kind(1)
        if kind in (int, float)
        else {}
        if kind in (object, dict)
        else kind()
    )
