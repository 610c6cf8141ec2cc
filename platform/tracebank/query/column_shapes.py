"""How each column type is read from SQLite and from PostgreSQL, so that both show the same type and value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Uuid,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from tracebank.stores.faults import StoreError

_DECIMAL_DIGITS: Final = 38


@dataclass(frozen=True, slots=True)
class Shape:
    """How one column is read raw, and how the view shows it; `{}` stands for the raw column."""

    raw: str
    shown: str
    type: str


def shape(column: Column[object], dialect: str) -> Shape:
    """How a column is read from `dialect` ("sqlite" or "postgresql") and shown.

    Raises:
        StoreError: its type has no form that is the same over both.
    """
    raw, shown, kind = _shape(column, dialect == "sqlite")
    if column.nullable:
        return Shape(f"Nullable({raw})", shown, f"Nullable({kind})")
    return Shape(raw, shown, kind)


def stored_type(column: Column[object]) -> TypeEngine[object]:
    """A column's type beneath what decorates it."""
    kind: TypeEngine[object] = column.type
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind


def _shape(column: Column[object], is_sqlite: bool) -> tuple[str, str, str]:
    kind = stored_type(column)
    match kind:
        case Boolean():
            return ("Int64", "{} != 0", "Bool") if is_sqlite else ("Bool", "{}", "Bool")
        case Enum() | JSON():
            return "String", "{}", "String"
        case BigInteger():
            return "Int64", "{}", "Int64"
        case SmallInteger():
            return _integer("Int16", column)
        case Integer():
            return _integer("Int32", column)
        case Float():
            return "Float64", "{}", "Float64"
        case Numeric():
            return _decimal(kind, column, is_sqlite)
        case DateTime():
            return "String", _instant(column), "DateTime64(6, 'UTC')"
        case Date():
            return "String", _accurately("Date32", column), "Date32"
        case LargeBinary():
            return "String", "{}" if is_sqlite else "unhex(substring({}, 3))", "String"
        case Uuid():
            whole = "UUIDNumToString(toFixedString(unhex({}), 16))"
            return "String", whole if is_sqlite else "{}", "String"
        case String():
            return "String", "{}", "String"
    raise StoreError(f"column {column.table.name}.{column.name}: type {kind!r} has no form in the views of the one SQL")


def _instant(column: Column[object]) -> str:
    """UTC text, with or without an offset. The parser looks at nulls too, as empty text, and must not."""
    if not column.nullable:
        return "parseDateTime64BestEffort({0}, 6, 'UTC')"
    return "if(isNull({0}), NULL, parseDateTime64BestEffort(ifNull({0}, '1970-01-01 00:00:00'), 6, 'UTC'))"


def _accurately(kind: str, column: Column[object]) -> str:
    return f"accurateCast({{}}, '{f'Nullable({kind})' if column.nullable else kind}')"


def _integer(kind: str, column: Column[object]) -> tuple[str, str, str]:
    return "Int64", _accurately(kind, column), kind


def _decimal(kind: Numeric[Any], column: Column[object], is_sqlite: bool) -> tuple[str, str, str]:
    if kind.scale is None:
        raise StoreError(f"column {column.table.name}.{column.name}: a Numeric needs a scale to be shown in SQL")
    digits = kind.precision or _DECIMAL_DIGITS
    shown = f"toDecimalString({{}}, {kind.scale})" if is_sqlite else "{}"
    name = f"Decimal({digits}, {kind.scale})"
    return ("Float64" if is_sqlite else name), shown, name
