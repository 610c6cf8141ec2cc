"""A data set on disk: Parquet files per day, rows in order of `seq`, and a manifest that tells what exactly is in them.

Written in bounded memory: rows come in any number of chunks of any order, are put aside, and each slice of time is then
sorted by itself. Where rows come from is `data`'s business.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tracebank_benchmarks.tsdb.oracle.frames import TIME
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES, TRADES

SMALLEST_SCALE: Final = 1e-4
"""Of synthetic data; 1 has the paper's counts, 20 million trades and 33 million book rows."""
UNITS: Final = 100_000_000
"""Ticks and lots in one unit of price and of quantity: sums of whole numbers are the same in any order."""

_SLICE_ROWS: Final = 500_000
"""Rows of a slice of time, about, that are sorted at once."""
_FRAME_ROWS: Final = 262_144
_VALUES: Final = {TRADES.name: ("price", "qty"), BOOK.name: ("bid_price_0", "bid_qty_0")}


@dataclass(slots=True)
class TableCheck:
    """What a load must have kept, exactly."""

    rows: int = 0
    sum_seq: int = 0
    by_symbol: dict[str, int] = field(default_factory=dict)
    """Rows of each symbol."""
    sum_ticks: int = 0
    """Of prices (of the best bid in the book), in hundred-millionths."""
    sum_lots: int = 0
    """Of quantities (of the best bid's in the book), in hundred-millionths."""

    def add(self, table: SeriesTable, frame: pl.DataFrame) -> None:
        """Count more rows; columns seq, symbol and the two values are enough."""
        wide = [(pl.col(name) * UNITS).round().cast(pl.Int128).sum().alias(name) for name in _VALUES[table.name]]
        sums = frame.select(pl.col("seq").cast(pl.Int128).sum(), *wide).row(0)
        self.rows += frame.height
        self.sum_seq, self.sum_ticks, self.sum_lots = (
            had + int(more) for had, more in zip((self.sum_seq, self.sum_ticks, self.sum_lots), sums, strict=True)
        )
        for symbol, rows in frame.group_by("symbol").len().sort("symbol").iter_rows():
            self.by_symbol[symbol] = self.by_symbol.get(symbol, 0) + rows


def check_columns(table: SeriesTable) -> tuple[str, ...]:
    """Columns that `TableCheck` needs."""
    return ("seq", "symbol", *_VALUES[table.name])


def check(table: SeriesTable, frames: Iterable[pa.Table]) -> TableCheck:
    """Check of the rows of frames, to be held against the manifest's."""
    found = TableCheck()
    for frame in frames:
        found.add(table, pl.DataFrame(frame.select(check_columns(table))))
    return found


@dataclass(frozen=True, slots=True)
class DataSet:
    """Files of one data set."""

    folder: Path
    scale: float
    """Scale factor; 0 where the rows are no synthetic ones."""
    rows: dict[str, int]
    """By table."""
    raw_bytes: dict[str, int]
    """Of the Arrow data, by table."""
    checks: dict[str, TableCheck]
    """By table."""
    files: dict[str, tuple[str, ...]]
    """Names in the folder, in order of time, by table."""
    hash: str
    """Of the manifest: equal hashes are equal rows."""

    def paths(self, table: SeriesTable) -> list[Path]:
        """Files of a table, in order of time."""
        return [self.folder / name for name in self.files[table.name]]

    def frames(self, table: SeriesTable) -> Iterator[pa.Table]:
        """Rows of a table in order of seq, block by block."""
        for path in self.paths(table):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_FRAME_ROWS):
                    yield pa.Table.from_batches([batch]).cast(table.arrow_schema)

    def scan(self, table: SeriesTable) -> pl.LazyFrame:
        """Rows of a table, lazily."""
        return pl.scan_parquet(self.paths(table), schema=table.polars_schema)

    def frame(self, table: SeriesTable) -> pl.DataFrame:
        """All rows of a table, in order of seq."""
        return self.scan(table).collect()


