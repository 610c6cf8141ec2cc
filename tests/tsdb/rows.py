"""Rows written down by hand, for answers that are worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

MIDNIGHT = datetime(2024, 8, 8, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A time of the day that the rows are of."""
    return MIDNIGHT + timedelta(seconds=seconds)


def trades(*rows: tuple[float, str, str, int, float, float]) -> pl.DataFrame:
    """Trades of (seconds, symbol, venue, seq, price, qty)."""
    schema = {name: kind for name, kind in TRADES.polars_schema.items() if name != "side"}
    frame = pl.DataFrame([(at(row[0]), *row[1:]) for row in rows], schema=schema, orient="row")
    return frame.with_columns(side=pl.lit("buy"))


def book(*rows: tuple[float, str, str, int, float, float], **levels: list[float]) -> pl.DataFrame:
    """Book rows of (seconds, symbol, venue, seq, best bid, best ask); a tick of 1, a quantity of 1 on every level.

    `levels` replaces whole columns.
    """
    records: list[dict[str, Any]] = []
    for seconds, symbol, venue, seq, bid, ask in rows:
        record: dict[str, Any] = {"ts": at(seconds), "symbol": symbol, "venue": venue, "seq": seq}
        for level in range(10):
            record |= {f"bid_price_{level}": bid - level, f"bid_qty_{level}": 1.0}
            record |= {f"ask_price_{level}": ask + level, f"ask_qty_{level}": 1.0}
        records.append(record)
    frame = pl.DataFrame(records, schema=BOOK.polars_schema)
    return frame.with_columns(**{name: pl.Series(values, dtype=pl.Float64) for name, values in levels.items()})


NO_TRADES = trades()
NO_BOOK = book()
