"""PostgreSQL's side of a declaration: its types, its DDL, and what its SELECT has of its own.

PostgreSQL's own time stamps end at microseconds. Every time-stamp column therefore has a hidden companion, `<name>_ns`,
with the nanoseconds since 1970 as a `bigint`: readers get that one, conditions and indexes use the time stamp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pyarrow as pa

from tracebank.stores.faults import FrameRefused, StoreError
from tracebank.tables import select
from tracebank.tables.drift import Standing, keys, note
from tracebank_schemas.series import TIMESTAMP, Column, SeriesTable

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
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

LIMITS: Final[dict[pa.DataType, tuple[int, int, str]]] = {
    pa.date32(): (-2_440_588, 2_145_042_905, "4713-11-24 BC to 5874897-12-31"),
}
"""Smallest and largest value that a type holds, in its own unit, where that is less than Arrow's; and both in words."""


def quoted(name: str) -> str:
    """An identifier between double quotes."""
    return select.quoted(name, "postgres")


def literal(value: date | str | int) -> str:
    """A value as SQL text, for sessions with `standard_conforming_strings`.

    Raises:
        FrameRefused: text has a NUL, which PostgreSQL does not keep.
    """
    if isinstance(value, datetime):
        return f"'{value.isoformat(sep=' ')}'::timestamptz"
    if isinstance(value, date):
        return f"'{value.isoformat()}'::date"
    if isinstance(value, str) and "\0" in value:
        raise FrameRefused(f"text {value!r} has a NUL, which PostgreSQL does not keep")
    return select.literal(value, "postgres")


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


def standing(table: SeriesTable) -> Standing:
    """The declaration in the engine's words."""
    return Standing({name: column_type(name, column) for name, column in physical(table)}, *keys(table))


def _column_ddl(name: str, column: Column) -> str:
    kind = column_type(name, column)
    if column.type == pa.string():  # in the order of bytes, as everywhere else
        kind = kind.replace("text", 'text COLLATE "C"', 1)
    return f"{quoted(name)} {kind}"


def path(schema: str, name: str) -> str:
    """A name with its schema."""
    return f"{quoted(schema)}.{quoted(name)}"


def columns(table: SeriesTable) -> str:
    """Every column with its type, as `CREATE TABLE` takes them."""
    return ", ".join(_column_ddl(name, column) for name, column in physical(table))


def names(table: SeriesTable) -> str:
    """Every column's name."""
    return ", ".join(quoted(name) for name, _ in physical(table))


def create_table(table: SeriesTable, place: str, partitioned: str = "") -> list[str]:
    """DDL of a table that is not there yet, without indexes; its keys stand in its comment.

    Args:
        table: the declaration.
        place: its full name.
        partitioned: how it is partitioned, if it is.
    """
    docs = {c.name: f"{c.doc} [{c.unit}]" for c in table.columns}
    return [
        f"CREATE TABLE {place} ({columns(table)}) {partitioned}".strip(),
        f"COMMENT ON TABLE {place} IS {literal(note(table))}",
        *(f"COMMENT ON COLUMN {place}.{quoted(name)} IS {literal(doc)}" for name, doc in docs.items()),
    ]


def create_index(table: SeriesTable, place: str, named: Sequence[str] | None = None) -> list[str]:
    """A btree on the sort key, or on the columns that are `named`; under a name that the engine finds."""
    key = table.sort_key if named is None else named
    return [f"CREATE INDEX ON {place} ({', '.join(map(quoted, key))})"] if key else []


def add_column(table: SeriesTable, place: str, name: str) -> list[str]:
    """DDL for a column that the declaration gained, or in which it allows nulls now.

    Rows that stand get null in a new column, or an empty value where none may be.
    """
    result = []
    for here, column in physical(table):
        if column.name != name:
            continue
        zero = _EMPTY.get(column_type(here, column).removesuffix(" NOT NULL"), "0")
        empty = zero if column.before is None else str(column.before)
        default = "" if column.nullable else f" DEFAULT {empty}"
        result.append(f"ALTER TABLE {place} ADD COLUMN IF NOT EXISTS {_column_ddl(here, column)}{default}")
        lifted = "DROP DEFAULT" if default else "DROP NOT NULL"
        result.append(f"ALTER TABLE {place} ALTER COLUMN {quoted(here)} {lifted}")
    return result


def _moment(nanoseconds: int) -> str:
    # Bounds are whole microseconds: what lies beyond them in nanoseconds lies beyond them cut off, too.
    return literal(_EPOCH + timedelta(microseconds=nanoseconds // 1000))


def _shown(table: SeriesTable, name: str) -> str:
    kind, column = table.arrow_schema.field(name).type, quoted(name)
    if kind == TIMESTAMP:
        return f"{quoted(hidden(name))} AS {column}"
    return f"{column}::text AS {column}" if kind == pa.uint64() else column  # numeric, which would come as a float


def _order(table: SeriesTable, name: str) -> str:
    # By both: the index has the time stamp, the nanoseconds decide the rest. Outputs of the same name are not meant.
    own = f"{quoted(table.name)}.{quoted(name)}"
    timed = table.arrow_schema.field(name).type == TIMESTAMP
    return f"{own}, {quoted(table.name)}.{quoted(hidden(name))}" if timed else own


DIALECT: Final = select.Dialect("postgres", moment=_moment, value=literal, shown=_shown, order=_order)

SESSION: Final[Mapping[str, str]] = {"timezone": "UTC", "datestyle": "ISO", "standard_conforming_strings": "on"}
"""Settings under which texts mean what they say here."""
