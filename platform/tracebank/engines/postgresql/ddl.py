"""PostgreSQL's side of a declaration: DDL, how a standing table differs, and the SELECT behind `read`.

PostgreSQL's own time stamps end at microseconds. Every time-stamp column therefore has a hidden companion, `<name>_ns`,
with the nanoseconds since 1970 as a `bigint`: readers get that one, conditions and indexes use the time stamp.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa

from tracebank.stores.faults import FrameRefused, StoreError
from tracebank.tables.drift import Difference
from tracebank.tables.frames import day_bounds
from tracebank.tables.partition import checked_partition
from tracebank_schemas.series import TIMESTAMP, Column, Day, Partition, SeriesTable

_TYPES: Final[dict[pa.DataType, str]] = {
    TIMESTAMP: "timestamp with time zone",
    pa.date32(): "date",
    pa.bool_(): "boolean",
    pa.int8(): "smallint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "integer",
    pa.uint32(): "bigint",
    pa.uint64(): "numeric(20,0)",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.string(): "text",
    pa.list_(pa.float32()): "real[]",
    pa.list_(pa.float64()): "double precision[]",
}
_EMPTY: Final[dict[str, str]] = {
    "timestamp with time zone": "'epoch'",
    "date": "'epoch'",
    "boolean": "false",
    "text": "''",
    "real[]": "'{}'",
    "double precision[]": "'{}'",
}
"""What a column that a table gained holds in old rows, where it may not be null; 0 of the others."""

LIMITS: Final[dict[pa.DataType, tuple[int, int, str]]] = {
    pa.date32(): (-2_440_588, 2_145_042_905, "4713-11-24 BC to 5874897-12-31"),
}
"""Smallest and largest value that a type holds, in its own unit, where that is less than Arrow's; and both in words."""


def quoted(name: str) -> str:
    """An identifier between double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: date | str | int) -> str:
    """A value as SQL text.

    Raises:
        FrameRefused: text has a NUL, which PostgreSQL does not keep.
    """
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"'{value.isoformat(sep=' ')}'::timestamptz"
    if isinstance(value, date):
        return f"'{value.isoformat()}'::date"
    if "\0" in value:
        raise FrameRefused(f"text {value!r} has a NUL, which PostgreSQL does not keep")
    # The escaping form: what it says does not depend on a setting of the server.
    return " E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def hidden(column: str) -> str:
    """Name of the companion that keeps a time stamp's nanoseconds."""
    return f"{column}_ns"


def physical(table: SeriesTable) -> list[tuple[str, Column]]:
    """Columns as they stand in the engine, with what they are made from; companions after their time stamps.

    Raises:
        StoreError: a declared column has the name of a companion.
    """
    names = table.arrow_schema.names
    found: list[tuple[str, Column]] = []
    for column in table.columns:
        found.append((column.name, column))
        if column.type == TIMESTAMP:
            if hidden(column.name) in names:
                raise StoreError(f"table {table.name}: column {hidden(column.name)} has the name of a hidden column")
            found.append((hidden(column.name), column))
    return found


def column_type(name: str, column: Column) -> str:
    """PostgreSQL's type of a physical column, as the engine itself prints it, and whether it may be null."""
    kind = _TYPES[column.type] if name == column.name else "bigint"
    return kind if column.nullable else f"{kind} NOT NULL"


def _column_ddl(name: str, column: Column) -> str:
    kind = column_type(name, column)
    if column.type == pa.string():  # in the order of bytes, as everywhere else
        kind = kind.replace("text", 'text COLLATE "C"', 1)
    return f"{quoted(name)} {kind}"


def path(schema: str, table: SeriesTable) -> str:
    """The table's name with its schema."""
    return f"{quoted(schema)}.{quoted(table.name)}"


def create_table(table: SeriesTable, schema: str) -> list[str]:
    """DDL of a table that is not there yet, without indexes; its keys stand in its comment."""
    columns = ",\n  ".join(_column_ddl(name, column) for name, column in physical(table))
    note = json.dumps({"doc": table.doc, **keys(table)})
    comments = [
        f"COMMENT ON COLUMN {path(schema, table)}.{quoted(c.name)} IS {literal(f'{c.doc} [{c.unit}]')}"
        for c in table.columns
    ]
    return [
        f"CREATE TABLE {path(schema, table)} (\n  {columns}\n)",
        f"COMMENT ON TABLE {path(schema, table)} IS {literal(note)}",
        *comments,
    ]


def create_indexes(table: SeriesTable, schema: str) -> list[str]:
    """A btree on the sort key, and one on the keys of partitions that it does not hold."""
    lists = [table.sort_key] if table.sort_key else []
    beside = tuple(key for key in table.partition_by if isinstance(key, str) and key not in table.sort_key)
    lists += [beside] if beside else []
    named = {"_".join((table.name, *names))[:63]: names for names in lists}
    return [
        f"CREATE INDEX IF NOT EXISTS {quoted(name)} ON {path(schema, table)} ({', '.join(map(quoted, names))})"
        for name, names in named.items()
    ]


