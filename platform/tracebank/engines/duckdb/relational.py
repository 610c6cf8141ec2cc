"""Relational tables as Arrow, for engines that cannot reach the relational store themselves. The types are those of the
views that ClickHouse has of them: text for JSON, enumerations and UUIDs, instants in UTC."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import Column, ColumnElement, DateTime, Table, and_, or_, select, type_coerce

from tracebank.engines.duckdb.pushdown import Need
from tracebank.query.column_shapes import shape, stored_type
from tracebank.query.conditions import Condition, Group
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.relational import HomePath

_ROWS: Final = 50_000
"""Read at once."""

_OPERATORS: Final[dict[str, Callable[[Any, Any], ColumnElement[bool]]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_TYPES: Final[dict[str, pa.DataType]] = {
    "Bool": pa.bool_(),
    "String": pa.string(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Float64": pa.float64(),
    "Date32": pa.date32(),
    "DateTime64(6, 'UTC')": pa.timestamp("us", "UTC"),
}


def relational_rows(store: RelationalStore, need: Need) -> pa.Table:
    """Rows of a relational table that a statement can need.

    Raises:
        StoreError: the store fails, or a column's type has no form in SQL.
    """
    columns = [need.table.columns[name] for name in need.columns]
    schema = pa.schema([_field(column) for column in columns])
    # Paths are shown as they are stored, as the other engines do that read the tables themselves.
    query = select(*(type_coerce(one, stored_type(one)) if isinstance(one.type, HomePath) else one for one in columns))
    if need.condition is not None:
        query = query.where(_clause(need.condition, need.table))
    with store.reading() as session:
        answer = session.connection().execute(query, execution_options={"yield_per": _ROWS})
        batches = [_batch(rows, columns, schema) for rows in answer.partitions(_ROWS)]
    return pa.Table.from_batches(batches, schema=schema)


def _clause(condition: Condition, table: Table) -> ColumnElement[bool]:
    """A condition as the relational store is asked it."""
    if isinstance(condition, Group):
        parts = [_clause(part, table) for part in condition.parts if part is not None]
        return and_(*parts) if condition.every else or_(*parts)
    column: Column[Any] = table.columns[condition.name[0]]
    values = [_bound(value, column) for value in condition.values]
    if condition.operator == "in":
        return column.in_(values)
    if condition.operator == "prefix":
        return column.startswith(str(values[0]), autoescape=True)
    return _OPERATORS[condition.operator](column, values[0])


def _bound(value: object, column: Column[Any]) -> object:
    """A day as the midnight that a column of instants can be compared with."""
    kind = stored_type(column)
    if isinstance(value, date) and isinstance(kind, DateTime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC if kind.timezone else None)
    return value


def _batch(rows: Any, table: Sequence[Column[Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = []
    for values, column, field in zip(columns, table, schema, strict=True):
        convert = _conversion(column, field.type)
        arrays.append(pa.array([None if v is None else convert(v) for v in values] if convert else values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _field(column: Column[Any]) -> pa.Field[Any]:
    from sqlalchemy import LargeBinary

    if isinstance(column.type, LargeBinary):
        return pa.field(column.name, pa.binary())
    kind = shape(column, "postgresql").type
    if kind.startswith("Nullable("):
        kind = kind.removeprefix("Nullable(").removesuffix(")")
    if kind.startswith("Decimal("):
        digits, scale = (int(part) for part in kind.removeprefix("Decimal(").removesuffix(")").split(","))
        return pa.field(column.name, pa.decimal128(digits, scale))
    return pa.field(column.name, _TYPES[kind])


def _conversion(column: Column[Any], kind: pa.DataType) -> Callable[[Any], Any] | None:
    from sqlalchemy import JSON

    if kind == pa.string():
        return json.dumps if isinstance(column.type, JSON) else lambda value: str(getattr(value, "value", value))
    return None
