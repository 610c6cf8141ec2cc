"""The data of the suite: the synthetic exchange at a scale factor, the user's own files or stored days, small data sets
for tests, and what workloads ask of any of them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from tracebank.progress import track
from tracebank.stores.series_store import SeriesStore
from tracebank_benchmarks.tsdb.asked import asked_parameters
from tracebank_benchmarks.tsdb.data_set import DataSet, DataSetWriter, opened
from tracebank_benchmarks.tsdb.examples import edge_parameters, small_data, small_data_sets
from tracebank_benchmarks.tsdb.workloads import Value, Workload
from tracebank_models.market.pipeline import load, source_of
from tracebank_models.market.synthetic_exchange import Instrument, SyntheticMarket, simulate_chunks
from tracebank_schemas import market
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

__all__ = [
    "DataSet",
    "asked_parameters",
    "edge_parameters",
    "example_parameters",
    "from_files",
    "from_store",
    "generate",
    "small_data",
    "small_data_sets",
    "small_set",
]

VERSION: Final = 1
"""Raise where the same scale and seed would give other rows."""

_SMALL: Final = 5_000
_FIRST_DAY: Final = date(2022, 6, 6)
_DAYS: Final = 7
"""A week up to scale 1, and that times the scale above."""
_VENUES: Final = ("synthetic_a", "synthetic_b")
_PRICES: Final = ("20000.00", "1200.00", "300.00", "90.00", "55.00", "1.50", "0.40", "30.00", "8.00", "150.00")
"""At the start of every day; a tick is about a ten-thousandth, as in markets of large ticks."""
_TICKS: Final = ("1.00", "0.10", "0.05", "0.01", "0.01", "0.0002", "0.0001", "0.005", "0.001", "0.02")
_INTERVAL_MS: Final = 250
_BOOK_ROWS: Final = 33_000_000
_TRADES: Final = 20_000_000
_TRADES_PER_ORDER: Final = 1.43
"""Trades that one market order makes, on average, measured."""


def generate(scale: float, folder: Path, *, seed: int = 0) -> DataSet:
    """Return the synthetic exchange's data set of a scale, made if it does not stand in the folder yet.

    Args:
        scale: Above 0; below `SMALLEST_SCALE` there may be a session without a trade.
        folder: Where data sets are kept.
        seed: The same scale and seed give the same rows.

    Raises:
        ValueError: Another scale.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale: {scale!r} is not accepted; allowed: above 0")
    place = synthetic_folder(scale, folder, seed=seed)
    if (standing := opened(place)) is not None:
        return standing
    days = _DAYS * max(1, int(scale))
    markets = [_market(scale, seed, day, days) for day in range(days)]
    with (
        DataSetWriter(place, scale, {"kind": "synthetic", "seed": seed, "version": VERSION}) as writer,
        track(f"making data of scale {scale:g}", days * len(_PRICES) * len(_VENUES)) as step,
    ):
        for day in markets:
            for instrument in day.symbols:
                for venue in day.venues:
                    for chunk in simulate_chunks(day, instrument.symbol, venue):
                        writer.put(TRADES, chunk.trades)
                        writer.put(BOOK, chunk.book)
                    step(1)
            writer.lay_out()
    return _made(place)


def synthetic_folder(scale: float, folder: Path, *, seed: int = 0) -> Path:
    """Return where the data set of a scale stands, or would stand."""
    return folder / f"synthetic-scale-{scale:.15g}-seed-{seed}-v{VERSION}"


def synthetic_rows(scale: float) -> float:
    """Return how many rows a scale has, about."""
    return (_TRADES + _BOOK_ROWS) * scale


def _market(scale: float, seed: int, day: int, days: int) -> SyntheticMarket:
    sessions = days * len(_PRICES) * len(_VENUES)
    seconds = max(1, round(_BOOK_ROWS * scale / sessions * _INTERVAL_MS / 1_000))
    instruments = tuple(
        Instrument(f"SYN{number:02d}", tick_size=tick, base_price=price, mean_order_lots=1_000)
        for number, (price, tick) in enumerate(zip(_PRICES, _TICKS, strict=True))
    )
    return SyntheticMarket(
        symbols=instruments,
        venues=_VENUES,
        day=_FIRST_DAY + timedelta(days=day),
        seed=seed * 1_000 + day,
        duration_s=seconds,
        market_order_rate=_TRADES * scale / sessions / seconds / _TRADES_PER_ORDER,
        snapshot_interval_ms=_INTERVAL_MS,
        streams=("trade", "depth10"),
    )


