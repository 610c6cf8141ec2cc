"""Reads of trades alone: volumes, bars, prints, scans. Returns are `returns`'."""

from __future__ import annotations

from typing import Final

import polars as pl

from tracebank_benchmarks.tsdb.oracle.frames import Plan, asked, bucket, first, last, number
from tracebank_benchmarks.tsdb.workloads import Parameters

_MINUTE: Final = bucket("1m", "minute")
_QTY: Final = pl.col("qty").sum()


def _average_volume(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    sums = asked(parameters, trades).group_by("symbol", _MINUTE).agg(_QTY.alias("volume"))
    return sums.with_columns(mean_volume=pl.col("volume").mean().over("symbol"))


def _vwap(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    notional = (pl.col("price") * pl.col("qty")).sum()
    groups = asked(parameters, trades).group_by("symbol", _MINUTE)
    return groups.agg((notional / _QTY).alias("vwap"), _QTY.alias("volume"), pl.len().alias("n"))


def _above_price(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    return asked(parameters, trades).filter(pl.col("price") > number(parameters, "price"))


def _bars(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    price = pl.col("price")
    return asked(parameters, trades).group_by("symbol", _MINUTE).agg(
        first("price").alias("open"),
        price.max().alias("high"),
        price.min().alias("low"),
        last("price").alias("close"),
        _QTY.alias("volume"),
        pl.len().alias("n"),
    )  # fmt: skip


def _last_of_each(_parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    return trades.group_by("symbol").agg(last("ts"), last("price"), pl.col("seq").max())


def _statistics(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    price = pl.col("price")
    return asked(parameters, trades).group_by("symbol", _MINUTE).agg(
        pl.len().alias("n"),
        price.mean().alias("mean"),
        price.std(ddof=1).alias("deviation"),
        price.min().alias("low"),
        price.max().alias("high"),
    )  # fmt: skip


def _volume_curve(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    minutes = asked(parameters, trades).group_by("symbol", _MINUTE).agg(_QTY.alias("volume"))
    day, minute = pl.col("minute").dt.date(), pl.col("minute").dt
    shares = minutes.select(
        (minute.hour().cast(pl.Int64) * 60 + minute.minute()).alias("minute_of_day"),
        (pl.col("volume") / pl.col("volume").sum().over("symbol", day)).alias("share"),
    )
    return shares.group_by("minute_of_day").agg(pl.col("share").mean())


def _above_size(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    return asked(parameters, trades).filter(pl.col("qty") > number(parameters, "qty"))


def _last_highs(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    highs = asked(parameters, trades).group_by(_MINUTE).agg(pl.col("price").max().alias("high"))
    return highs.sort("minute", descending=True).limit(5)


def _scan(_parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    return trades.group_by("symbol", "venue").agg(
        pl.len().alias("n"),
        pl.col("price").n_unique().alias("prices"),
        (pl.col("price") * pl.col("qty")).max().alias("highest_notional"),
    )


def _equal_runs(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    ordered = asked(parameters, trades).select("seq", "price").sort("seq")
    run = (pl.col("price") != pl.col("price").shift(1)).fill_null(False).cum_sum().alias("run")
    runs = ordered.group_by(run).agg(pl.col("seq").min(), pl.col("price").first(), pl.len().alias("n"))
    return runs.filter(pl.col("n") >= number(parameters, "length"))


PLANS: Final[dict[str, Plan]] = {
    "R1": _average_volume,
    "R2": _vwap,
    "R9": _above_price,
    "R11": _bars,
    "R12": _last_of_each,
    "R16": _statistics,
    "R18": _volume_curve,
    "R24": _above_size,
    "R26": _last_highs,
    "R27": _scan,
    "R28": _equal_runs,
}
