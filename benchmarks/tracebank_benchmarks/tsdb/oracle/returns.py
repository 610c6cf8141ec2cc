"""Reads of returns between the last values of buckets, and what is computed of them."""

from __future__ import annotations

from typing import Final

import polars as pl

from tracebank_benchmarks.tsdb.oracle.book import MID
from tracebank_benchmarks.tsdb.oracle.frames import Plan, asked, bucket
from tracebank_benchmarks.tsdb.workloads import Parameters

_RETURN: Final = pl.col("log_return")


def _returns(rows: pl.LazyFrame, value: pl.Expr, every: str) -> pl.LazyFrame:
    """Last value by seq of every symbol's buckets, and its log return to the bucket before that has rows."""
    ends = rows.group_by("symbol", bucket(every, "bucket")).agg(value.sort_by("seq").last().alias("value"))
    ratio = pl.col("value") / pl.col("value").shift(1).over("symbol")
    return ends.sort("symbol", "bucket").with_columns(ratio.log().alias("log_return"))


def _per_symbol(returns: pl.LazyFrame, *more: pl.Expr) -> pl.LazyFrame:
    return returns.filter(_RETURN.is_not_null()).group_by("symbol").agg(
        _RETURN.std(ddof=1).alias("deviation"), pl.len().alias("n"), *more
    )  # fmt: skip


def _of_prices(parameters: Parameters, trades: pl.LazyFrame, every: str) -> pl.LazyFrame:
    return _returns(asked(parameters, trades), pl.col("price"), every)


def _mid_returns(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    return _returns(asked(parameters, book), MID, "5m").rename({"value": "mid"})


def _price_volatility(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    return _per_symbol(_of_prices(parameters, trades, "5m")).rename({"deviation": "volatility"})


def _mid_volatility(parameters: Parameters, trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    return _per_symbol(_mid_returns(parameters, trades, book)).rename({"deviation": "volatility"})


def _realised(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    return _per_symbol(_of_prices(parameters, trades, "1m"), (_RETURN**2).sum().sqrt().alias("realised"))


def _correlation(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    found = _of_prices(parameters, trades, "1m").filter(_RETURN.is_not_null())
    left = found.select("bucket", a="symbol", x="log_return")
    right = found.select("bucket", b="symbol", y="log_return")
    both = left.join(right, on="bucket").filter(pl.col("a") < pl.col("b"))
    varied = [(pl.col(name).min() < pl.col(name).max()).alias(f"{name}_varies") for name in ("x", "y")]
    pairs = both.group_by("a", "b").agg(pl.corr("x", "y").alias("correlation"), pl.len().alias("n"), *varied)
    return pairs.filter(pl.col("n") >= 2, "x_varies", "y_varies")


PLANS: Final[dict[str, Plan]] = {
    "R6": _mid_returns,
    "R7": _price_volatility,
    "R8": _mid_volatility,
    "R22": _realised,
    "R23": _correlation,
}
