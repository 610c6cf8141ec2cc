"""Partitions of declared tables: a partition's values are checked, and rows are held against them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tracebank.stores.faults import FrameRefused
from tracebank_schemas.series import Day, Partition, PartitionValue, SeriesTable, Value

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS: Final = 86_400_000_000_000


def checked_partition(table: SeriesTable, partition: Partition) -> dict[str, PartitionValue]:
    """The partition's values in the declared order.

    Raises:
        FrameRefused: its keys are not the table's, or a value has the wrong type.
    """
    keys = table.partition_keys
    if set(partition) != {key.name for key in keys}:
        names = [key.name for key in keys]
        raise FrameRefused(f"table {table.name}: partition {dict(partition)!r} does not fit; it takes {names}")
    for key in keys:
        value, wanted = partition[key.name], _type(table, key)
        if not isinstance(value, wanted) or isinstance(value, datetime | bool):
            raise FrameRefused(
                f"table {table.name}: partition {key.name}={value!r} is not accepted; use a {wanted.__name__}"
            )
        if isinstance(key, Day) and isinstance(value, date) and not key.first <= value <= key.last:
            raise FrameRefused(f"table {table.name}: {key.name}={value} is not within {key.first} to {key.last}")
    return {key.name: partition[key.name] for key in keys}


def _type(table: SeriesTable, key: Day | Value) -> type[date | str | int]:
    kind = table.arrow_schema.field(key.column).type
    if isinstance(key, Day) or kind == pa.date32():
        return date
    return str if kind == pa.string() else int


def check_belongs(table: SeriesTable, partition: dict[str, PartitionValue], rows: pa.Table) -> None:
    """Refuse rows that belong to another partition.

    Raises:
        FrameRefused: names the key, the value asked for and a value found.
    """
    if not rows.num_rows:
        return
    for key in table.partition_keys:
        low, high = _ends(key, rows.column(key.column))
        value = partition[key.name]
        if low != value or high != value:
            other = low if low != value else high
            raise FrameRefused(
                f"table {table.name}: a row with {key.name}={other!s} does not belong to partition"
                f" {key.name}={value!s}; nothing was written"
            )


def _ends(key: Day | Value, values: pa.ChunkedArray[Any]) -> tuple[Any, Any]:
    ends = pc.min_max(values.cast(pa.int64()) if isinstance(key, Day) else values)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return (_day(low), _day(high)) if isinstance(key, Day) else (low, high)


def _day(nanoseconds: int) -> date:
    return (_EPOCH + timedelta(days=nanoseconds // _DAY_NS)).date()


def by_partition(table: SeriesTable, rows: pa.Table) -> list[tuple[dict[str, PartitionValue], pa.Table]]:
    """Rows apart by partition, in the order in which partitions first come, rows of each in their order."""
    if not table.partition_keys:
        return [({}, rows)]
    import polars as pl

    keys = [
        (pl.col(key.column).dt.date() if isinstance(key, Day) else pl.col(key.column)).alias(f"_{at}")
        for at, key in enumerate(table.partition_keys)
    ]
    frame = pl.from_arrow(rows.select([key.column for key in table.partition_keys]))
    assert isinstance(frame, pl.DataFrame)
    places = frame.select(keys).with_row_index("_row").group_by(pl.exclude("_row"), maintain_order=True).agg("_row")
    names = [key.name for key in table.partition_keys]
    if places.height == 1:
        return [(dict(zip(names, places.row(0)[:-1], strict=True)), rows)]
    # Gathered once and cut: a gathering for each partition would look through all chunks each time.
    gathered = rows.take(places["_row"].explode().to_arrow())
    counts = places["_row"].list.len().to_list()
    starts = accumulate(counts, initial=0)
    return [
        (dict(zip(names, values, strict=True)), gathered.slice(start, count))
        for values, start, count in zip(places.drop("_row").iter_rows(), starts, counts, strict=False)
    ]


def is_one_partition(table: SeriesTable, rows: pa.Table) -> bool:
    """Whether rows, of which there are some, are all of one partition."""
    for key in table.partition_keys:
        column = rows[key.column]
        ends = pc.min_max(column.cast(pa.date32(), safe=False) if isinstance(key, Day) else column)
        if ends["min"] != ends["max"]:
            return False
    return True
