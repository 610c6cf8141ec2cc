"""Tables that the time-series database suite loads into every engine: trades, and ten-level book snapshots."""

from __future__ import annotations

import dataclasses
from typing import Final

import pyarrow as pa

from tracebank_schemas.market import BOOK_DEPTH
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable

_KEY: Final = (
    Column("ts", TIMESTAMP, "the exchange's time", "UTC", codec="Delta, ZSTD"),
    Column("symbol", pa.string(), "the venue's name of the instrument", repeated=True),
    Column("venue", pa.string(), "where it was traded", repeated=True),
    Column("seq", pa.int64(), "unique in the table, rising with (ts, feed order)", codec="Delta, ZSTD"),
)


def _value(name: str, doc: str, unit: str) -> Column:
    return Column(name, pa.float64(), doc, unit, codec="ZSTD")


TRADES: Final = SeriesTable(
    name="bench_trades",
    doc="Executions of the benchmark's data set.",
    columns=(
        *_KEY,
        _value("price", "price of the execution", "price_unit"),
        _value("qty", "quantity executed", "qty_unit"),
        Column("side", pa.string(), "the aggressor's side: buy or sell", repeated=True),
    ),
    sort_key=("symbol", "ts", "seq"),
    partition_by=(Day("ts"),),
    unique_key=("seq",),
    stored=False,
)

BOOK: Final = SeriesTable(
    name="bench_book",
    doc="Ten-level book snapshots of the benchmark's data set; every level is there.",
    columns=(
        *_KEY,
        *(
            _value(f"{side}_{what}_{level}", f"{side} {what}, level {level} from the best", f"{what}_unit")
            for side in ("bid", "ask")
            for what in ("price", "qty")
            for level in range(BOOK_DEPTH)
        ),
    ),
    sort_key=("symbol", "ts", "seq"),
    partition_by=(Day("ts"),),
    unique_key=("seq",),
    stored=False,
)

TABLES: Final = (TRADES, BOOK)
"""What the suite loads, in load order."""


def naive(table: SeriesTable) -> SeriesTable:
    """The `paper` lane: the same columns with nothing tuned, in time order, in one piece.

    No dictionary encoding, no codecs, no partitions, and a sort key of time alone, as one would write it down for every
    engine alike.
    """
    plain = tuple(dataclasses.replace(column, repeated=False, codec="") for column in table.columns)
    return dataclasses.replace(table, columns=plain, sort_key=("ts", "seq"), partition_by=())
