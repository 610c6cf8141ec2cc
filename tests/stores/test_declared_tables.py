"""Every declared series table on every engine that may hold the series, those without time stamps as well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy.engine import make_url

from tracebank.engines.postgresql.timescaledb import TimescaleDBStore
from tracebank.stores.faults import FrameRefused
from tracebank.stores.series_store import SeriesStore
from tracebank_schemas.catalogue import TABLES
from tracebank_schemas.series import TIMESTAMP, Column, Day, Partition, SeriesTable

from .engines import ENGINES, Engine

HOLD_SERIES = ("clickhouse-embedded", "clickhouse-over-http", "postgresql", "timescaledb", "duckdb")
ROWS = 40
DAY = date(2024, 8, 8)


@pytest.fixture(params=[e for e in ENGINES if e.name in HOLD_SERIES], ids=lambda engine: engine.name)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SeriesStore]:
    engine: Engine = request.param
    with engine.opened(tmp_path) as opened:
        yield opened


def _values(column: Column, table: SeriesTable, seed: int) -> pl.Series:
    """Values that tell rows apart; texts need quoting, numbers have a sign and stand at the ends of their types."""
    numbers = [(row * 7 + seed) % ROWS for row in range(ROWS)]
    if column.name in table.partition_columns.values() and column.type != TIMESTAMP:
        kept: list[Any] = [_key(column, seed)] * ROWS
    elif column.type == TIMESTAMP:
        start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
        return pl.Series(column.name, [start] * ROWS).cast(pl.Datetime("ns", "UTC")).dt.offset_by("1h") + pl.Series(
            numbers
        ).cast(pl.Duration("ns"))
    elif pa.types.is_string(column.type):
        kept = [f'it\'s "{number}"\té漢' for number in numbers]
    elif pa.types.is_integer(column.type):
        top = 2 ** (column.type.bit_width - 1) - 1
        kept = [top - number if number % 2 else number - top for number in numbers]
    elif pa.types.is_list(column.type):
        kept = [[number * 0.5, -1.0][: number % 3] for number in numbers]
    elif pa.types.is_floating(column.type):
        kept = [number * 0.25 - 3 for number in numbers]
    else:
        kept = [DAY] * ROWS if pa.types.is_date(column.type) else [bool(number % 2) for number in numbers]
    if column.nullable:
        kept = [None if row % 3 == 0 else value for row, value in enumerate(kept)]
    return pl.Series(column.name, kept, dtype=table.polars_schema[column.name])


def _key(column: Column, seed: int) -> Any:
    return f"study '{seed}', \\ ü" if pa.types.is_string(column.type) else seed


def _rows(table: SeriesTable, seed: int) -> tuple[Partition, pl.DataFrame]:
    frame = pl.DataFrame([_values(column, table, seed) for column in table.columns])
    keys = {column.name: column for column in table.columns}
    partition: Partition = {
        name: DAY if name == "day" and any(isinstance(key, Day) for key in table.partition_by) else _key(keys[at], seed)
        for name, at in table.partition_columns.items()
    }
    return partition, frame


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort([name for name, kind in frame.schema.items() if not kind.is_nested()], nulls_last=True)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_partitions_are_replaced_one_by_one(store: SeriesStore, table: SeriesTable) -> None:
    store.create(table)
    assert store.differences(table) == []
    first, rows = _rows(table, 1)
    second, others = _rows(table, 2)
    for _ in range(2):
        assert store.replace(table, first, rows).rows == ROWS
    store.replace(table, second, others)
    assert_frame_equal(_sorted(store.read(table, partition=first)), _sorted(rows))
    assert_frame_equal(_sorted(store.read(table)), _sorted(pl.concat([rows, others])))
    fewer = others.head(ROWS // 2)
    store.replace(table, second, fewer)
    assert_frame_equal(_sorted(store.read(table, partition=second)), _sorted(fewer))
    assert store.size(table, first).rows == ROWS
    key = list(table.sort_key)
    assert store.read(table, partition=first).select(key).equals(_sorted(rows).select(key).sort(key))


def test_timescaledb_makes_hypertables_of_what_has_time_stamps_and_plain_tables_of_the_rest() -> None:
    store = TimescaleDBStore(make_url("postgresql+psycopg://nobody@localhost:1/nothing"))
    made = {name: " ".join(store.statements(table)) for name, table in TABLES.items()}
    timed = {name for name, table in TABLES.items() if any(column.type == TIMESTAMP for column in table.columns)}
    assert {name for name, text in made.items() if "create_hypertable" in text} == timed
    assert {"feature_activations", "feature_examples", "ablation_texts"} & timed == set()


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_row_of_another_partition_is_refused(store: SeriesStore, table: SeriesTable) -> None:
    _, rows = _rows(table, 1)
    other, kept = _rows(table, 2)
    store.replace(table, other, kept)
    with pytest.raises(FrameRefused, match="does not belong to partition"):
        store.replace(table, other, rows)
    assert store.size(table).rows == ROWS
