"""Parameters that a run asks a large data set with: the windows, thresholds and choices of the benchmarks that each
workload comes from, drawn from the data by seed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import numpy as np
import polars as pl

from tracebank_benchmarks.tsdb.oracle.frames import TIME, asked
from tracebank_benchmarks.tsdb.oracle.multiples import unambiguous
from tracebank_benchmarks.tsdb.workloads import Parameters, Value, Workload
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
"""Lengths of windows; a day where nothing is named here."""
_ONE_SYMBOL: Final = ("R1", "R2")
_OF_BOTH: Final = ("R13", "R14")
_OF_BOOK: Final = ("R3", "R4", "R5", "R6", "R8", "R10", "R15", "R19", "R20", "R21", "R25")
"""What the others are about is trades."""
_OFF_GRID: Final = 5e-10
"""Added to sizes that sums are held against, so that no sum of lots meets them exactly."""


def asked_parameters(workload: Workload, trades: pl.DataFrame, book: pl.DataFrame, seed: int) -> dict[str, Value]:
    """Return the parameters of a workload for a run: of where the data are busiest, so that there is work to do.

    Args:
        workload: The question.
        trades: The data set's trades, in order of seq.
        book: Its book rows, in order of seq.
        seed: The same seed gives the same parameters.
    """
    random = np.random.default_rng([seed, *workload.id.encode()])
    rows = [frame.select("symbol", "venue", "ts") for frame in _tables(workload, trades, book)]
    start, end = _window(workload, rows, random)
    inside = [frame.filter(_between(start, end)) for frame in rows]
    ranked = _most(inside, "symbol", "venue")
    symbols = ranked["symbol"].unique(maintain_order=True).to_list()[:_MOST_SYMBOLS]
    makers: dict[str, Callable[[], Value]] = {
        "symbols": lambda: tuple(symbols[:1] if workload.id in _ONE_SYMBOL else symbols),
        "symbol": lambda: symbols[0],
        "venue": lambda: ranked["venue"][0],
        "start": lambda: start,
        "end": lambda: end,
        "price": lambda: _high(trades.filter(_between(start, end), pl.col("symbol") == symbols[0])["price"]),
        "qty": lambda: _qty(workload, trades.filter(_between(start, end)), book, symbols[0]),
        "length": lambda: _RUN_LENGTH,
        "seqs": lambda: _seqs(trades, start, end, random),
        "moments": lambda: _moments(trades, symbols, random),
    }
    return {name: makers[name]() for name in workload.parameters}


def rows_asked(workload: Workload, parameters: Parameters, trades: pl.DataFrame, book: pl.DataFrame) -> int:
    """Rows of the symbols, the venue and the window that a question names, in the tables that it is about."""
    named = dict(parameters)
    if "moments" in named:
        named["symbols"] = tuple({symbol for symbol, _ in cast("tuple[tuple[str, datetime], ...]", named["moments"])})
    frames = _tables(workload, trades, book)
    return sum(asked(named, frame.lazy()).select(pl.len()).collect().item() for frame in frames)


def _tables(workload: Workload, trades: pl.DataFrame, book: pl.DataFrame) -> list[pl.DataFrame]:
    """The tables that a question is about."""
    if workload.id in _OF_BOTH:
        return [trades, book]
    return [book] if workload.id in _OF_BOOK else [trades]


def _between(start: datetime, end: datetime) -> pl.Expr:
    return pl.col("ts").is_between(pl.lit(start, TIME), pl.lit(end, TIME), closed="left")


def _most(frames: list[pl.DataFrame], *by: str | pl.Expr) -> pl.DataFrame:
    """Groups that all frames have, those with the most rows first; of two tables the product counts, so that neither is
    nearly empty. Where they have no group in common, those of the first.
    """
    counts = [frame.group_by(*by).len("rows") for frame in frames]
    names = [name for name in counts[0].columns if name != "rows"]
    found = counts[0].with_columns(pl.col("rows").cast(pl.Float64))
    for other in counts[1:]:
        joined = found.join(other, on=names, suffix="_2").with_columns(pl.col("rows") * pl.col("rows_2"))
        found = joined.select(*names, "rows") if joined.height else found
    return found.sort(["rows", *names], descending=[True, *(False for _ in names)])


def _utc(moment: object) -> datetime:
    assert isinstance(moment, datetime)
    return moment.astimezone(UTC)


def _ends(rows: pl.DataFrame) -> tuple[datetime, datetime]:
    stamps = rows["ts"].dt.cast_time_unit("us")
    return _utc(stamps.min()), _utc(stamps.max())


def _window(workload: Workload, rows: list[pl.DataFrame], random: np.random.Generator) -> tuple[datetime, datetime]:
    if workload.id == "R16":  # any second of the first half of the busiest hour
        hour = _busiest(rows, "1h", timedelta(hours=1))
        first, last = _ends(rows[0].filter(_between(hour, hour + timedelta(hours=1))))
        start = first.replace(microsecond=0) + timedelta(seconds=int(random.integers(1, max(2, _half(first, last)))))
        return start, start + _WINDOWS["R16"]
    if workload.id == "R15":
        start = _busiest(rows, "1h", _WINDOWS["R15"])
        return start, start + _WINDOWS["R15"]
    day = _busiest(rows, "1d", timedelta(days=1))
    if workload.id == "R26":  # half a minute before the last minute of the busiest day
        _, last = _ends(rows[0].filter(_between(day, day + timedelta(days=1))))
        return _ends(rows[0])[0], last - (last - day) % timedelta(minutes=1) - timedelta(seconds=30)
    length = _WINDOWS.get(workload.id, timedelta(days=1))
    start = day if length == timedelta(days=1) else _busiest(rows, "1d", length)
    return start, start + length


def _half(first: datetime, last: datetime) -> int:
    return int((last - first).total_seconds()) // 2


def _busiest(rows: list[pl.DataFrame], every: str, length: timedelta) -> datetime:
    """Start of the window of a length that has the most rows, on the clock's days or hours; the first of equals."""
    found = _most(rows, pl.col("ts").dt.truncate(every)).sort("ts")
    starts = [_utc(at) for at in found["ts"].dt.cast_time_unit("us")]
    sizes = found["rows"].to_list()
    totals = {at: sum(n for t, n in zip(starts, sizes, strict=True) if at <= t < at + length) for at in starts}
    return max(totals, key=lambda at: (totals[at], -at.timestamp()))


def _high(values: pl.Series) -> float:
    """A high value that some are above, where there are two values."""
    value = values.quantile(_HIGH, "nearest")
    assert value is not None
    below = values.filter(values < cast("float", values.max()))
    return min(value, cast("float", below.max())) if below.len() else value


def _qty(workload: Workload, inside: pl.DataFrame, book: pl.DataFrame, symbol: str) -> float:
    if workload.id != "R20":
        return round(_high(inside["qty"]), 8)
    depth = pl.sum_horizontal(pl.col(f"ask_qty_{level}") for level in range(BOOK_DEPTH))
    value = book.lazy().filter(pl.col("symbol") == symbol).select(depth.quantile(0.25)).collect().item()
    return round(float(value), 8) + _OFF_GRID


def _seqs(trades: pl.DataFrame, start: datetime, end: datetime, random: np.random.Generator) -> tuple[int, ...]:
    """Trades of the window's first half whose answer no rounding can change, none smaller than the median."""
    inside = trades.filter(_between(start, end))
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
