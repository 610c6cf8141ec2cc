"""ClickHouse's side of a declaration: DDL for a new table, and how the engine prints one that stands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

import pyarrow as pa

from tracebank.tables import select
from tracebank.tables.drift import Standing
from tracebank.tables.select import Dialect
from tracebank_schemas.series import TIMESTAMP, Column, Day, Partition, SeriesTable, Value

_TYPES: Final[dict[pa.DataType, str]] = {
    TIMESTAMP: "DateTime64(9, 'UTC')",
    pa.date32(): "Date32",
    pa.bool_(): "Bool",
    pa.int8(): "Int8",
    pa.int16(): "Int16",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.float32(): "Float32",
    pa.float64(): "Float64",
    pa.string(): "String",
    pa.list_(pa.float32()): "Array(Float32)",
    pa.list_(pa.float64()): "Array(Float64)",
}

LIMITS: Final[dict[pa.DataType, tuple[int, int, str]]] = {
    pa.date32(): (-719_528, 2_932_896, "0000-01-01 to 9999-12-31"),
}
"""Smallest and largest value that a type holds, in its own unit, where that is less than Arrow's; and both in words."""

EMBEDDED_SETTINGS: Final = "old_parts_lifetime = 0"
"""Of embedded tables: replaced parts go soon, since their owner may."""


def quoted(name: str) -> str:
    """An identifier."""
    return select.quoted(name, "clickhouse")


def literal(value: date | str | int) -> str:
    """A value as SQL text."""
    return select.literal(value, "clickhouse")


def column_type(column: Column) -> str:
    """ClickHouse's type of a column."""
    kind = _TYPES[column.type]
    if column.nullable and not pa.types.is_list(column.type):
        kind = f"Nullable({kind})"
    return f"LowCardinality({kind})" if column.repeated else kind


def structure(table: SeriesTable) -> str:
    """Names and types of the columns, as table functions take them."""
    return ", ".join(f"{quoted(column.name)} {column_type(column)}" for column in table.columns)


def column_ddl(column: Column) -> str:
    """Name, type, codec and comment of a column, and what parts have in it that were written before there was one."""
    default = "" if column.before is None else f" DEFAULT {column.before}"
    codec = f" CODEC({column.codec})" if column.codec else ""
    note = f"{column.doc} [{column.unit}]" if column.unit else column.doc
    return f"{quoted(column.name)} {column_type(column)}{default}{codec} COMMENT {literal(note)}"


def partition_expression(table: SeriesTable) -> str:
    """The PARTITION BY tuple. Days are Date32: Date ends in 2149 and wraps silently."""
    keys = [
        f"toDate32({quoted(key.column)})" if isinstance(key, Day) else quoted(key.column)
        for key in table.partition_keys
    ]
    return f"({', '.join(keys)})"


def partition_literal(table: SeriesTable, partition: Partition) -> str:
    """One partition as `ALTER TABLE … PARTITION` takes it."""
    values = ", ".join(literal(partition[key.name]) for key in table.partition_keys)
    return f"tuple({values})"


def partition_text(table: SeriesTable, partition: Partition) -> str:
    """SQL expression of one partition as `system.parts.partition` shows it."""
    if not partition:
        return "'tuple()'"
    values = [f"CAST({literal(partition[key.name])} AS {_TYPES[_kind(table, key)]})" for key in table.partition_keys]
    return f"toString({values[0]})" if len(values) == 1 else f"toString(({', '.join(values)}))"


def _kind(table: SeriesTable, key: Day | Value) -> pa.DataType:
    kind: pa.DataType = table.arrow_schema.field(key.column).type
    return pa.date32() if isinstance(key, Day) else kind


def create_table(table: SeriesTable, database: str, settings: str = "") -> str:
    """DDL of a table that is not there yet; `settings` are the engine's, for this table."""
    columns = ",\n  ".join(column_ddl(column) for column in table.columns)
    partition = f"\nPARTITION BY {partition_expression(table)}" if table.partition_by else ""
    order = ", ".join(quoted(name) for name in table.sort_key)
    suffix = f"\nSETTINGS {settings}" if settings else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(database)}.{quoted(table.name)} (\n  {columns}\n)\n"
        f"ENGINE = MergeTree{partition}\nORDER BY ({order}){suffix}\nCOMMENT {literal(table.doc)}"
    )


def add_column(table: SeriesTable, database: str, name: str) -> str:
    """DDL for a column that the declaration gained, in its declared place, or in which it allows nulls now."""
    at = table.arrow_schema.get_field_index(name)
    place = f"AFTER {quoted(table.columns[at - 1].name)}" if at else "FIRST"
    ddl = column_ddl(table.columns[at])
    alter = f"ALTER TABLE {quoted(database)}.{quoted(table.name)} ADD COLUMN IF NOT EXISTS {ddl} {place}"
    return f"{alter}, MODIFY COLUMN {ddl}" if table.columns[at].nullable else alter


def _plain(expression: str) -> str:
    text = expression.replace('"', "").replace("`", "").replace(" ", "")
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def standing(columns: Iterable[tuple[str, str]], partition_key: str, sorting_key: str) -> Standing:
    """A table as the engine prints its columns and keys."""
    return Standing(dict(columns), _plain(partition_key), _plain(sorting_key))


def declared(table: SeriesTable) -> Standing:
    """A declaration as the engine would print it."""
    partition = partition_expression(table) if table.partition_by else ""
    return standing(((c.name, column_type(c)) for c in table.columns), partition, ", ".join(table.sort_key))


def _moment(nanoseconds: int) -> str:
    return f"fromUnixTimestamp64Nano(toInt64({nanoseconds}), 'UTC')"


DIALECT: Final = Dialect(
    "clickhouse",
    moment=_moment,
    value=literal,
    shown=lambda _, name: quoted(name),
    order=lambda _, name: quoted(name),
)
