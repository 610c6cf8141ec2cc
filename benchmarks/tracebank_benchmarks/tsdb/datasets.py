"""The suite's data at a scale factor: days of the synthetic exchange, written once as Arrow files that engines map.

Scale 1 is the paper's counts, 20 million trades and 33 million ten-level book rows. What is asked of the data, and the
small frames of tests, stand in `data`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa

from tracebank.progress import track
from tracebank_models.market.synthetic_exchange import Instrument, SyntheticMarket, simulate_chunks
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES, TRADES

SCALES: Final = (0.01, 0.1, 1.0, 10.0)
"""Scale factors that can be asked for."""
PAPER_TRADES: Final = 20_000_000
PAPER_BOOK_ROWS: Final = 33_000_000
VERSION: Final = 1
"""Raise when the same scale and seed would give other rows."""

_DAYS: Final = 5
_FIRST_DAY: Final = date(2022, 6, 6)
_VENUES: Final = ("synthetic_a", "synthetic_b")
_SYMBOLS: Final = 4
_INTERVAL_MS: Final = {0.01: 1_000, 0.1: 250, 1.0: 100, 10.0: 100}
_TRADES_PER_ORDER: Final = 1.43
"""Trades that one market order of the exchange makes, on average."""
_BATCH_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Dataset:
    """Files of one data set; rows in order of `seq`."""

    folder: Path
    scale: float
    rows: dict[str, int]
    """By table."""
    raw_bytes: dict[str, int]
    """Of the Arrow data, by table."""
    hash: str
    """Of the manifest: equal hashes are equal rows."""

    def frames(self, table: SeriesTable) -> Iterator[pa.Table]:
        """Rows of a table, block by block, mapped and not copied."""
        with pa.memory_map(str(self.folder / f"{table.name}.arrow")) as source:
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                yield pa.Table.from_batches([reader.get_batch(index)])

    def frame(self, table: SeriesTable) -> pl.DataFrame:
        """All rows of a table."""
        return pl.read_ipc(self.folder / f"{table.name}.arrow")


def dataset(scale: float, seed: int, folder: Path) -> Dataset:
    """The data set of a scale and seed: made if it is not there yet.

    Args:
        scale: one of `SCALES`.
        seed: of the exchange.
        folder: where data sets are kept.

    Raises:
        ValueError: another scale.
    """
    if scale not in _INTERVAL_MS:
        raise ValueError(f"scale: {scale!r} is not known; allowed: {', '.join(f'{known:g}' for known in SCALES)}")
    place = folder / f"scale={scale:g}-seed={seed}-v{VERSION}"
    if (place / "manifest.json").exists():
        return opened(place)
    return write(place, _days(scale, seed), scale, {"seed": seed, "version": VERSION})


def write(place: Path, days: Iterable[dict[str, pl.DataFrame]], scale: float, facts: dict[str, Any]) -> Dataset:
    """Write frames, by table, as a data set; it is there as a whole or not at all."""
    staged = place.with_name(f".{place.name}.part")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    writers = {t.name: pa.ipc.new_file(str(staged / f"{t.name}.arrow"), t.arrow_schema) for t in TABLES}
    rows, sizes = dict.fromkeys(writers, 0), dict.fromkeys(writers, 0)
    for frames in days:
        for table in TABLES:
            arrow = frames[table.name].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(table.arrow_schema)
            batch_rows = max(1, int(_BATCH_BYTES / max(1.0, arrow.nbytes / max(1, arrow.num_rows))))
            writers[table.name].write_table(arrow, max_chunksize=batch_rows)
            rows[table.name] += arrow.num_rows
            sizes[table.name] += arrow.nbytes
    for writer in writers.values():
        writer.close()
    files = {name: _digest(staged / f"{name}.arrow") for name in writers}
    manifest = {"scale": scale, "rows": rows, "raw_bytes": sizes, "sha256": files, **facts}
    (staged / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    staged.rename(place)
    return opened(place)


def opened(place: Path) -> Dataset:
    """A data set that was written before."""
    text = (place / "manifest.json").read_text(encoding="utf-8")
    found = json.loads(text)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Dataset(place, found["scale"], found["rows"], found["raw_bytes"], key)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _market(scale: float, seed: int, day: int) -> SyntheticMarket:
    interval = _INTERVAL_MS[scale]
    symbols = _SYMBOLS * (10 if scale > 1 else 1)
    sessions = symbols * len(_VENUES) * _DAYS
    seconds = int(PAPER_BOOK_ROWS * scale / sessions * interval / 1_000)
    instruments = tuple(
        Instrument(f"SYN{number:02d}", tick_size="0.05", base_price=f"{500 + 700 * number}.00", mean_order_lots=1_000)
        for number in range(symbols)
    )
    return SyntheticMarket(
        symbols=instruments,
        venues=_VENUES,
        day=_FIRST_DAY + timedelta(days=day),
        seed=seed * _DAYS + day,
        duration_s=seconds,
        market_order_rate=PAPER_TRADES * scale / sessions / seconds / _TRADES_PER_ORDER,
        snapshot_interval_ms=interval,
        streams=("trade", "depth10"),
    )


def _days(scale: float, seed: int) -> Iterator[dict[str, pl.DataFrame]]:
    """Days in order, each with its rows in order of time; `seq` counts on from day to day."""
    first = dict.fromkeys((table.name for table in TABLES), 0)
    with track(f"making data of scale {scale:g}", _DAYS * _SYMBOLS * len(_VENUES) * (10 if scale > 1 else 1)) as step:
        for number in range(_DAYS):
            market = _market(scale, seed, number)
            parts: dict[str, list[pl.DataFrame]] = {TRADES.name: [], BOOK.name: []}
            for instrument in market.symbols:
                for venue in market.venues:
                    for chunk in simulate_chunks(market, instrument.symbol, venue):
                        parts[TRADES.name].append(_columns(chunk.trades, TRADES))
                        parts[BOOK.name].append(_columns(chunk.book, BOOK))
                    step(1)
            day = {table.name: _in_order(parts.pop(table.name), table, first[table.name]) for table in TABLES}
            for name, frame in day.items():
                first[name] += frame.height
            yield day


def _columns(frame: pl.DataFrame, table: SeriesTable) -> pl.DataFrame:
    return frame.select(table.arrow_schema.names)


def _in_order(parts: list[pl.DataFrame], table: SeriesTable, first: int) -> pl.DataFrame:
    frame = pl.concat(parts).sort("ts", maintain_order=True)
    seq = pl.int_range(first + 1, first + 1 + pl.len(), dtype=pl.Int64).alias("seq")
    return frame.with_columns(seq).cast(table.polars_schema)
