"""The SELECT behind `read`, built once for every engine: columns, a partition, a range of time, and the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pyarrow as pa
from sqlglot import exp

from tracebank.stores.faults import StoreError
from tracebank.tables.partition import checked_partition
from tracebank_schemas.series import TIMESTAMP, Day, Partition, SeriesTable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT64: Final = 2**63


def quoted(name: str, dialect: str) -> str:
    """An identifier as SQL text."""
    return exp.to_identifier(name, quoted=True).sql(dialect)


def literal(value: date | str | int, dialect: str) -> str:
    """A value as SQL text; a date as the text of it."""
    if isinstance(value, int):
        return str(value)
    text = exp.Literal.string(value if isinstance(value, str) else value.isoformat()).sql(dialect)
    # ClickHouse takes a bare NUL for the end of the statement; the others have no escape of it.
    return text.replace("\0", "\\0") if dialect == "clickhouse" else text


def asked(table: SeriesTable, columns: Sequence[str] | None) -> pa.Schema:
    """Schema of the columns that are asked for; of all for None.

    Raises:
        StoreError: a column is not declared, or none is asked for.
    """
    declared = table.arrow_schema.names
    names = list(columns) if columns is not None else declared
    if not names or (unknown := [name for name in names if name not in declared]):
        raise StoreError(
            f"table {table.name}: columns {unknown if names else names} are not declared; it has {declared}"
        )
    return pa.schema([table.arrow_schema.field(name) for name in names])


@dataclass(frozen=True, slots=True)
class Dialect:
    """What engines differ in when they are asked for rows."""

    name: str
    """As sqlglot knows it."""
    moment: Callable[[int], str]
    """SQL text of a time stamp, given nanoseconds since 1970, to compare a time-stamp column with."""
    value: Callable[[date | str | int], str]
    """SQL text of a partition key's value."""
    shown: Callable[[SeriesTable, str], str]
    """SQL text of a column as it is read."""
    order: Callable[[SeriesTable, str], str]
    """SQL text by which a column of the sort key orders."""

    def select(
        self,
        table: SeriesTable,
        source: str,
        *,
        partition: Partition | None = None,
        columns: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ordered: bool = True,
    ) -> str:
        """Text of the query.

        Args:
            table: the declaration.
            source: the table's name in the engine, as SQL text.
            partition: only its rows.
            columns: only these, in this order.
            start: only rows whose first time stamp is not before it.
            end: only rows whose first time stamp is before it.
            ordered: by the sort key.

        Raises:
            StoreError: a column is not declared, a time has no zone, or a range is asked of a table without time.
            FrameRefused: the partition's keys do not fit.
        """
        names = asked(table, columns).names
        text = f"SELECT {', '.join(self.shown(table, name) for name in names)} FROM {source}"
        conditions = self.of_partition(table, partition) if partition is not None else []
        conditions += self.of_range(table, start, end)
        if conditions:
            text += f" WHERE {' AND '.join(conditions)}"
        if ordered and table.sort_key:
            text += f" ORDER BY {', '.join(self.order(table, name) for name in table.sort_key)}"
        return text

    def of_partition(self, table: SeriesTable, partition: Partition) -> list[str]:
        """Conditions that a partition's rows meet.

        Raises:
            FrameRefused: its keys do not fit.
        """
        values, found = checked_partition(table, partition), []
        for key in table.partition_keys:
            value, column = values[key.name], quoted(key.column, self.name)
            if isinstance(key, Day) and isinstance(value, date):
                found += self._between(column, *key.bounds(value))
            else:
                found.append(f"{column} = {self.value(value)}")
        return found

    def of_range(self, table: SeriesTable, start: datetime | None, end: datetime | None) -> list[str]:
        """Conditions that rows of `[start, end)` of the first time-stamp column meet.

        Raises:
            StoreError: the table has no time stamps, or a time has no zone.
        """
        if start is None and end is None:
            return []
        stamp = next((column.name for column in table.columns if column.type == TIMESTAMP), None)
        if stamp is None:
            raise StoreError(f"table {table.name}: has no time stamps, so that no start or end can be given")
        return self._between(quoted(stamp, self.name), start, end)

    def _between(self, column: str, start: datetime | None, end: datetime | None) -> list[str]:
        """A bound beyond what 64-bit nanoseconds hold is none, or lets nothing through."""
        conditions = []
        for bound, sign, lets_all in ((start, ">=", "before"), (end, "<", "after")):
            if bound is None:
                continue
            if bound.tzinfo is None:
                raise StoreError(f"time {bound!r} has no time zone; give one in UTC")
            nanoseconds = (bound - _EPOCH) // timedelta(microseconds=1) * 1000
            if -_INT64 < nanoseconds < _INT64 - 1:
                conditions.append(f"{column} {sign} {self.moment(nanoseconds)}")
            elif (nanoseconds < 0) != (lets_all == "before"):
                conditions.append("1 = 0")
        return conditions
