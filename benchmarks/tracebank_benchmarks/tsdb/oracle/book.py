"""Reads of the book alone: spreads, best prices, depth, sweeps and flow."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Final

import polars as pl

from tracebank_benchmarks.tsdb.oracle.frames import Plan, asked, bucket, number
from tracebank_benchmarks.tsdb.workloads import Parameters
from tracebank_schemas.market import BOOK_DEPTH

_BID: Final = pl.col("bid_price_0")
_ASK: Final = pl.col("ask_price_0")
_SPREAD: Final = _ASK - _BID
MID: Final = (_BID + _ASK) / 2
_IMBALANCE_LEVELS: Final = 5


def _highest_bid(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    return asked(parameters, book).group_by("symbol").agg(_BID.max().alias("highest_bid"))


def _mean_spread(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    return asked(parameters, book).group_by("symbol").agg(
        _SPREAD.mean().alias("spread"), (1e4 * (_SPREAD / MID).mean()).alias("spread_bps")
    )  # fmt: skip


def _best_of_venues(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    rows = asked(parameters, book).select("seq", "venue", "bid_price_0", "ask_price_0").sort("seq")
    venues = rows.select(pl.col("venue").unique()).collect()["venue"].sort().to_list()

    def latest(side: str) -> list[pl.Expr]:
        return [pl.when(pl.col("venue") == venue).then(pl.col(side)).forward_fill() for venue in venues]

    if not venues:
        return rows.select("seq", best_bid="bid_price_0", best_ask="ask_price_0")
    return rows.select(
        "seq",
        best_bid=pl.max_horizontal(latest("bid_price_0")),
        best_ask=pl.min_horizontal(latest("ask_price_0")),
    )


def _weighted_bid(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    qty = pl.col("bid_qty_0")
    return asked(parameters, book).group_by("symbol").agg(((_BID * qty).sum() / qty.sum()).alias("vwab"))


def _imbalance(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    bids, asks = (
        reduce(add, (pl.col(f"{side}_qty_{level}") for level in range(_IMBALANCE_LEVELS))) for side in ("bid", "ask")
    )
    share = (bids - asks) / (bids + asks)
    return asked(parameters, book).group_by("symbol", bucket("1m", "minute")).agg(share.mean().alias("imbalance"))


def _sweep(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    wanted = pl.lit(float(number(parameters, "qty")))
    held: pl.Expr = pl.lit(0.0)
    cost: pl.Expr = pl.lit(0.0)
    for level in range(BOOK_DEPTH):
        here = pl.col(f"ask_qty_{level}")
        taken = pl.min_horizontal(here, pl.max_horizontal(wanted - held, pl.lit(0.0)))
        cost = cost + taken * pl.col(f"ask_price_{level}")
        held = held + here
    return asked(parameters, book).select("seq", pl.when(held >= wanted).then(cost / wanted).alias("mean_price"))


def _flow(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    names = ("bid_price_0", "bid_qty_0", "ask_price_0", "ask_qty_0")
    rows = asked(parameters, book).select("seq", "ts", *names).sort("seq")
    moved = rows.with_columns(pl.col(names).shift(1).name.prefix("before_")).slice(1)
    bid, bid_qty, ask, ask_qty = map(pl.col, names)
    bid_, bid_qty_, ask_, ask_qty_ = (pl.col(f"before_{name}") for name in names)
    event = (
        (bid >= bid_).cast(pl.Float64) * bid_qty
        - (bid <= bid_).cast(pl.Float64) * bid_qty_
        - (ask <= ask_).cast(pl.Float64) * ask_qty
        + (ask >= ask_).cast(pl.Float64) * ask_qty_
    )
    return moved.group_by(bucket("1s", "second")).agg(event.sum().alias("flow"))


def _hourly_spread(parameters: Parameters, _trades: pl.LazyFrame, book: pl.LazyFrame) -> pl.LazyFrame:
    return asked(parameters, book).group_by("symbol", bucket("1h", "hour")).agg(_SPREAD.mean().alias("spread"))


PLANS: Final[dict[str, Plan]] = {
    "R3": _highest_bid,
    "R4": _mean_spread,
    "R5": _best_of_venues,
    "R15": _weighted_bid,
    "R19": _imbalance,
    "R20": _sweep,
    "R21": _flow,
    "R25": _hourly_spread,
}
