"""DuckDB's side of a declaration: DDL, how a standing table differs from it, and the statements of reads and writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pyarrow as pa

from tracebank.stores.faults import StoreError
from tracebank.tables.drift import Difference
from tracebank.tables.frames import day_bounds
from tracebank.tables.partition import checked_partition
from tracebank_schemas.series import TIMESTAMP, Column, Day, Partition, SeriesTable

Statement = tuple[str, dict[str, object]]
"""Text and its named parameters."""

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
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT64: Final = 2**63

STORED_BLOCKS: Final = """
SELECT count(DISTINCT block) FROM (
    SELECT unnest(list_append(additional_block_ids, block_id)) AS block
    FROM pragma_storage_info($t)
    WHERE persistent
) WHERE block >= 0
"""


def quoted(name: str) -> str:
    """An identifier between double quotes."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _nullable(column: Column) -> bool:
    return column.nullable and not pa.types.is_list(column.type)


def _declared(column: Column) -> str:
    return _TYPES[column.type][0] + ("" if _nullable(column) else " NOT NULL")


def _keys(table: SeriesTable) -> dict[str, list[str]]:
    """What the engine does not know of a table, as it stands in its comment."""
    partition = [f"day({key.column})" if isinstance(key, Day) else key for key in table.partition_by]
    return {"sort key": list(table.sort_key), "partition key": partition}


def create_table(table: SeriesTable) -> list[str]:
    """Statements that make a table that is not there yet."""
    name = quoted(table.name)
    columns = ",\n  ".join(f"{quoted(column.name)} {_declared(column)}" for column in table.columns)
    note = json.dumps({"doc": table.doc, **_keys(table)})
    return [f"CREATE TABLE {name} (\n  {columns}\n)", f"COMMENT ON TABLE {name} IS {_literal(note)}"]


def add_column(table: SeriesTable, name: str) -> list[str]:
    """Statements for a column that the declaration gained."""
    column = next(column for column in table.columns if column.name == name)
    kind, zero = _TYPES[column.type]
    alter = f"ALTER TABLE {quoted(table.name)}"
    if _nullable(column):
        return [f"{alter} ADD COLUMN {quoted(name)} {kind}"]
    return [f"{alter} ADD COLUMN {quoted(name)} {kind} DEFAULT {zero}", f"{alter} ALTER {quoted(name)} SET NOT NULL"]


def differences(table: SeriesTable, columns: Sequence[tuple[str, str, bool]], comment: str) -> list[Difference]:
    """How a standing table differs: its `columns` as (name, type, nullable), and the comment that has its keys."""
    found = {name: kind if nullable else f"{kind} NOT NULL" for name, kind, nullable in columns}
    result = []
    for column in table.columns:
        kind = found.pop(column.name, None)
        if kind != _declared(column):
            repairable = kind is None and column.name not in table.sort_key
            what = f"column {column.name}"
            result.append(Difference(table.name, what, _declared(column), kind or "absent", repairable))
    result += [Difference(table.name, f"column {name}", "absent", kind, False) for name, kind in found.items()]
    try:
        noted = json.loads(comment)
    except ValueError:
        noted = {}
    for what, declared in _keys(table).items():
        stands = noted.get(what) if isinstance(noted, dict) else None
        if stands != declared:
            result.append(Difference(table.name, what, f"({', '.join(declared)})", f"({_listed(stands)})", False))
    return result


def _listed(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) else "not noted"


def insert(table: SeriesTable, source: str) -> str:
    """Rows of a registered Arrow table into the table."""
    names = ", ".join(map(quoted, table.arrow_schema.names))
    return f"INSERT INTO {quoted(table.name)} ({names}) SELECT {names} FROM {quoted(source)}"


def reading(table: SeriesTable, paths: Sequence[str], form: str) -> str:
    """A SELECT of the table's columns from files.

    Args:
        table: the declaration.
        paths: of the files, which have the table's columns; of CSV files in its order, below a head.
        form: csv or parquet.
    """
    files = f"[{', '.join(map(_literal, paths))}]"
    if form == "csv":
        types = ", ".join(f"{_literal(column.name)}: {_literal(_TYPES[column.type][0])}" for column in table.columns)
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


