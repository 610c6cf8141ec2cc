"""Reads of the last row at or before a time. Of rows that tie in time it is the one of highest seq."""

from __future__ import annotations

from typing import Final

import polars as pl

from tracebank_benchmarks.tsdb.oracle.frames import TIME, Plan, asked, several
from tracebank_benchmarks.tsdb.workloads import Parameters
from tracebank_schemas.tsdb_benchmark import BOOK

_LEVELS: Final = [column.name for column in BOOK.columns[4:]]
_QUOTE: Final = (pl.col("bid_price_0").alias("bid"), pl.col("ask_price_0").alias("ask"))


def _joined(left: pl.LazyFrame, right: pl.LazyFrame, on: str) -> pl.LazyFrame:
    """Each row with the last one of its symbol at or before its time: seq rises with time, so the highest wins ties."""
    return left.sort(on).join_asof(
        right.sort("seq"), left_on=on, right_on="ts", by="symbol", strategy="backward", check_sortedness=False
    )


def _moments(parameters: Parameters) -> pl.DataFrame:
    schema = {"symbol": pl.String(), "moment": TIME}
    return pl.DataFrame(list(several(parameters, "moments")), schema=schema, orient="row")


def _reachable(moments: pl.DataFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows that a moment can ask for: of its symbols, not after the last one."""
    last = moments.select(pl.col("moment").max()).item()
    return rows.filter(pl.col("symbol").is_in(moments["symbol"].unique().to_list()), pl.col("ts") <= pl.lit(last, TIME))


def _book_at(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    moments = _moments(parameters)
    found = _joined(moments.lazy(), _reachable(moments, book).select("symbol", "ts", "seq"), "moment")
    latest = found.select("symbol", "moment", "seq").collect()
    # Known beforehand, they keep a scan of files from reading forty columns of every row.
    wanted = book.filter(pl.col("seq").is_in(latest["seq"].to_list())).select("seq", *_LEVELS)
    return latest.lazy().join(wanted, on="seq")


def _market_at(parameters: Parameters, trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    moments = _moments(parameters)
    prints = _reachable(moments, trades).select("symbol", "ts", "seq", "price")
    quotes = _reachable(moments, book).select("symbol", "ts", "seq", *_QUOTE)
    priced = _joined(moments.lazy(), prints, "moment").select("symbol", "moment", "price")
    return _joined(priced, quotes, "moment")


def _trades_as_of_book(parameters: Parameters, trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    prints = asked(parameters, trades).select("symbol", "ts", "seq")
    quotes = asked(parameters, book).select("symbol", "ts", "seq", pl.col("seq").alias("book_seq"), *_QUOTE)
    return _joined(prints, quotes, "ts")


PLANS: Final[dict[str, Plan]] = {"R10": _book_at, "R13": _market_at, "R14": _trades_as_of_book}