def add_column(table: SeriesTable, schema: str, name: str) -> list[str]:
    """DDL for a column that the declaration gained; rows that stand get null, or an empty value where none may be."""
    [column] = [column for column in table.columns if column.name == name]
    result = []
    for here, source in physical(table):
        if source is not column:
            continue
        alter = f"ALTER TABLE {path(schema, table)}"
        kind = column_type(here, column)
        empty = _EMPTY.get(kind.removesuffix(" NOT NULL"), "0")
        result.append(
            f"{alter} ADD COLUMN {_column_ddl(here, column)}" + ("" if column.nullable else f" DEFAULT {empty}")
        )
        if not column.nullable:
            result.append(f"{alter} ALTER COLUMN {quoted(here)} DROP DEFAULT")
    return result


def keys(table: SeriesTable) -> dict[str, list[str]]:
    """Sort and partition key, as a table's comment keeps them."""
    partition = [f"day({key.column})" if isinstance(key, Day) else key for key in table.partition_by]
    return {"sort_key": list(table.sort_key), "partition_by": partition}


def differences(table: SeriesTable, columns: Sequence[tuple[str, str]], comment: str | None) -> list[Difference]:
    """How a standing table differs: its `columns` as (name, type), and its comment."""
    found = dict(columns)
    absent = {column.name for column in table.columns} - set(found)
    result = []
    for name, column in physical(table):
        kind, declared = found.pop(name, None), column_type(name, column)
        if kind == declared or (name != column.name and column.name in absent):
            continue
        repairable = name in absent and name not in table.sort_key
        result.append(Difference(table.name, f"column {name}", declared, kind or "absent", repairable))
    result += [Difference(table.name, f"column {name}", "absent", kind, False) for name, kind in found.items()]
    standing = _noted(comment)
    for what, name in (("partition key", "partition_by"), ("sort key", "sort_key")):
        declared, kind = ", ".join(keys(table)[name]), ", ".join(standing.get(name, ["unknown"]))
        if declared != kind:
            result.append(Difference(table.name, what, declared, kind, False))
    return result


def _noted(comment: str | None) -> Mapping[str, Any]:
    try:
        noted = json.loads(comment or "")
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}


def of_partition(table: SeriesTable, partition: Partition) -> str:
    """Condition that a partition's rows meet."""
    conditions = ["true"]
    for name, value in checked_partition(table, partition).items():
        column = quoted(table.partition_columns[name])
        if name == "day" and isinstance(value, date):
            start, end = day_bounds(value)
            conditions += [f"{column} >= {literal(start)}", f"{column} < {literal(end)}"]
        else:
            conditions.append(f"{column} = {literal(value)}")
    return " AND ".join(conditions)


def asked(table: SeriesTable, columns: Sequence[str] | None) -> pa.Schema:
    """Schema of the columns that are asked for, of all for None.

    Raises:
        StoreError: a column is not declared.
    """
    declared = table.arrow_schema.names
    names = list(columns) if columns is not None else declared
    if not names or (unknown := [name for name in names if name not in declared]):
        raise StoreError(
            f"table {table.name}: columns {unknown if names else names} are not declared; it has {declared}"
        )
    return pa.schema([table.arrow_schema.field(name) for name in names])


def select(
    table: SeriesTable,
    schema: str,
    partition: Partition | None,
    columns: Sequence[str] | None,
    start: datetime | None,
    end: datetime | None,
    ordered: bool,
) -> str:
    """Text of the query behind `read`; time stamps come as nanoseconds since 1970.

    Raises:
        StoreError: a column is not declared, a time has no zone, or a range is asked of a table without time stamps.
        FrameRefused: the partition's keys do not fit.
    """
    names = asked(table, columns).names
    conditions = [of_partition(table, partition)] if partition is not None else []
    conditions += _of_range(table, start, end)
    text = f"SELECT {', '.join(_read(table, name) for name in names)} FROM {path(schema, table)}"
    if conditions:
        text += f" WHERE {' AND '.join(conditions)}"
    if ordered and table.sort_key:
        text += f" ORDER BY {', '.join(_order(table, name) for name in table.sort_key)}"
    return text


def _is_time(table: SeriesTable, name: str) -> bool:
    return bool(table.arrow_schema.field(name).type == TIMESTAMP)


def _read(table: SeriesTable, name: str) -> str:
    return f"{quoted(hidden(name))} AS {quoted(name)}" if _is_time(table, name) else quoted(name)


def _order(table: SeriesTable, name: str) -> str:
    # By both: the index has the time stamp, the nanoseconds decide the rest. Outputs of the same name are not meant.
    own = f"{quoted(table.name)}.{quoted(name)}"
    return f"{own}, {quoted(table.name)}.{quoted(hidden(name))}" if _is_time(table, name) else own


def _of_range(table: SeriesTable, start: datetime | None, end: datetime | None) -> list[str]:
    if start is None and end is None:
        return []
    stamp = next((column.name for column in table.columns if column.type == TIMESTAMP), None)
    if stamp is None:
        raise StoreError(f"table {table.name}: has no time stamps, so that no start or end can be given")
    conditions = []
    for bound, sign in ((start, ">="), (end, "<")):
        if bound is not None:
            if bound.tzinfo is None:
                raise StoreError(f"time {bound!r} has no time zone; give one in UTC")
            # Bounds are whole microseconds: what lies beyond them in nanoseconds lies beyond them cut off, too.
            conditions.append(f"{quoted(table.name)}.{quoted(stamp)} {sign} {literal(bound)}")
    return conditions