def delete(table: SeriesTable, partition: Partition) -> Statement:
    """The rows of a partition, gone."""
    where, parameters = _where(_of_partition(table, partition))
    return f"DELETE FROM {quoted(table.name)}{where}", parameters


def count(table: SeriesTable, partition: Partition | None) -> Statement:
    """Rows, and bytes of their values."""
    fixed = sum(1 if c.type == pa.bool_() else c.type.bit_width // 8 for c in table.columns if _is_fixed(c.type))
    varying = [_bytes(column) for column in table.columns if not _is_fixed(column.type)]
    raw = " + ".join([f"count(*) * {fixed}", *varying])
    where, parameters = _where(_of_partition(table, partition))
    return f"SELECT count(*), {raw} FROM {quoted(table.name)}{where}", parameters


def _is_fixed(kind: pa.DataType) -> bool:
    return not (pa.types.is_list(kind) or kind == pa.string())


def _bytes(column: Column) -> str:
    name = quoted(column.name)
    if column.type == pa.string():
        return f"coalesce(sum(strlen({name})), 0)"
    return f"coalesce(sum(len({name})), 0) * {column.type.field(0).type.bit_width // 8}"


def select(
    table: SeriesTable,
    partition: Partition | None,
    columns: Sequence[str] | None,
    start: datetime | None,
    end: datetime | None,
    ordered: bool,
) -> Statement:
    """The SELECT behind `read`.

    Raises:
        StoreError: a column is not declared, a time has no zone, or a range is asked of a table without time stamps.
        FrameRefused: the partition's keys do not fit.
    """
    declared = table.arrow_schema.names
    names = list(columns) if columns is not None else declared
    if not names or (unknown := [name for name in names if name not in declared]):
        raise StoreError(
            f"table {table.name}: columns {unknown if names else names} are not declared; it has {declared}"
        )
    where, parameters = _where([*_of_partition(table, partition), *_of_range(table, start, end)])
    text = f"SELECT {', '.join(map(quoted, names))} FROM {quoted(table.name)}{where}"
    if ordered and table.sort_key:
        text += f" ORDER BY {', '.join(map(quoted, table.sort_key))}"
    return text, parameters


_Condition = tuple[str, object]
"""SQL with `{}` where the value goes, and the value."""


def _where(conditions: Sequence[_Condition]) -> Statement:
    parameters = {f"p{at}": value for at, (_, value) in enumerate(conditions)}
    texts = [text.format(f"$p{at}") for at, (text, _) in enumerate(conditions)]
    return (f" WHERE {' AND '.join(texts)}" if texts else ""), parameters


def _of_partition(table: SeriesTable, partition: Partition | None) -> list[_Condition]:
    if partition is None:
        return []
    conditions: list[_Condition] = []
    for name, value in checked_partition(table, partition).items():
        column = quoted(table.partition_columns[name]).replace("{", "{{").replace("}", "}}")
        if name == "day" and isinstance(value, date):
            conditions += _between(column, *day_bounds(value))
        else:
            conditions.append((f"{column} = {{}}", value))
    return conditions


def _of_range(table: SeriesTable, start: datetime | None, end: datetime | None) -> list[_Condition]:
    if start is None and end is None:
        return []
    stamp = next((column.name for column in table.columns if column.type == TIMESTAMP), None)
    if stamp is None:
        raise StoreError(f"table {table.name}: has no time stamps, so that no start or end can be given")
    return _between(quoted(stamp).replace("{", "{{").replace("}", "}}"), start, end)


def _between(column: str, start: datetime | None, end: datetime | None) -> list[_Condition]:
    """`[start, end)`; a bound beyond what 64-bit nanoseconds hold is none, or lets nothing through."""
    conditions: list[_Condition] = []
    for bound, sign, low in ((start, ">=", True), (end, "<", False)):
        if bound is None:
            continue
        if bound.tzinfo is None:
            raise StoreError(f"time {bound!r} has no time zone; give one in UTC")
        nanoseconds = (bound - _EPOCH) // timedelta(microseconds=1) * 1000
        if -_INT64 < nanoseconds < _INT64 - 1:
            conditions.append((f"{column} {sign} make_timestamp_ns({{}}::BIGINT)", nanoseconds))
        elif (nanoseconds < 0) != low:
            conditions.append(("{}::BOOLEAN", False))
    return conditions
