"""The suite's tables as InfluxDB's points, in both lanes; alike for every version.

`paper`: what a naive load gives, and what the paper seems to have had: bid and ask of a quote are points of two series,
told apart by the tag `side`. `idiomatic`: one point for each row with all its values as fields; trades carry their
notional. Symbol and venue are tags in both, since nothing can be grouped by a field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

import polars as pl
import pyarrow as pa

from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import Layout, Times
from tracebank_benchmarks.tsdb.engines.influxdb.store import width
from tracebank_benchmarks.tsdb.engines.influxdb.writer import polars_rows
from tracebank_benchmarks.tsdb.workloads import Lane
from tracebank_schemas.market import BOOK_DEPTH
from tracebank_schemas.series import Column, SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES, naive

SIDES: Final = ("bid", "ask")
_TAGS: Final = ("symbol", "venue")
_NOTIONAL: Final = Column("notional", pa.float64(), "price times quantity", "price_unit * qty_unit")


def _tagged(table: SeriesTable) -> SeriesTable:
    columns = tuple(dataclasses.replace(column, repeated=column.name in _TAGS) for column in naive(table).columns)
    return dataclasses.replace(naive(table), columns=columns)


def _one_side(table: SeriesTable) -> SeriesTable:
    key = _tagged(table).columns[:4]
    side = Column("side", pa.string(), "bid or ask", repeated=True)
    values = [Column(f"{what}_{level}", pa.float64(), "") for what in ("price", "qty") for level in range(BOOK_DEPTH)]
    return dataclasses.replace(table, columns=(*key, side, *values), sort_key=("ts", "seq"), partition_by=())


_DECLARED: Final = {
    (Lane.PAPER, TRADES.name): _tagged(TRADES),
    (Lane.PAPER, BOOK.name): _one_side(BOOK),
    (Lane.IDIOMATIC, TRADES.name): dataclasses.replace(TRADES, columns=(*TRADES.columns, _NOTIONAL)),
    (Lane.IDIOMATIC, BOOK.name): BOOK,
}


def declared(lane: Lane, table: SeriesTable) -> SeriesTable:
    """The table as the lane has it.

    Raises:
        KeyError: it is none of the suite's.
    """
    return _DECLARED[lane, table.name]


class Points:
    """Turns a table's rows into line protocol, block after block, in the order of time."""

    def __init__(self, lane: Lane, table: SeriesTable) -> None:
        self._split = lane is Lane.PAPER and table.name == BOOK.name
        self._notional = lane is Lane.IDIOMATIC and table.name == TRADES.name
        self.declared = declared(lane, table)
        self._layout = Layout.of(self.declared)
        # Within a symbol the order of time is then that of seq, on which first, last and as-of go. Blocks may come late
        # (W3), so none is forgotten: 16 bytes a row.
        self._times = Times(Layout.of(table), ("symbol",))
        self.points = 0
        self.per_row = len(SIDES) if self._split else 1
        """Points that one row becomes."""
        self.raw_bytes = self.per_row * sum(map(width, self.declared.columns))
        """Of one row, uncompressed; text is taken for as wide as the platform's adapter takes it."""

    def described(self) -> str:
        """Which columns are tags and which fields."""
        return f"tags {', '.join(self._layout.tags)}; fields {', '.join(column.name for column in self._layout.fields)}"

    def lines(self, frame: pa.Table) -> Iterator[pl.Series]:
        """Line protocol of rows, a line end at the end of each.

        Raises:
            FrameRefused: a value is none that the engine keeps, or so many rows tie that no times are left.
        """
        rows = self._times.assign(polars_rows(frame))
        if self._notional:
            rows = rows.with_columns(notional=pl.col("price") * pl.col("qty"))
        for part in [_side(rows, side) for side in SIDES] if self._split else [rows]:
            self.points += part.height
            yield self._layout.lines(part)


def _side(rows: pl.DataFrame, side: str) -> pl.DataFrame:
    values = [
        pl.col(f"{side}_{what}_{level}").alias(f"{what}_{level}")
        for what in ("price", "qty")
        for level in range(BOOK_DEPTH)
    ]
    return rows.select("ts", "symbol", "venue", "seq", "time", pl.lit(side).alias("side"), *values)
