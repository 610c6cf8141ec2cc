"""The language of series tables: a declaration from which DDL, Polars and Arrow schemas and the docs table follow.

The tables themselves stand in the module of their subject (`market`, ...), where `catalogue` finds them. What an engine
makes of a declaration (its DDL) is that engine's adapter's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

import pyarrow as pa

if TYPE_CHECKING:
    import polars as pl

TIMESTAMP: Final = pa.timestamp("ns", "UTC")
"""Time stamps of every series table: nanoseconds, UTC."""

_TYPES: Final = (
    *(TIMESTAMP, pa.date32(), pa.bool_(), pa.string()),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float32(), pa.float64(), pa.list_(pa.float32()), pa.list_(pa.float64())),
)
"""Every column type that a declaration may use."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a series table."""

    name: str
    type: pa.DataType
    doc: str
    unit: str = ""
    """Unit of the values, or empty for counts, names and flags."""
    nullable: bool = False
    repeated: bool = False
    """Few distinct values (a venue, a side): engines may encode it as a dictionary."""
    codec: str = ""
    """Compression hint, a ClickHouse codec expression chosen by measurement; other engines may ignore it."""
    volatile: bool = False
    """Tells when a row was made and not what it says: rows that differ in it alone count as the same content."""
    before: int | str | None = None
    """What rows have that were stored before the column was declared: a number, or what a column of this name had; None
    for null, or zero where none may be."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_REACH: Final = timedelta(microseconds=2**63 // 1000)
"""How far from 1970 nanoseconds of 64 bits reach."""


@dataclass(frozen=True, slots=True)
class Day:
    """Partition by the UTC day of a time-stamp column; the partition value is a `datetime.date` named `day`."""

    column: str
    name: ClassVar[str] = "day"
    first: ClassVar[date] = (_EPOCH - _REACH).date()
    last: ClassVar[date] = (_EPOCH + _REACH).date()

    @staticmethod
    def bounds(day: date) -> tuple[datetime, datetime]:
        """Start and end of the day: rows of the partition lie within `[start, end)`."""
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return start, start + _DAY


@dataclass(frozen=True, slots=True)
class Value:
    """Partition by the value of a column, whose name is the key's."""

    column: str

    @property
    def name(self) -> str:
        """Name of the key."""
        return self.column


PartitionValue = date | str | int
_PARTITION_TYPES: Final = (*(kind for kind in _TYPES if pa.types.is_integer(kind)), pa.string(), pa.date32())

Partition = Mapping[str, PartitionValue]
"""One partition: a value for each partition key, e.g. `{"day": date(2024, 8, 8), "symbol": "BTCUSDT"}`."""


@dataclass(frozen=True)
class SeriesTable:
    """Declaration of one table of the time-series store."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    sort_key: tuple[str, ...]
    partition_by: tuple[Day | str, ...]
    unique_key: tuple[str, ...] = ()
    """Columns that name a row; checks of duplicates use it, the engine does not enforce it."""
    stored: bool = True
    """Whether it is a table of the series store. A benchmark's own, made in databases of its own, are not."""

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        keys = [*self.sort_key, *self.unique_key, *self.partition_columns.values()]
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: a column name stands twice in {names}")
        if unknown := sorted(set(keys) - set(names)):
            raise ValueError(f"table {self.name}: keys name columns {unknown} that are not declared")
        if bad := [column.name for column in self.columns if column.type not in _TYPES]:
            raise ValueError(f"table {self.name}: columns {bad} have a type that series tables do not use")
        if bad := [c.name for c in self.columns if c.nullable and (c.name in keys or pa.types.is_list(c.type))]:
            raise ValueError(f"table {self.name}: columns {bad} may not be nullable: they are keys or lists")
        self._check_partition_keys()

    def _check_partition_keys(self) -> None:
        kinds = {column.name: column.type for column in self.columns}
        if len(self.partition_columns) != len(self.partition_by):
            raise ValueError(f"table {self.name}: two partition keys have one name in {self.partition_by}")
        for key in self.partition_by:
            if isinstance(key, Day) and kinds[key.column] != TIMESTAMP:
                raise ValueError(f"table {self.name}: day is of {key.column}, which is no time stamp")
            if isinstance(key, str) and kinds[key] not in _PARTITION_TYPES:
                raise ValueError(f"table {self.name}: partition key {key} is {kinds[key]}; use text, integer or date")

    @cached_property
    def partition_keys(self) -> tuple[Day | Value, ...]:
        """The keys of its partitions, each with its name, its column and, of days, its bounds."""
        return tuple(Value(key) if isinstance(key, str) else key for key in self.partition_by)

    @cached_property
    def partition_columns(self) -> dict[str, str]:
        """Column behind each partition key, by the key's name (`day` for `Day`)."""
        return {key.name: key.column for key in self.partition_keys}

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """Arrow schema, in the declared order; `nullable` as declared."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    @cached_property
    def polars_schema(self) -> pl.Schema:
        """Polars schema, in the declared order."""
        import polars as pl

        frame = pl.from_arrow(self.arrow_schema.empty_table())
        assert isinstance(frame, pl.DataFrame)
        return frame.schema
