"""InfluxDB 1.x as a series store: a table is a measurement in a retention policy of its own name.

The engine has no declarations, which are kept in the measurement `tracebank_tables`, and no transactions; see `writer`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import ClassVar, Final, Literal

import polars as pl
import pyarrow as pa
from sqlalchemy.engine import URL

from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank_benchmarks.tsdb.engines.declared_beside import DeclaredBeside, share
from tracebank_benchmarks.tsdb.engines.influxdb.connection import InfluxConnection, identifier, literal
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import SECOND, Layout, decoded
from tracebank_benchmarks.tsdb.engines.influxdb.select import partition_conditions, selection
from tracebank_benchmarks.tsdb.engines.influxdb.writer import InfluxWriter
from tracebank_schemas.series import TIMESTAMP, Column, Partition, SeriesTable

_DECLARATIONS: Final = "tracebank_tables"
_NO_DATABASE: Final = "database not found"
_WAITS: Final = (0.05, 0.2, 1.0)
"""Seconds between attempts of a deletion."""
_TEXT_BYTES: Final = 16
"""Taken for the width of a text where raw bytes are told; the engine does not tell."""


class InfluxStore(DeclaredBeside):
    """Series tables in InfluxDB 1.x. A replace deletes, then writes: readers in between see a part of the rows."""

    engine: ClassVar[str] = "influxdb1"
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]] = "ns"
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]] = "overwrite"
    asof_join: ClassVar[bool] = False
    arrays: ClassVar[bool] = False
    deletes: ClassVar[bool] = True
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]] = "many_processes"

    def __init__(self, url: URL, *, timeout: float = 600.0) -> None:
        self.database = self.place = str(url.database)
        self.connection = InfluxConnection(url, timeout=timeout)

    @contextmanager
    def session(self) -> Iterator[InfluxConnection]:
        """The store's own connection, which its threads share."""
        yield self.connection

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        return EngineInfo(self.engine, self.connection.version(), "open source")

    def _check(self, table: SeriesTable) -> None:
        Layout.of(table)

    def _make(self, table: SeriesTable, text: str) -> None:
        database, name = identifier(self.database), identifier(table.name)
        self.connection.json(f"CREATE DATABASE {database}")
        self.connection.json(f"CREATE RETENTION POLICY {name} ON {database} DURATION INF REPLICATION 1")
        spelt = text.replace("\\", "\\\\").replace('"', '\\"')
        self.connection.write("", f'{_DECLARATIONS},table={table.name} declaration="{spelt}" 0\n'.encode())

    def _kept(self, table: SeriesTable) -> str:
        try:
            [result] = self.connection.json(
                f'SELECT declaration FROM {_DECLARATIONS} WHERE "table" = {literal(table.name)}'
            )
        except StoreError as error:
            if _NO_DATABASE in str(error):
                return ""
            raise
        return str(result["series"][0]["values"][0][1]) if "series" in result else ""

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        if self._kept(table):
            self.connection.json(
                f"DROP RETENTION POLICY {identifier(table.name)} ON {identifier(self.database)};"
                f' DELETE FROM {_DECLARATIONS} WHERE "table" = {literal(table.name)}'
            )

    def writer(self, table: SeriesTable, partition: Partition | None) -> InfluxWriter:
        """A writer whose rows replace the partition's, not in one step; or, for None, join those that stand.

        A row whose time, tags and unique key stand takes that row's place.
        """
        return InfluxWriter(self, table, partition)

    def delete(self, table: SeriesTable, partition: Partition) -> None:
        """Delete the rows of a partition, if there are any.

        Raises:
            StoreError: the server refused it, or went on telling that a shard is being closed.
        """
        conditions = partition_conditions(Layout.of(table), partition)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        for wait in (*_WAITS, None):
            try:
                self.connection.json(f"DELETE FROM {identifier(table.name)}{where}")
                return
            except StoreError as error:
                if _NO_DATABASE in str(error):
                    return
                # The server walks over shards while it closes those of another database that is dropped meanwhile.
                if wait is None or "engine is closed" not in str(error):
                    raise
                time.sleep(wait)

    def points(self, layout: Layout, rows: pl.DataFrame) -> pl.DataFrame:
        """Times, tags and unique keys of the points that stand between the first and the last of `rows`."""
        stamp = pl.col(layout.stamp).cast(pl.Int64)
        low, high = rows.select(stamp.min().alias("low"), stamp.max().alias("high")).row(0)
        names = list(dict.fromkeys((layout.stamp, *layout.tags, *layout.table.unique_key)))
        name = identifier(layout.table.name)
        text = (
            f"SELECT {', '.join(map(identifier, names))} FROM {name}.{name}"
            f" WHERE time >= {low} AND time < {min(high + SECOND, 2**63 - 1)}"
        )
        frame = self.connection.csv(text, _types(layout, names))
        return _decoded(layout, frame, names, "time") if frame.width else frame

    def _frames(
        self,
        table: SeriesTable,
        partition: Partition | None,
        names: Sequence[str],
        start: datetime | None,
        end: datetime | None,
    ) -> Iterator[pl.DataFrame]:
        layout, rows = Layout.of(table), 0
        chosen = selection(layout, names, partition=partition, start=start, end=end)
        if chosen.empty:
            return
        for frame in self.connection.stream(chosen.text, _types(layout, chosen.asked)):
            rows += frame.height
            yield _decoded(layout, frame, names)
        if rows != (counted := self._count(chosen.counting)):
            raise self.connection.fault(f"table {table.name}: {rows} rows came of {counted}; read again")

    def _count(self, text: str) -> int:
        [result] = self.connection.json(text)
        return int(result["series"][0]["values"][0][1]) if "series" in result else 0

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of one InfluxQL statement; `time` is UTC, numbers and flags have their types, all else is text.

        Args:
            text: the statement; `$name` stands for a parameter.
            parameters: values bound by the server.
        """
        return self.connection.table(text, parameters)

    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows, and bytes on disk with index and log; of a partition, its share by rows: the engine tells no more."""
        layout = Layout.of(table)
        part = selection(layout, partition=partition)
        self._must_stand(table)
        rows = self._count(selection(layout).counting)
        whole = TableSize(rows, self._disk_bytes(table), rows * sum(map(width, table.columns)))
        return whole if partition is None else share(whole, self._count(part.counting))

    def _disk_bytes(self, table: SeriesTable) -> int:
        [result] = self.connection.json("SHOW STATS FOR 'shard'")
        return sum(
            int(dict(zip(series["columns"], series["values"][0], strict=True))["diskBytes"])
            for series in result.get("series", ())
            if (series["tags"]["database"], series["tags"]["retentionPolicy"]) == (self.database, table.name)
        )


