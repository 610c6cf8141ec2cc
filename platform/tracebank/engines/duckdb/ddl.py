"""DuckDB's side of a declaration: its types, the statements that make and fill tables, and how rows are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import pyarrow as pa

from tracebank.tables import select
from tracebank.tables.drift import Standing, keys, note
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable

_TYPES: Final[dict[pa.DataType, tuple[str, str]]] = {
    TIMESTAMP: ("TIMESTAMP_NS", "make_timestamp_ns(0)"),
    pa.date32(): ("DATE", "DATE '1970-01-01'"),
    pa.bool_(): ("BOOLEAN", "false"),
    pa.int8(): ("TINYINT", "0"),
    pa.int16(): ("SMALLINT", "0"),
    pa.int32(): ("INTEGER", "0"),
    pa.int64(): ("BIGINT", "0"),
    pa.uint8(): ("UTINYINT", "0"),
    pa.uint16(): ("USMALLINT", "0"),
    pa.uint32(): ("UINTEGER", "0"),
    pa.uint64(): ("UBIGINT", "0"),
    pa.float32(): ("FLOAT", "0"),
    pa.float64(): ("DOUBLE", "0"),
    pa.string(): ("VARCHAR", "''"),
    pa.list_(pa.float32()): ("FLOAT[]", "[]"),
    pa.list_(pa.float64()): ("DOUBLE[]", "[]"),
}
"""Type, and what rows that stand have in a column that is gained and may not be null."""

STORED_BLOCKS: Final = """
SELECT count(DISTINCT block) FROM (
    SELECT unnest(list_append(additional_block_ids, block_id)) AS block
    FROM pragma_storage_info($t)
    WHERE persistent
) WHERE block >= 0
"""


def quoted(name: str) -> str:
    """An identifier between double quotes."""
    return select.quoted(name, "duckdb")


def literal(value: date | str | int) -> str:
    """A value as SQL text; the parser takes no NUL within it."""
    return " || chr(0) || ".join(select.literal(part, "duckdb") for part in _parts(value))


def _parts(value: date | str | int) -> Sequence[date | str | int]:
    return value.split("\0") if isinstance(value, str) else [value]


DIALECT: Final = select.Dialect(
    name="duckdb",
    moment=lambda nanoseconds: f"make_timestamp_ns({nanoseconds})",
    value=literal,
    shown=lambda _table, name: quoted(name),
    order=lambda _table, name: quoted(name),
)


def _kind(column: Column) -> str:
    return _TYPES[column.type][0] + ("" if column.nullable else " NOT NULL")


def declared(table: SeriesTable) -> Standing:
    """The declaration in the engine's words; it knows no keys, so that they are noted."""
    return Standing({column.name: _kind(column) for column in table.columns}, *keys(table))


def create_table(table: SeriesTable) -> list[str]:
    """Statements that make a table that is not there yet."""
    name = quoted(table.name)
    columns = ",\n  ".join(f"{quoted(column.name)} {_kind(column)}" for column in table.columns)
    return [f"CREATE TABLE {name} (\n  {columns}\n)", f"COMMENT ON TABLE {name} IS {literal(note(table))}"]


def add_column(table: SeriesTable, name: str) -> list[str]:
    """Statements for a column that the declaration gained, or in which it allows nulls now."""
    column = next(column for column in table.columns if column.name == name)
    kind, zero = _TYPES[column.type]
    zero = zero if column.before is None else str(column.before)
    alter = f"ALTER TABLE {quoted(table.name)}"
    if column.nullable:
        added = f"{alter} ADD COLUMN IF NOT EXISTS {quoted(name)} {kind}"
        return [added, f"{alter} ALTER {quoted(name)} DROP NOT NULL"]
    return [f"{alter} ADD COLUMN {quoted(name)} {kind} DEFAULT {zero}", f"{alter} ALTER {quoted(name)} SET NOT NULL"]


def insert(table: SeriesTable, source: str, order: Sequence[str] = ()) -> str:
    """Rows of a registered Arrow table into the table, in the order of columns where one is given."""
    names = ", ".join(map(quoted, table.arrow_schema.names))
    sorting = f" ORDER BY {', '.join(map(quoted, order))}" if order else ""
    return f"INSERT INTO {quoted(table.name)} ({names}) SELECT {names} FROM {quoted(source)}{sorting}"


def reading(table: SeriesTable, paths: Sequence[str], form: str) -> str:
    """A SELECT of the table's columns from files.

    Args:
        table: the declaration.
        paths: of the files, which have the table's columns; of CSV files in its order, below a head.
        form: csv or parquet.
    """
    files = f"[{', '.join(map(literal, paths))}]"
    if form == "csv":
        types = ", ".join(f"{literal(column.name)}: {literal(_TYPES[column.type][0])}" for column in table.columns)
        return f"SELECT * FROM read_csv({files}, header = true, auto_detect = false, columns = {{{types}}})"
    names = (
        f"make_timestamp_ns(epoch_ns({quoted(c.name)}))" if c.type == TIMESTAMP else quoted(c.name)
        for c in table.columns
    )
    return f"SELECT {', '.join(names)} FROM read_parquet({files})"


def without_zones(rows: pa.Table) -> pa.Table:
    """Time stamps as the engine keeps them: nanoseconds without a zone; those with one it cuts to microseconds."""
    fields = [pa.field(f.name, pa.timestamp("ns") if f.type == TIMESTAMP else f.type) for f in rows.schema]
    return rows.cast(pa.schema(fields))


def partitions(table: SeriesTable) -> str:
    """Every partition's values and rows, in the order of the values."""
    places = [
        f"CAST({quoted(key.column)} AS DATE)" if isinstance(key, Day) else quoted(key.column)
        for key in table.partition_keys
    ]
    text = f"SELECT {', '.join([*places, 'count(*)'])} FROM {quoted(table.name)}"
    return f"{text} GROUP BY ALL ORDER BY ALL" if places else f"{text} HAVING count(*) > 0"


def count(table: SeriesTable, conditions: Sequence[str]) -> str:
    """Rows that meet conditions, and bytes of their values."""
    fixed = sum(1 if c.type == pa.bool_() else c.type.bit_width // 8 for c in table.columns if _is_fixed(c.type))
    varying = [_bytes(column) for column in table.columns if not _is_fixed(column.type)]
    raw = " + ".join([f"count(*) * {fixed}", *varying])
    return f"SELECT count(*), {raw} FROM {quoted(table.name)}{where(conditions)}"


def where(conditions: Sequence[str]) -> str:
    """The clause of conditions that must all be met."""
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _is_fixed(kind: pa.DataType) -> bool:
    return not (pa.types.is_list(kind) or kind == pa.string())


def _bytes(column: Column) -> str:
    name = quoted(column.name)
    if column.type == pa.string():
        return f"coalesce(sum(strlen({name})), 0)"
    return f"coalesce(sum(len({name})), 0) * {column.type.field(0).type.bit_width // 8}"