def from_files(paths: Sequence[Path], folder: Path) -> DataSet:
    """Return a data set of recorded files, of any format that the market group reads.

    Only book rows that are whole, with all ten levels on both sides, are taken; `seq` is given anew.

    Args:
        paths: The files.
        folder: Where data sets are kept.

    Raises:
        ValueError: No trades, or no whole book rows, are in the files.
        UnknownFormatError: A file looks like none of the formats.
        OSError: A file cannot be opened or read.
    """
    sources = [source_of(path) for path in paths]
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths)]
    place = folder / f"files-{hashlib.sha256(repr((facts, VERSION)).encode()).hexdigest()[:16]}"
    if (standing := opened(place)) is not None:
        return standing
    names = [name for name, _, _ in facts]
    with (
        DataSetWriter(place, 0.0, {"kind": "files", "files": names, "version": VERSION}) as writer,
        track("reading files", sum(size for _, size, _ in facts)) as step,
    ):
        path = None
        for chunk in load(sources, tables=("trades", "book")):
            _put(writer, chunk.batches)
            if chunk.path != path:
                path = chunk.path
                step(path.stat().st_size)
    return _made(place)


def from_store(store: SeriesStore, days: Sequence[date], folder: Path) -> DataSet:
    """Return a data set of days that the platform's store holds, as `from_files` takes rows; always read anew.

    Args:
        store: The series store, with the market tables.
        days: UTC days.
        folder: Where data sets are kept.

    Raises:
        ValueError: The days have no trades, or no whole book rows.
        StoreError: The store has no such tables.
    """
    place = folder / f"stored-{min(days)}-{max(days)}"
    with (
        DataSetWriter(place, 0.0, {"kind": "stored", "days": [str(day) for day in days]}) as writer,
        track("reading stored days", len(days)) as step,
    ):
        for day in sorted(set(days)):
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            for table in (market.TRADES, market.BOOK):
                for batch in store.read_batches(table, start=start, end=start + timedelta(days=1)):
                    _put(writer, {table.name: pl.DataFrame(batch)})
            writer.lay_out()
            step(1)
    return _made(place)


def _put(writer: DataSetWriter, batches: dict[str, pl.DataFrame]) -> None:
    if "trades" in batches:
        writer.put(TRADES, batches["trades"])
    if "book" in batches:
        levels = [column.name for column in BOOK.columns[4:]]
        writer.put(BOOK, batches["book"].filter(pl.col("state") == "whole").drop_nulls(levels))


def _made(place: Path) -> DataSet:
    found = opened(place)
    assert found is not None
    return found


def small_set(folder: Path, *, scale: float = 0.01, seed: int = 0) -> DataSet:
    """Return the small data of a seed as a data set in a folder, passed off as one of a scale.

    Args:
        folder: The data set's own.
        scale: What the data set says of itself.
        seed: As `small_data` takes it.
    """
    if (standing := opened(folder)) is not None:
        return standing
    with DataSetWriter(folder, scale, {"kind": "small", "seed": seed}) as writer:
        for table, rows in zip((TRADES, BOOK), small_data(seed), strict=True):
            writer.put(table, rows)
    return _made(folder)


def example_parameters(workload: Workload, trades: pl.DataFrame, book: pl.DataFrame, seed: int) -> dict[str, Value]:
    """Return parameters of a workload: of a small data set such as tests have, edges; of a large one, what runs ask.

    Args:
        workload: The question.
        trades: The data set's trades, not empty, in order of seq.
        book: Its book rows, not empty, in order of seq.
        seed: The same seed gives the same parameters.
    """
    make = edge_parameters if trades.height < _SMALL else asked_parameters
    return make(workload, trades, book, seed)
