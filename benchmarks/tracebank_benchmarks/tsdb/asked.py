"""Parameters that a run asks a large data set with: the windows, thresholds and choices of the benchmarks that each
workload comes from, drawn from the data by seed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from tracebank_benchmarks.tsdb.oracle.frames import TIME
from tracebank_benchmarks.tsdb.oracle.multiples import unambiguous
from tracebank_benchmarks.tsdb.workloads import Value, Workload
from tracebank_schemas.market import BOOK_DEPTH

_MOST_SYMBOLS: Final = 20
_MOMENTS: Final = 100
_SEQS: Final = 100
_RUN_LENGTH: Final = 5
_HIGH: Final = 0.99
"""Quantile above which prices and sizes are high (TSBS high-cpu)."""
_WINDOWS: Final = {
    "R3": timedelta(days=7),
    "R15": timedelta(hours=4),
    "R16": timedelta(hours=1),
    "R18": timedelta(days=20),
}
"""From the start of the data; a day where nothing is named here."""
_ONE_SYMBOL: Final = ("R1", "R2")
_OFF_GRID: Final = 5e-10
"""Added to sizes that sums are held against, so that no sum of lots meets them exactly."""


def asked_parameters(workload: Workload, trades: pl.DataFrame, book: pl.DataFrame, seed: int) -> dict[str, Value]:
    """Return the parameters of a workload for a run.

    Args:
        workload: The question.
        trades: The data set's trades, in order of seq.
        book: Its book rows, in order of seq.
        seed: The same seed gives the same parameters.
    """
    random = np.random.default_rng([seed, *workload.id.encode()])
    counts = trades.group_by("symbol", "venue").len().sort(["len", "symbol", "venue"], descending=[True, False, False])
    symbols = counts["symbol"].unique(maintain_order=True).to_list()[:_MOST_SYMBOLS]
    start, end = _window(workload, trades, random)
    makers: dict[str, Callable[[], Value]] = {
        "symbols": lambda: tuple(symbols[:1] if workload.id in _ONE_SYMBOL else symbols),
        "symbol": lambda: counts["symbol"][0],
        "venue": lambda: counts["venue"][0],
        "start": lambda: start,
        "end": lambda: end,
        "price": lambda: _price(trades, counts["symbol"][0], start, end),
        "qty": lambda: _qty(workload, trades, book, counts["symbol"][0]),
        "length": lambda: _RUN_LENGTH,
        "seqs": lambda: _seqs(trades, start, end, random),
        "moments": lambda: _moments(trades, symbols, random),
    }
    return {name: makers[name]() for name in workload.parameters}


def _utc(moment: object) -> datetime:
    assert isinstance(moment, datetime)
    return moment.astimezone(UTC)


def _ends(trades: pl.DataFrame) -> tuple[datetime, datetime]:
    stamps = trades["ts"].dt.cast_time_unit("us")
    return _utc(stamps.min()), _utc(stamps.max())


def _window(workload: Workload, trades: pl.DataFrame, random: np.random.Generator) -> tuple[datetime, datetime]:
    first, last = _ends(trades)
    day = datetime(first.year, first.month, first.day, tzinfo=UTC)
    if workload.id == "R16":  # any second from which on the first day has rows: the first and the last minute are cut
        of_day = trades.filter(pl.col("ts") < pl.lit(day + timedelta(days=1), TIME))
        seconds = int((_ends(of_day)[1] - first).total_seconds()) // 2
        start = first.replace(microsecond=0) + timedelta(seconds=int(random.integers(1, max(2, seconds))))
        return start, start + _WINDOWS["R16"]
    if workload.id == "R15":
        start = first.replace(minute=0, second=0, microsecond=0)
        return start, start + _WINDOWS["R15"]
    if workload.id == "R26":
        return first, last - (last - day) % timedelta(minutes=1) - timedelta(seconds=30)
    return day, day + _WINDOWS.get(workload.id, timedelta(days=1))


def _price(trades: pl.DataFrame, symbol: str, start: datetime, end: datetime) -> float:
    mine = trades.filter(pl.col("symbol") == symbol, pl.col("ts").is_between(start, end, closed="left"))
    value = mine["price"].quantile(_HIGH, "nearest")
    assert value is not None
    return value


def _qty(workload: Workload, trades: pl.DataFrame, book: pl.DataFrame, symbol: str) -> float:
    if workload.id != "R20":
        value = trades["qty"].quantile(_HIGH, "nearest")
    else:
        depth = pl.sum_horizontal(pl.col(f"ask_qty_{level}") for level in range(BOOK_DEPTH))
        value = book.lazy().filter(pl.col("symbol") == symbol).select(depth.quantile(0.25)).collect().item()
    assert value is not None
    return round(float(value), 8) + (_OFF_GRID if workload.id == "R20" else 0.0)


def _seqs(trades: pl.DataFrame, start: datetime, end: datetime, random: np.random.Generator) -> tuple[int, ...]:
    """Trades of the window's first half whose answer no rounding can change, none smaller than the median."""
    inside = trades.filter(pl.col("ts").is_between(start, end, closed="left"))
    half = inside.head(inside.height // 2)
    large = half.filter(pl.col("qty") >= pl.col("qty").median())["seq"].to_numpy()
    drawn = random.choice(large, size=min(4 * _SEQS, len(large)), replace=False)
    chosen: dict[str, Value] = {"seqs": tuple(int(seq) for seq in drawn), "end": end}
    return tuple(unambiguous(chosen, inside.lazy())[:_SEQS])


def _moments(trades: pl.DataFrame, symbols: list[str], random: np.random.Generator) -> tuple[tuple[str, datetime], ...]:
    """Any symbol, within a second after any trade."""
    drawn = random.integers(0, trades.height, _MOMENTS)
    after = random.integers(0, 1_000, _MOMENTS)
    stamps = trades["ts"].dt.cast_time_unit("us").gather(drawn.tolist())
    names = random.integers(0, len(symbols), _MOMENTS)
    moments = (_utc(stamp) + timedelta(milliseconds=int(late)) for stamp, late in zip(stamps, after, strict=True))
    return tuple(dict.fromkeys((symbols[int(name)], at) for name, at in zip(names, moments, strict=True)))
