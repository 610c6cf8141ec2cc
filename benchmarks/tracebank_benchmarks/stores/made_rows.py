"""Rows of any number in any number of partitions, made as they are drawn: days and symbols, as the platform's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa

from tracebank_schemas.series import TIMESTAMP, Column, Day, Partition, SeriesTable

FIRST_DAY: Final = date(2020, 1, 1)
MOST_SYMBOLS: Final = 100
"""Of a day; more partitions are more days."""
_DAY_NS: Final = 86_400_000_000_000


def table(name: str) -> SeriesTable:
    """A narrow table like those of market data."""
    return SeriesTable(
        name,
        "Rows of a benchmark, which removes them.",
        (
            Column("ts", TIMESTAMP, "when", "UTC"),
            Column("symbol", pa.string(), "what", repeated=True),
            Column("seq", pa.int64(), "number within the partition"),
            Column("price", pa.float64(), "a number"),
        ),
        sort_key=("symbol", "ts"),
        partition_by=(Day("ts"), "symbol"),
    )


def partition(number: int) -> Partition:
    """A partition by its number, from 0."""
    return {"day": FIRST_DAY + timedelta(days=number // MOST_SYMBOLS), "symbol": f"S{number % MOST_SYMBOLS:02}"}


def small(rows: int, version: int = 0, symbol: str = "small") -> tuple[Partition, pl.DataFrame]:
    """A partition that `frames` makes no rows of, and rows for it.

    Args:
        rows: so many.
        version: other versions have other prices.
        symbol: of the partition, beside the number of its rows.
    """
    place: Partition = {"day": FIRST_DAY, "symbol": f"{symbol}-{rows}"}
    return place, _rows(place, 0, rows, rows).with_columns(price=pl.col("price") + version)


def frames(rows: int, partitions: int, block: int = 1_000_000) -> Iterator[pl.DataFrame]:
    """The rows of all partitions, in blocks, partition after partition.

    Args:
        rows: of all partitions.
        partitions: that they are spread over evenly.
        block: rows of a block, about.
    """
    waiting: list[pl.DataFrame] = []
    held = 0
    for number in range(partitions):
        size = rows_of(number, rows, partitions)
        for first in range(0, size, block):
            waiting.append(_rows(partition(number), first, min(size, first + block), size))
            held += waiting[-1].height
            if held >= block:
                yield pl.concat(waiting)
                waiting, held = [], 0
    if waiting:
        yield pl.concat(waiting)


def rows_of(number: int, rows: int, partitions: int) -> int:
    """How many rows of all a partition has."""
    return rows // partitions + (number < rows % partitions)


def moment(place: Partition, number: int, rows: int) -> datetime:
    """When a row of a partition that has `rows` is: in whole microseconds."""
    day = place["day"]
    assert isinstance(day, date)
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(microseconds=_step(rows) * number // 1000)


def _step(rows: int) -> int:
    """Nanoseconds between two rows, in whole microseconds."""
    return max(1, _DAY_NS // max(rows, 1) // 1000) * 1000


def _rows(place: Partition, first: int, end: int, rows: int) -> pl.DataFrame:
    number = np.arange(first, end)
    stamps = int(moment(place, 0, rows).timestamp()) * 1_000_000_000 + number * _step(rows)
    return pl.DataFrame({"ts": stamps, "seq": number}).select(
        pl.col("ts").cast(pl.Datetime("ns", "UTC")),
        pl.lit(str(place["symbol"])).alias("symbol"),
        "seq",
        (pl.col("seq") % 997 * 0.01).alias("price"),
    )
