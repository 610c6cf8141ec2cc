"""InfluxDB 1.x as a series store: a table is a measurement in a retention policy of its own name.

The engine knows no declarations: they are kept beside the data, in the measurement `tracebank_tables`. It has no
transactions either; see `writer`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import polars as pl
import pyarrow as pa
from sqlalchemy.engine import URL

from tracebank.stores.faults import SchemaDrift, StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank.tables.drift import Difference, declaration, differences
from tracebank.tables.frames import Frame
from tracebank.tables.writer import Written, drained
from tracebank_benchmarks.tsdb.engines.influxdb.connection import InfluxConnection, identifier, literal
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import SECOND, Layout, decoded
from tracebank_benchmarks.tsdb.engines.influxdb.select import Selection, partition_conditions, selection
from tracebank_benchmarks.tsdb.engines.influxdb.writer import InfluxWriter
from tracebank_schemas.series import TIMESTAMP, Column, Partition, SeriesTable

_DECLARATIONS: Final = "tracebank_tables"
_BATCH_ROWS: Final = 131_072
_WAITS: Final = (0.05, 0.2, 1.0)
"""Seconds between attempts of a deletion."""
_TEXT_BYTES: Final = 16
"""Taken for the width of a text where raw bytes are told; the engine does not tell."""


class InfluxStore:
    """Series tables in InfluxDB 1.x."""

    engine: ClassVar[str] = "influxdb1"
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]] = "ns"
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]] = "overwrite"
    asof_join: ClassVar[bool] = False
    arrays: ClassVar[bool] = False
    deletes: ClassVar[bool] = True
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]] = "many_processes"
    atomic_replace: ClassVar[bool] = False
    """A replace deletes, then writes: readers in between see a part, and a crash leaves one until the next replace."""

    def __init__(self, url: URL, *, timeout: float = 600.0) -> None:
        self.database = str(url.database)
        self.connection = InfluxConnection(url, timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        return EngineInfo(self.engine, self.connection.version(), "open source")

    # --- declarations ---------------------------------------------------------------------------------------------

    def create(self, table: SeriesTable) -> None:
        """Make the table, or note the columns that its declaration gained.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
            FrameRefused: it has no time stamps, or lists.
        """
        Layout.of(table)
        found = self._found(table)
        if found is not None:
            drift = differences(table, found)
            if fatal := [d for d in drift if not d.repairable]:
                first = fatal[0]
                raise SchemaDrift(
                    f"table {self.database}.{table.name}: {first.what} is {first.found}, declared {first.declared}"
                    f" ({len(fatal)} such); copy its rows to a new table, or drop it and materialise again"
                )
            if not drift:
                return
        database, name = identifier(self.database), identifier(table.name)
        self.connection.json(f"CREATE DATABASE {database}")
        self.connection.json(f"CREATE RETENTION POLICY {name} ON {database} DURATION INF REPLICATION 1")
        text = json.dumps(declaration(table)).replace("\\", "\\\\").replace('"', '\\"')
        self.connection.write("", f'{_DECLARATIONS},table={table.name} declaration="{text}" 0\n'.encode())

    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""
        found = self._found(table)
        if found is None:
            return [Difference(table.name, "table", "present", "absent", True)]
        return differences(table, found)

    def _found(self, table: SeriesTable) -> dict[str, Any] | None:
        text = f'SELECT declaration FROM {_DECLARATIONS} WHERE "table" = {literal(table.name)}'
        try:
            [result] = self.connection.json(text)
        except StoreError as error:
            if "database not found" in str(error):
                return None
            raise
        if "series" not in result:
            return None
        kept: dict[str, Any] = json.loads(result["series"][0]["values"][0][1])
        return kept

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        if self._found(table) is None:
            return
        self.connection.json(
            f"DROP RETENTION POLICY {identifier(table.name)} ON {identifier(self.database)};"
            f' DELETE FROM {_DECLARATIONS} WHERE "table" = {literal(table.name)}'
        )

    # --- writing --------------------------------------------------------------------------------------------------

    def replacing(self, table: SeriesTable, partition: Partition) -> InfluxWriter:
        """A writer whose rows replace the partition's when its `with` block ends well; not in one step."""
        return InfluxWriter(self, table, partition)

    def replace(self, table: SeriesTable, partition: Partition, frames: Frame | Iterable[Frame]) -> Written:
        """Replace a partition by the rows of `frames`: idempotent, in bounded memory, not in one step.

        Raises:
            FrameRefused: a frame does not fit; the old rows stand.
            StoreError: the engine failed; the partition may hold a part of its rows until it is written again.
        """
        return drained(InfluxWriter(self, table, partition), frames)

    def append(self, table: SeriesTable, frames: Frame | Iterable[Frame]) -> Written:
        """Add rows of any partitions; a row whose time, tags and unique key stand takes that row's place."""
        return drained(InfluxWriter(self, table, None), frames)

    def delete(self, table: SeriesTable, partition: Partition) -> None:
        """Delete the rows of a partition.

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
                # The server walks over shards while it closes those of another database that is dropped meanwhile.
                if wait is None or "engine is closed" not in str(error):
                    raise
                time.sleep(wait)

    def points(self, layout: Layout, rows: pl.DataFrame) -> pl.DataFrame:
        """Times, tags and unique keys of the points that stand between the first and the last of `rows`."""
        low, high = rows.select(
            low=pl.col(layout.stamp).min().cast(pl.Int64), high=pl.col(layout.stamp).max().cast(pl.Int64)
        ).row(0)
        names = list(dict.fromkeys((layout.stamp, *layout.tags, *layout.table.unique_key)))
        text = (
            f"SELECT {', '.join(map(identifier, names))} FROM {_name(layout.table)}"
            f" WHERE time >= {low} AND time < {min(high + SECOND, 2**63 - 1)}"
        )
        frame = self.connection.csv(text, _types(layout, names))
        return _decoded(layout, frame, names, "time") if frame.width else frame

    # --- reading --------------------------------------------------------------------------------------------------

    def read(
        self,
        table: SeriesTable,
        *,
        partition: Partition | None = None,
        columns: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ordered: bool = True,
    ) -> pl.DataFrame:
        """Rows as Polars, of a partition and of `[start, end)` of the first time-stamp column where given.

        Raises:
            StoreError: the answer has not as many rows as the engine counts.
        """
        wanted = list(columns) if columns is not None else table.arrow_schema.names
        extra = [name for name in table.sort_key if ordered and name not in wanted]
        chosen = selection(table, partition, wanted, start, end, extra)
        frames = list(self._frames(chosen))
        empty = pl.DataFrame(schema={name: table.polars_schema[name] for name in chosen.names})
        frame = pl.concat([empty, *frames])
        if ordered and table.sort_key:
            frame = frame.sort(table.sort_key, maintain_order=True)
        return frame.select(wanted)

    def read_batches(
        self,
        table: SeriesTable,
        *,
        partition: Partition | None = None,
        columns: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ordered: bool = True,
    ) -> Iterator[pa.RecordBatch]:
        """As `read`, in Arrow batches: streamed where no order is asked for, else held and sorted by the client."""
        if ordered:
            frames: Iterable[pl.DataFrame] = self.read(
                table, partition=partition, columns=columns, start=start, end=end
            ).iter_slices(_BATCH_ROWS)
        else:
            frames = self._frames(selection(table, partition, columns, start, end, ()))
        for frame in frames:
            if frame.height:
                names = frame.columns
                schema = pa.schema([table.arrow_schema.field(name) for name in names])
                yield from frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema).to_batches()

    def _frames(self, chosen: Selection) -> Iterator[pl.DataFrame]:
        layout, names = chosen.layout, chosen.names
        if self._found(layout.table) is None:
            raise StoreError(f"table {layout.table.name} is not in {self.database}: run 'tracebank db upgrade'")
        if chosen.empty:
            return
        rows = 0
        for frame in self.connection.stream(chosen.text, _types(layout, chosen.asked)):
            rows += frame.height
            yield _decoded(layout, frame, names)
        if rows != (counted := self._count(chosen.counting)):
            raise self.connection.fault(f"table {layout.table.name}: {rows} rows came of {counted}; read again")

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
        whole = selection(table, None, None, None, None, ())
        part = selection(table, partition, None, None, None, ()) if partition is not None else whole
        if self._found(table) is None:
            raise StoreError(f"table {table.name} is not in {self.database}: run 'tracebank db upgrade'")
        all_rows = self._count(whole.counting)
        rows = self._count(part.counting) if partition is not None else all_rows
        on_disk = self._disk_bytes(table)
        share = rows / all_rows if all_rows else 0.0
        per_row = sum(width(column) for column in layout.table.columns)
        return TableSize(rows, round(on_disk * share) if partition is not None else on_disk, rows * per_row)

    def _disk_bytes(self, table: SeriesTable) -> int:
        [result] = self.connection.json("SHOW STATS FOR 'shard'")
        total = 0
        for series in result.get("series", ()):
            tags = series["tags"]
            if tags["database"] == self.database and tags["retentionPolicy"] == table.name:
                total += int(dict(zip(series["columns"], series["values"][0], strict=True))["diskBytes"])
        return total


def _name(table: SeriesTable) -> str:
    return f"{identifier(table.name)}.{identifier(table.name)}"


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
