"""The SELECT behind `read`: partition, columns and time range as ClickHouse's SQL, and how the answer shall come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from tracebank.engines.clickhouse.ddl import literal, quoted
from tracebank.stores.faults import StoreError
from tracebank.tables.frames import day_bounds
from tracebank.tables.partition import checked_partition
from tracebank_schemas.series import TIMESTAMP, Partition, SeriesTable

ARROW: Final = (
    " SETTINGS output_format_arrow_string_as_string = 1, output_format_arrow_compression_method = 'none',"
    " output_format_arrow_low_cardinality_as_dictionary = 1"
)
"""A whole answer: plain buffers, repeated values as dictionaries (twice as fast as text, measured)."""
BATCHES: Final = (
    " SETTINGS output_format_arrow_string_as_string = 1, output_format_arrow_compression_method = 'none',"
    " output_format_arrow_low_cardinality_as_dictionary = 0"
)
"""A streamed answer: batches that have one schema, in which a dictionary of each batch's own has no place."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT64: Final = 2**63


def select(
    table: SeriesTable,
    database: str,
    partition: Partition | None,
    columns: Sequence[str] | None,
    start: datetime | None,
    end: datetime | None,
    ordered: bool,
) -> str:
    """Text of the query.

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
    conditions = [*_of_partition(table, partition), *_of_range(table, start, end)]
    text = f"SELECT {', '.join(map(quoted, names))} FROM {quoted(database)}.{quoted(table.name)}"
    if conditions:
        text += f" WHERE {' AND '.join(conditions)}"
    if ordered and table.sort_key:
        text += f" ORDER BY {', '.join(map(quoted, table.sort_key))}"
    return text


def _of_range(table: SeriesTable, start: datetime | None, end: datetime | None) -> list[str]:
    if start is None and end is None:
        return []
    stamp = next((column.name for column in table.columns if column.type == TIMESTAMP), None)
    if stamp is None:
        raise StoreError(f"table {table.name}: has no time stamps, so that no start or end can be given")
    return _between(quoted(stamp), start, end)


def _of_partition(table: SeriesTable, partition: Partition | None) -> list[str]:
    if partition is None:
        return []
    conditions = []
    for name, value in checked_partition(table, partition).items():
        column = quoted(table.partition_columns[name])
        if name == "day" and isinstance(value, date):
            conditions += _between(column, *day_bounds(value))
        else:
            conditions.append(f"{column} = {literal(value)}")
    return conditions


def _between(column: str, start: datetime | None, end: datetime | None) -> list[str]:
    """`[start, end)` as conditions; a bound beyond what 64-bit nanoseconds hold is none, or lets nothing through."""
    conditions = []
    for bound, sign, lets_all in ((start, ">=", "before"), (end, "<", "after")):
        if bound is None:
            continue
        nanoseconds = _nanoseconds(bound)
        if -_INT64 <= nanoseconds < _INT64:
            conditions.append(f"{column} {sign} fromUnixTimestamp64Nano(toInt64({nanoseconds}), 'UTC')")
        elif (nanoseconds < 0) != (lets_all == "before"):
            conditions.append("false")
    return conditions


def _nanoseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise StoreError(f"time {moment!r} has no time zone; give one in UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
