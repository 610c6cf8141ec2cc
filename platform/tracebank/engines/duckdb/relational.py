"""Relational tables as Arrow, for engines that cannot reach the relational store themselves. The types are those of the
views that ClickHouse has of them: text for JSON, enumerations and UUIDs, instants in UTC."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import Column, Table, select

from tracebank.query.column_shapes import shape
from tracebank.stores.relational import RelationalStore

_ROWS: Final = 50_000
"""Read at once."""

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


def relational_rows(store: RelationalStore, table: Table) -> pa.Table:
    """Every row of a relational table.

    Raises:
        StoreError: the store fails, or a column's type has no form in SQL.
    """
    schema = pa.schema([_field(column) for column in table.columns])
    with store.connection() as connection:
        answer = connection.execution_options(yield_per=_ROWS).execute(select(table))
        batches = [_batch(rows, table, schema) for rows in answer.partitions(_ROWS)]
    return pa.Table.from_batches(batches, schema=schema)


def _batch(rows: Any, table: Table, schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = []
    for values, column, field in zip(columns, table.columns, schema, strict=True):
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
