"""The read of how long it takes until a multiple of a trade's size has traded after it.

Where the multiple is reached is first found in running sums of the whole window; the sums that the answer shows are
then taken anew from the few trades between, so that no digits cancel out.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from tracebank_benchmarks.tsdb.oracle.frames import TIME, Plan, instant, several
from tracebank_benchmarks.tsdb.workloads import Parameters

_MULTIPLES: Final = (2, 4, 20)
_SLACK: Final = 1e-6
"""By how much more the running sums look ahead, relative to the size: more than they can be off."""


def _chosen(parameters: Parameters, trades: pl.LazyFrame) -> pl.LazyFrame:
    seqs = list(several(parameters, "seqs"))
    return trades.filter(pl.col("seq").is_in(seqs)).select("seq", "symbol", size="qty")


def _running(parameters: Parameters, trades: pl.LazyFrame, chosen: pl.LazyFrame) -> pl.LazyFrame:
    """Trades after the first chosen one, numbered within their symbol, with the running sum of their sizes."""
    before_end = pl.col("ts") < pl.lit(instant(parameters, "end"), TIME)
    firsts = chosen.group_by("symbol").agg(pl.col("seq").min().alias("_first"))
    rows = trades.filter(before_end).join(firsts, on="symbol").filter(pl.col("seq") > pl.col("_first")).sort("seq")
    return rows.select(
        "symbol",
        "seq",
        "ts",
        "price",
        "qty",
        pl.int_range(pl.len()).over("symbol").alias("at"),
        pl.col("qty").cum_sum().over("symbol").alias("traded"),
    )


def _ahead(chosen: pl.LazyFrame, running: pl.LazyFrame) -> pl.LazyFrame:
    """Numbers of the trades after each chosen one that may have to be looked at, one row each."""
    behind = running.select("symbol", "seq", pl.col("at").alias("behind"), pl.col("traded").alias("until"))
    started = chosen.sort("seq").join_asof(behind, on="seq", by="symbol", check_sortedness=False)
    started = started.with_columns(pl.col("behind").fill_null(-1), pl.col("until").fill_null(0.0))
    far = (pl.col("until") + pl.col("size") * (max(_MULTIPLES) * (1 + _SLACK))).alias("far")
    reached = running.select("symbol", "traded", pl.col("at").alias("last")).sort("traded")
    spans = started.with_columns(far).sort("far").join_asof(
        reached, left_on="far", right_on="traded", by="symbol", strategy="forward", check_sortedness=False
    )  # fmt: skip
    ends = running.group_by("symbol").agg(pl.col("at").max().alias("end_at"))
    spans = spans.join(ends, on="symbol").with_columns(pl.col("last").fill_null(pl.col("end_at")))
    numbers = pl.int_ranges(pl.col("behind") + 1, pl.col("last") + 1).alias("at")
    return spans.select(pl.col("seq").alias("origin"), "symbol", "size", numbers).explode("at").drop_nulls("at")


def _sums(parameters: Parameters, trades: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Chosen trades by multiple, and volume and notional after each of the trades that follow, by multiple."""
    chosen = _chosen(parameters, trades)
    running = _running(parameters, trades, chosen)
    steps = _ahead(chosen, running).join(running, on=["symbol", "at"]).sort("origin", "at")
    sums = steps.with_columns(
        pl.col("qty").cum_sum().over("origin").alias("volume"),
        (pl.col("price") * pl.col("qty")).cum_sum().over("origin").alias("notional"),
    )
    multiples = pl.LazyFrame({"multiple": _MULTIPLES}, schema={"multiple": pl.Int64})
    return chosen.join(multiples, how="cross"), sums.join(multiples, how="cross")


_TARGET: Final = pl.col("multiple") * pl.col("size")


def _until_traded(parameters: Parameters, trades: pl.LazyFrame, _book: pl.LazyFrame) -> pl.LazyFrame:
    chosen, sums = _sums(parameters, trades)
    reached = (
        sums.filter(pl.col("volume") >= _TARGET)
        .group_by("origin", "multiple")
        .agg(pl.col("ts", "notional", "volume").sort_by("at").first())
        .select("multiple", seq="origin", reached="ts", vwap=pl.col("notional") / pl.col("volume"))
    )
    return chosen.join(reached, on=["seq", "multiple"], how="left")


def unambiguous(parameters: Parameters, trades: pl.LazyFrame) -> list[int]:
    """Those of `seqs` whose answer no rounding of sums can change: no sum comes near a multiple of the size."""
    _, sums = _sums(parameters, trades)
    near = (pl.col("volume") - _TARGET).abs() <= _SLACK * pl.col("size")
    doubtful = set(sums.filter(near).select(pl.col("origin").unique()).collect()["origin"])
    return [seq for seq in several(parameters, "seqs") if isinstance(seq, int) and seq not in doubtful]


PLANS: Final[dict[str, Plan]] = {"R17": _until_traded}
