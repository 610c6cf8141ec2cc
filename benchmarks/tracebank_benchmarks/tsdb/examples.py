"""Small data sets with everything that engines disagree about, and parameters that ask for it.

The sizes and prices are binary fractions, so that sums are exact in any order and "at least" means the same everywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_benchmarks.tsdb.workloads import Value, Workload
from tracebank_schemas.market import BOOK_DEPTH
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

SYMBOLS: Final = ("BTC-USD", "O'NEIL", "eth", "ONCE")
"""The last one has one trade and no book row."""
VENUES: Final = ("venue_a", "b", "Ç two")
_DAYS: Final = (datetime(2024, 8, 8, tzinfo=UTC), datetime(2024, 8, 9, tzinfo=UTC), datetime(2024, 8, 11, tzinfo=UTC))
_MINUTES: Final = np.array([0, 1, 2, 5, 6, 59, 60, 719, 1438, 1439])
"""Minutes of a day that have rows: the first and the last, neighbours, and gaps between."""
_FIRST_SEQ: Final = 5_000_000_000
_MS: Final = timedelta(milliseconds=1)

Rows = tuple[pl.DataFrame, pl.DataFrame]
"""Trades and book."""


def small_data(seed: int, rows: int = 300) -> Rows:
    """Return trades and book rows in time order: ties of one millisecond within and across symbols and venues, days and
    minutes without rows, buckets of one row, rows on the edges of days, runs of equal price, locked and crossed venues.

    Args:
        seed: The same seed gives the same rows.
        rows: Trades; there are as many and a half book rows.
    """
    random = np.random.default_rng(seed)
    key = _key(random, rows)
    key = key.with_columns(
        symbol=pl.when(pl.int_range(pl.len()) == rows // 3).then(pl.lit(SYMBOLS[-1])).otherwise("symbol")
    )
    trades = key.with_columns(
        price=pl.Series(_walk(random, rows)),
        qty=pl.Series(random.integers(1, 32, rows) / 8),
        side=pl.Series(random.integers(0, 2, rows)).replace_strict({0: "buy", 1: "sell"}, return_dtype=pl.String),
    )
    book = _levels(random, _key(random, rows + rows // 2))
    return (
        trades.select(TRADES.arrow_schema.names).cast(TRADES.polars_schema),
        book.select(BOOK.arrow_schema.names).cast(BOOK.polars_schema),
    )


def _key(random: np.random.Generator, rows: int) -> pl.DataFrame:
    day = np.array([int(day.timestamp() * 1000) for day in _DAYS])[random.integers(0, len(_DAYS), rows)]
    within = np.where(random.random(rows) < 0.5, random.integers(0, 4, rows), random.integers(0, 60_000, rows))
    within = np.where(random.random(rows) < 0.1, 59_999, within)
    stamps = np.sort(day + _MINUTES[random.integers(0, len(_MINUTES), rows)] * 60_000 + within)
    names = pl.Series(random.integers(0, len(SYMBOLS) - 1, rows)), pl.Series(random.integers(0, len(VENUES), rows))
    return pl.DataFrame(
        {
            "ts": pl.Series(stamps * 1_000_000, dtype=pl.Int64).cast(pl.Datetime("ns", "UTC")),
            "symbol": names[0].replace_strict(dict(enumerate(SYMBOLS)), return_dtype=pl.String),
            "venue": names[1].replace_strict(dict(enumerate(VENUES)), return_dtype=pl.String),
            "seq": pl.Series(_FIRST_SEQ + np.cumsum(random.integers(1, 4, rows)), dtype=pl.Int64),
        }
    )


def _walk(random: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Prices from 100 to 108 that mostly stand still."""
    moves = np.where(random.random(rows) < 0.6, 0, random.integers(-2, 3, rows))
    return np.asarray(100 + 0.25 * np.abs((np.cumsum(moves) + 16) % 64 - 32), np.float64)


def _levels(random: np.random.Generator, key: pl.DataFrame) -> pl.DataFrame:
    rows = key.height
    best = _walk(random, rows) + 0.25 * random.integers(0, 2, rows)
    columns: dict[str, NDArray[np.float64]] = {}
    for side, sign in (("bid", -1), ("ask", 1)):
        price = best + (0.25 * random.integers(1, 3, rows) if sign > 0 else 0)
        for level in range(BOOK_DEPTH):
            columns[f"{side}_price_{level}"] = price
            columns[f"{side}_qty_{level}"] = random.integers(1, 17, rows) / 8
            price = price + sign * 0.25 * random.integers(1, 3, rows)
    return key.with_columns(**{name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()})


def small_data_sets(most_rows: int = 120) -> SearchStrategy[Rows]:
    """Hypothesis strategy of small data sets, from one row upwards."""
    from hypothesis import strategies as st

    return st.builds(small_data, st.integers(0, 2**32), st.integers(2, most_rows))


def edge_parameters(workload: Workload, trades: pl.DataFrame, book: pl.DataFrame, seed: int) -> dict[str, Value]:
    """Return parameters of a workload for a small data set: windows that start and end on rows or between, thresholds
    that rows meet exactly, symbols that have no rows.

    Args:
        workload: The question.
        trades: The data set's trades, not empty.
        book: Its book rows, not empty.
        seed: The same seed gives the same parameters.
    """
    random = np.random.default_rng(seed)
    every = _parameters(random, trades, book, workload)
    return {name: every[name] for name in workload.parameters}


def _parameters(
    random: np.random.Generator, trades: pl.DataFrame, book: pl.DataFrame, workload: Workload
) -> dict[str, Value]:
    start, end = sorted(_instant(random, trades, book) for _ in range(2))
    if random.random() < 0.5:
        start, end = _DAYS[0], _DAYS[-1] + timedelta(days=1)
    depth = book.select(pl.sum_horizontal(pl.col(f"ask_qty_{level}") for level in range(BOOK_DEPTH))).to_series()
    sizes = depth if workload.id == "R20" else trades["qty"]
    taken = random.choice(SYMBOLS, size=int(random.integers(1, len(SYMBOLS) + 1)), replace=False)
    seqs = random.choice(trades["seq"].to_numpy(), size=min(8, trades.height), replace=False)
    return {
        "symbols": tuple(str(symbol) for symbol in taken),
        "symbol": str(random.choice(SYMBOLS[:-1])),
        "venue": str(random.choice(VENUES)),
        "start": start,
        "end": end,
        "price": float(random.choice(trades["price"].to_numpy())),
        "qty": float(random.choice(sizes.to_numpy())) + float(random.choice([0.0, -0.125, 0.0625])),
        "length": int(random.integers(1, 5)),
        "seqs": tuple(int(seq) for seq in seqs),
        "moments": tuple({(str(random.choice(SYMBOLS)), _instant(random, trades, book)): None for _ in range(12)}),
    }


def _instant(random: np.random.Generator, trades: pl.DataFrame, book: pl.DataFrame) -> datetime:
    """The time of a row, or just before or after it, or a time in between."""
    stamps = (trades if random.random() < 0.5 else book)["ts"]
    at = stamps.dt.cast_time_unit("us")[int(random.integers(0, len(stamps)))]
    assert isinstance(at, datetime)
    return at + _MS * int(random.choice([0, 0, -1, 1, int(random.integers(0, 3_600_000))]))
