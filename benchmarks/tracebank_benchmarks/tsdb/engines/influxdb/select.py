"""The statement behind `read`: partition, columns and time range as InfluxQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from tracebank.stores.faults import StoreError
from tracebank.tables.partition import checked_partition
from tracebank_benchmarks.tsdb.engines.influxdb.connection import identifier, literal
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import FIRST_TIME, LAST_TIME, SECOND, Layout, encoded_text
from tracebank_schemas.series import Day, Partition

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Selection:
    """What to ask for, and how to count it."""

    asked: list[str]
    """Columns that the statement asks for, the time stamp that every point has among them."""
    text: str
    counting: str
    empty: bool
    """The bounds let nothing through."""


def selection(
    layout: Layout,
    names: Sequence[str] = (),
    *,
    partition: Partition | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Selection:
    """The statement.

    Args:
        layout: of the table.
        names: columns to have.
        partition: one partition, or all.
        start: first time.
        end: time after the last.

    Raises:
        StoreError: a time has no zone.
        FrameRefused: the partition's keys do not fit.
    """
    asked = list(dict.fromkeys([layout.stamp, *names]))
    low, high = _nanoseconds(start, -(2**200)), _nanoseconds(end, 2**200)
    conditions = [] if partition is None else partition_conditions(layout, partition)
    conditions += _range(layout, low, high)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    source = f" FROM {identifier(layout.table.name)}.{identifier(layout.table.name)}{where}"
    return Selection(
        asked,
        f"SELECT {', '.join(map(identifier, asked))}{source}",
        f"SELECT COUNT({identifier(layout.stamp)}){source}",
        low >= high or low > LAST_TIME or high <= FIRST_TIME,
    )


def partition_conditions(layout: Layout, partition: Partition) -> list[str]:
    """Conditions on tags and time that hold for the partition's rows alone."""
    values, conditions = checked_partition(layout.table, partition), []
    for key in layout.table.partition_keys:
        value = values[key.name]
        if isinstance(key, Day) and isinstance(value, date):
            start, end = key.bounds(value)
            conditions += _times(_nanoseconds(start, 0), _nanoseconds(end, 0))
        else:
            conditions.append(f"{identifier(key.column)} = {literal(encoded_text(str(value)))}")
    return conditions


def _times(low: int, high: int) -> list[str]:
    conditions = [f"time >= {low}"] if low > FIRST_TIME else []
    return conditions + ([f"time < {high}"] if high <= LAST_TIME else [])


def _range(layout: Layout, low: int, high: int) -> list[str]:
    """Times move within their second alone: bounds between seconds ask the field too."""
    conditions = _times(low, high if high % SECOND == 0 else (high // SECOND + 1) * SECOND)
    stamp = identifier(layout.stamp)
    if low % SECOND and low > FIRST_TIME:
        conditions.append(f"{stamp} >= {low}")
    if high % SECOND and high <= LAST_TIME:
        conditions.append(f"{stamp} < {high}")
    return conditions


def _nanoseconds(moment: datetime | None, otherwise: int) -> int:
    if moment is None:
        return otherwise
    if moment.tzinfo is None:
        raise StoreError(f"time {moment!r} has no time zone; give one in UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