def opened(folder: Path) -> DataSet | None:
    """A data set that stands in a folder, or None where there is none or a file of it is missing or cut short."""
    try:
        text = (folder / "manifest.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found = json.loads(text)
    tables: dict[str, Any] = found["tables"]
    for entry in (entry for table in tables.values() for entry in table["files"]):
        path = folder / entry["path"]
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            return None
    return DataSet(
        folder,
        found["scale"],
        {name: table["check"]["rows"] for name, table in tables.items()},
        {name: table["raw_bytes"] for name, table in tables.items()},
        {name: TableCheck(**table["check"]) for name, table in tables.items()},
        {name: tuple(entry["path"] for entry in table["files"]) for name, table in tables.items()},
        hashlib.sha256(text.encode()).hexdigest()[:16],
    )


class DataSetWriter:
    """Writes a data set; it is there as a whole when the `with` block ends well, or not at all."""

    def __init__(self, folder: Path, scale: float, source: Mapping[str, Any]) -> None:
        self._folder = folder
        self._scale = scale
        self._source = source
        self._staged = folder.with_name(f".{folder.name}.part")
        self._aside = self._staged / "aside"
        self._chunks = 0
        self._entries: dict[str, list[dict[str, Any]]] = {table.name: [] for table in TABLES}
        self._checks = {table.name: TableCheck() for table in TABLES}
        self._raw = dict.fromkeys(self._checks, 0)

    def __enter__(self) -> Self:
        shutil.rmtree(self._staged, ignore_errors=True)
        self._aside.mkdir(parents=True)
        return self

    def put(self, table: SeriesTable, rows: pl.DataFrame) -> None:
        """Put rows aside, in any order; `seq` is not needed. Rows that tie in time keep the order they are put in."""
        if rows.height:
            columns = [name for name in table.arrow_schema.names if name != "seq"]
            self._chunks += 1
            rows.select(columns).write_parquet(
                self._aside / f"{table.name}-{self._chunks:07d}.parquet", compression="lz4"
            )

    def lay_out(self) -> None:
        """Write everything that was put aside, which must be later than what was laid out before."""
        for table in TABLES:
            chunks = sorted(self._aside.glob(f"{table.name}-*.parquet"))
            if chunks:
                rows = pl.scan_parquet(chunks)
                days = rows.group_by(pl.col("ts").dt.date().alias("day")).len().sort("day").collect()
                for day, count in days.iter_rows():
                    self._write_day(table, rows, day, count)
            for chunk in chunks:
                chunk.unlink()

    def _write_day(self, table: SeriesTable, rows: pl.LazyFrame, day: date, count: int) -> None:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        inside = rows.filter(pl.col("ts").dt.date() == day)
        path = self._staged / f"{table.name}-{day}.parquet"
        if path.exists():
            raise ValueError(f"day {day} of {table.name} is laid out already: put all rows of a day aside before")
        first, last = inside.select(pl.col("ts").min().alias("a"), pl.col("ts").max().alias("b")).collect().row(0)
        slices = max(1, round(count / _SLICE_ROWS))
        step = ((last - first) // slices) + timedelta(microseconds=1)
        with pq.ParquetWriter(path, table.arrow_schema, compression="zstd") as writer:
            for at in range(slices):
                low = start if at == 0 else first + at * step
                high = start + timedelta(days=1) if at == slices - 1 else first + (at + 1) * step
                window = pl.col("ts").is_between(pl.lit(low, TIME), pl.lit(high, TIME), closed="left")
                self._write_slice(table, rows.filter(window).collect().sort("ts", maintain_order=True), writer)
        self._entries[table.name].append(
            {"path": path.name, "day": str(day), "rows": count, "bytes": path.stat().st_size, "sha256": _digest(path)}
        )

    def _write_slice(self, table: SeriesTable, rows: pl.DataFrame, writer: pq.ParquetWriter) -> None:
        so_far = self._checks[table.name].rows
        numbered = rows.with_columns(seq=pl.int_range(so_far + 1, so_far + 1 + pl.len(), dtype=pl.Int64))
        frame = numbered.select(table.arrow_schema.names)
        self._checks[table.name].add(table, frame)
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(table.arrow_schema)
        self._raw[table.name] += arrow.nbytes
        writer.write_table(arrow)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.lay_out()
                self._finish()
        finally:
            shutil.rmtree(self._staged, ignore_errors=True)

    def _finish(self) -> None:
        empty = [name for name, found in self._checks.items() if not found.rows]
        if empty:
            raise ValueError(f"data set {self._folder.name}: no rows for {', '.join(empty)}")
        shutil.rmtree(self._aside)
        tables = {
            name: {"check": asdict(found), "raw_bytes": self._raw[name], "files": self._entries[name]}
            for name, found in self._checks.items()
        }
        manifest = {"scale": self._scale, "source": dict(self._source), "tables": tables}
        (self._staged / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._staged.rename(self._folder)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
