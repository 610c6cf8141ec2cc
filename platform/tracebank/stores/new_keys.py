"""Series tables whose keys are declared otherwise than before: their rows move into a table with the new keys.

No engine changes the keys of a table that stands. Rows are copied aside, the table is made anew, and they are copied
back. What was interrupted goes on: rows lie aside until all of them are back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from tracebank.stores.series_store import SeriesStore
    from tracebank.tables.drift import Difference
    from tracebank_schemas.series import Column, SeriesTable

_KEYS: Final = ("partition key", "sort key")


def move_to_new_keys(series: SeriesStore, table: SeriesTable) -> None:
    """Give a table the keys that it is declared with, if it stands with others; nothing happens else.

    Args:
        series: the store.
        table: the declaration; each column that the table lacks says in `before` what its rows have in it.

    Raises:
        StoreError: the store failed; the same call goes on there.
    """
    if all(column.before is None for column in table.columns):
        return  # its keys were never others
    aside = replace(table, name=f"{table.name}_moving")
    found = series.differences(table)
    if any(difference.what in _KEYS for difference in found):
        if not all(_mended(table, difference) for difference in found):
            return  # `create` says what is wrong
        series.drop(aside)
        series.create(aside)
        series.append(aside, _as_declared(series, table, {d.what for d in found if d.found == "absent"}))
        series.drop(table)
    elif series.differences(aside):
        return  # nothing lies aside
    series.create(table)
    for partition, _ in series.partitions(aside):
        series.replace(
            table, partition, (pa.Table.from_batches([b]) for b in series.read_batches(aside, partition=partition))
        )
    series.drop(aside)


def _mended(table: SeriesTable, difference: Difference) -> bool:
    given = {f"column {column.name}" for column in table.columns if column.before is not None or column.nullable}
    return difference.what in _KEYS or (difference.found == "absent" and difference.what in given)


def _as_declared(series: SeriesStore, table: SeriesTable, absent: set[str]) -> Iterator[pa.Table]:
    """Rows of the table that stands, in the columns that are declared."""
    stands = tuple(column for column in table.columns if f"column {column.name}" not in absent)
    old = replace(table, columns=stands, sort_key=(), partition_by=(), unique_key=())
    given_away = {column.before for column in table.columns if f"column {column.name}" in absent}
    for batch in series.read_batches(old, ordered=False):
        columns = [
            batch[column.name] if column in stands and column.name not in given_away else _before(column, batch)
            for column in table.columns
        ]
        yield pa.table(columns, schema=table.arrow_schema)


def _before(column: Column, batch: pa.RecordBatch) -> pa.Array[Any]:
    if isinstance(column.before, str):
        return batch[column.before].cast(column.type)
    return pa.array([column.before] * batch.num_rows, column.type)
