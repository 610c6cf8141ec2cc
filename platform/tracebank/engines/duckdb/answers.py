"""Answers in the types that every engine gives: time stamps in nanoseconds and UTC, and text for what Polars lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tracebank.engines.duckdb.ddl import quoted
from tracebank.query.contract import MOMENT
from tracebank.query.errors import SqlError

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_AS_TEXT: Final = {
    "bignum",
    "bit",
    "enum",
    "geometry",
    "interval",
    "time with time zone",
    "type",
    "uhugeint",
    "union",
    "variant",
}
"""Types that Arrow or Polars has no like of, as the client names them."""
_NESTED: Final = {"list", "array", "struct", "map", "tuple"}
_DATES: Final = (-719_162, 2_932_896)
"""0001-01-01 and 9999-12-31, in days since 1970."""
_INFINITE: Final = 2**63 - 1
"""How the engine writes an infinite time stamp, in nanoseconds."""


def readable(relation: DuckDBPyRelation) -> DuckDBPyRelation:
    """The relation with columns as text where their types, or types within them, have no like in Polars."""
    if not any(map(_is_text, relation.types)):
        return relation
    columns = enumerate(zip(relation.columns, relation.types, strict=True), 1)
    return relation.project(
        ", ".join(f"#{at}::VARCHAR AS {quoted(name)}" if _is_text(kind) else f"#{at}" for at, (name, kind) in columns)
    )


def _is_text(kind: Any) -> bool:
    if kind.id in _AS_TEXT:
        return True
    inside = [part for _, part in kind.children if hasattr(part, "id")] if kind.id in _NESTED else []
    return any(map(_is_text, inside))


def shown(schema: pa.Schema) -> pa.Schema:
    """The schema with time stamps in nanoseconds and UTC, also within lists and structures."""
    return pa.schema([field.with_type(_shown(field.type)) for field in schema])


def _shown(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return MOMENT
    if pa.types.is_map(kind):
        return pa.map_(_shown(kind.key_type), _shown(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_shown(field.type)) for field in kind.fields])
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else -1
        listed: pa.DataType = pa.list_(kind.value_field.with_type(_shown(kind.value_type)), size)
        return listed
    return kind


def fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the schema's types.

    Raises:
        SqlError: a time is beyond what they hold.
    """
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if fault := _fault(field.type, column):
            raise SqlError(f"column {field.name} has {fault}; give it as text, ::VARCHAR")
    try:
        return batch.cast(schema)
    except pa.ArrowInvalid:
        raise SqlError("a time stamp is not within 1677 to 2262, which nanoseconds reach; give it as text") from None


def _fault(kind: pa.DataType, column: pa.Array[Any]) -> str | None:
    if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)) or column.null_count == len(column):
        return None
    ends = pc.min_max(column.cast(pa.int32() if pa.types.is_date(kind) else pa.int64()))
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if pa.types.is_date(kind):
        return None if _DATES[0] <= low and high <= _DATES[1] else "a date that is not within 0001 to 9999"
    each = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[kind.unit]
    beyond = low * each <= -_INFINITE or high * each >= _INFINITE
    return "a time stamp that is not within 1677 to 2262, which nanoseconds reach" if beyond else None