def width(column: Column) -> int:
    """Bytes that a value is taken for; the engine does not tell how wide its texts are."""
    return _TEXT_BYTES if column.type == pa.string() else max(column.type.bit_width // 8, 1)


def _types(layout: Layout, names: Iterable[str]) -> dict[str, pl.DataType]:
    """Types of the CSV's columns."""
    types: dict[str, pl.DataType] = {}
    for name in names:
        kind = layout.table.arrow_schema.field(name).type
        if name in layout.tags or kind == pa.string():
            types[name] = pl.String()
        elif kind == TIMESTAMP or kind == pa.date32() or pa.types.is_integer(kind):
            types[name] = pl.Int64()
        else:
            types[name] = pl.Boolean() if kind == pa.bool_() else pl.Float64()
    return types


def _decoded(layout: Layout, frame: pl.DataFrame, names: Sequence[str], *more: str) -> pl.DataFrame:
    """A CSV answer in the declared types."""
    made = []
    for name in names:
        column, kind = layout.table.arrow_schema.field(name), layout.table.polars_schema[name]
        value = pl.col(name)
        if column.type == pa.string() or name in layout.tags:
            value = decoded(value)
            value = value if column.nullable else value.fill_null("")
        if column.type == pa.date32():
            value = value.str.to_date() if name in layout.tags else value.cast(pl.Int32)
        made.append(value.cast(kind).alias(name))
    return frame.select(*made, *more)
