"""What the client does where InfluxQL cannot: puts the answers of statements together. Such results are `partial`.

Each function takes the frames of a text's statements, in their order, and the workload's parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from tracebank_benchmarks.tsdb.workloads import Parameters

Frames = Sequence[pl.DataFrame]
_DAY_NS: Final = 86_400_000_000_000
_MINUTE_NS: Final = 60_000_000_000


@dataclass(frozen=True)
class Finish:
    """The client's part of a read."""

    reason: str
    made: Callable[[Frames, Parameters], pl.DataFrame]


def _mean_beside_volume(frames: Frames, _parameters: Parameters) -> pl.DataFrame:
    volumes, means = frames
    return volumes.join(means.drop("time"), on="symbol")


def _returns_beside_mids(frames: Frames, _parameters: Parameters) -> pl.DataFrame:
    mids, returns = frames
    return mids.join(returns, on=["symbol", "time"], how="left").rename({"time": "bucket"})


def _both_sides(frames: Frames) -> pl.DataFrame:
    """Bids and asks of one row side by side, in the order of seq."""
    first = frames[0]
    rows = first if len(frames) == 1 else first.join(frames[1].drop("time"), on="seq")
    return rows.sort("seq")


def _spreads(frames: Frames, _parameters: Parameters) -> pl.DataFrame:
    spread, middle = pl.col("ask") - pl.col("bid"), pl.col("bid") + pl.col("ask")
    sides = _both_sides(frames)
    return sides.group_by("symbol").agg(spread=spread.mean(), spread_bps=(20_000 * spread / middle).mean())


def _best_of_venues(frames: Frames, _parameters: Parameters) -> pl.DataFrame:
    rows = _both_sides(frames)
    venues = rows["venue"].unique().to_list()
    latest = {
        f"{side}{at}": pl.when(pl.col("venue") == venue).then(pl.col(side)).forward_fill()
        for side in ("bid", "ask")
        for at, venue in enumerate(venues)
    }
    return rows.select("seq", **latest).select(
        "seq",
        best_bid=pl.max_horizontal([name for name in latest if name.startswith("bid")]),
        best_ask=pl.min_horizontal([name for name in latest if name.startswith("ask")]),
    )


def _as_of(frames: Frames, _parameters: Parameters) -> pl.DataFrame:
    trades, book = frames[0], _both_sides(frames[1:])
    latest = book.sort("ts", "seq").unique(["symbol", "ts"], keep="last", maintain_order=True)
    latest = latest.select("symbol", "ts", "bid", "ask", book_seq="seq")
    joined = trades.sort("ts", "seq").join_asof(latest, on="ts", by="symbol", check_sortedness=False)
    return joined.select("seq", "book_seq", "bid", "ask")


def _volume_curve(frames: Frames, _parameters: Parameters) -> pl.DataFrame:
    [volumes] = frames
    day, minute = pl.col("time") // _DAY_NS, pl.col("time") % _DAY_NS // _MINUTE_NS
    shares = volumes.with_columns(
        minute_of_day=minute, share=pl.col("volume") / pl.col("volume").sum().over("symbol", day)
    )
    return shares.group_by("minute_of_day").agg(pl.col("share").mean())


def _imbalances(frames: Frames, _parameters: Parameters) -> pl.DataFrame:
    bid, ask = pl.col("bid"), pl.col("ask")
    minute = pl.col("ts") // _MINUTE_NS * _MINUTE_NS
    return _both_sides(frames).group_by("symbol", minute=minute).agg(imbalance=((bid - ask) / (bid + ask)).mean())


def _correlations(frames: Frames, _parameters: Parameters) -> pl.DataFrame:
    [returns] = frames
    one = returns.select("time", a="symbol", x="log_return")
    other = returns.select("time", b="symbol", y="log_return")
    pairs = one.join(other, on="time").filter(pl.col("a") < pl.col("b")).group_by("a", "b")
    x, y = pl.col("x"), pl.col("y")
    found = pairs.agg(correlation=pl.corr(x, y), n=pl.len(), _x=x.min() < x.max(), _y=y.min() < y.max())
    return found.filter(pl.col("n") >= 2, "_x", "_y").select("a", "b", "correlation", "n")


FINISHED: Final[dict[str, Finish]] = {
    "R1": Finish("the client puts the answers of two statements together", _mean_beside_volume),
    "R5": Finish("InfluxQL carries nothing forward: the client does it over rows read whole", _best_of_venues),
    "R6": Finish("the client puts the answers of two statements together", _returns_beside_mids),
    "R14": Finish("InfluxQL has no as-of join: the client joins rows read whole", _as_of),
    "R18": Finish("InfluxQL divides no sum by another series' sum: the client does, of sums by minute", _volume_curve),
    "R23": Finish("InfluxQL has no correlation: the client takes that of returns by minute", _correlations),
}
"""Reads that both lanes leave to the client."""

FINISHED_PAPER: Final[dict[str, Finish]] = FINISHED | {
    "R4": Finish("InfluxQL joins no bid series with its ask series: the client does, over rows read whole", _spreads),
    "R19": Finish(
        "InfluxQL joins no bid series with its ask series: the client does, over rows read whole", _imbalances
    ),
}
"""Reads of the paper lane that are left to the client."""

UNSUPPORTED: Final[dict[str, str]] = {
    "R17": "InfluxQL has no sum that runs until it reaches a multiple of another row's value",
    "R20": "InfluxQL has no condition inside an expression, which a sweep through levels takes",
    "R21": "InfluxQL compares no row with the one before it, but by difference",
    "R28": "InfluxQL compares no row with the one before it, but by difference",
}
