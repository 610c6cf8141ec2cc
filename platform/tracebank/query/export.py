"""Tables of both stores as a folder of Parquet files, which DuckDB, Polars and pandas open: a file a partition.

Partitions lie in folders named as Hive names them (`day=2024-08-08/symbol=BTCUSDT`). A file is written beside its place
and moved there whole, so that the same export again ends in the same folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from tracebank.progress import track
from tracebank.query.connection import Connection
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import open_series
from tracebank.stores.series_store import SeriesStore
from tracebank_schemas.catalogue import METADATA, TABLES
from tracebank_schemas.series import SeriesTable

_GROUP_ROWS: Final = 131_072


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one table."""

    table: str
    files: int
    rows: int
    bytes: int


def known_tables() -> list[str]:
    """Names that an export may be asked for."""
    return [f"series.{name}" for name in TABLES] + [f"relational.{name}" for name in METADATA.tables]


def export(
    settings: Settings, folder: Path, names: Sequence[str], partition: Mapping[str, str] | None = None
) -> list[Exported]:
    """Write tables into a folder.

    Args:
        settings: where the stores are.
        folder: made if need be.
        names: as `known_tables` gives them; all where none is given.
        partition: only partitions whose keys have these values, as text.

    Raises:
        StoreError: a table or a key is not known, nothing is there to export, or a file cannot be written.
    """
    chosen = list(names) or known_tables()
    if unknown := [name for name in chosen if name not in known_tables()]:
        raise StoreError(f"table {unknown[0]!r} is not known; 'tracebank tables' lists them, e.g. series.trades")
    wanted = dict(partition or {})
    done = []
    try:
        with track("export", len(chosen)) as advance:
            for name in chosen:
                database, _, table = name.partition(".")
                place = folder / database / table
                if database == "series":
                    done.append(_series(open_series(settings), TABLES[table], place, wanted))
                elif not wanted:
                    done.append(_relational(settings, table, place.with_suffix(".parquet")))
                advance(1)
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: {error.strerror or error}") from None
    if not any(entry.files for entry in done):
        raise StoreError("nothing to export: no such table or partition has rows")
    return [entry for entry in done if entry.files]


def _series(store: SeriesStore, table: SeriesTable, place: Path, wanted: Mapping[str, str]) -> Exported:
    keys = [key.name for key in table.partition_keys]
    if unknown := [name for name in wanted if name not in keys]:
        raise StoreError(f"series.{table.name} has no partition key {unknown[0]!r}; it has {', '.join(keys) or 'none'}")
    if any(difference.what == "table" for difference in store.differences(table)):
        return Exported(f"series.{table.name}", 0, 0, 0)
    files = rows = size = 0
    old = set() if wanted else set(place.rglob("rows.parquet"))
    for partition, _ in store.partitions(table):
        if any(str(partition[name]) != value for name, value in wanted.items()):
            continue
        path = place.joinpath(*(f"{name}={quote(str(value), safe='')}" for name, value in partition.items()))
        written = _write(path / "rows.parquet", table.arrow_schema, store.read_batches(table, partition=partition))
        old.discard(path / "rows.parquet")
        files, rows, size = files + 1, rows + written[0], size + written[1]
    for gone in old:  # of partitions that are no more
        gone.unlink()
    return Exported(f"series.{table.name}", files, rows, size)


def _relational(settings: Settings, table: str, path: Path) -> Exported:
    with Connection(settings).open(f'SELECT * FROM relational."{table}"') as answer:
        rows, size = _write(path, answer.schema, answer.batches)
    return Exported(f"relational.{table}", 1 if rows else 0, rows, size)


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> tuple[int, int]:
    """Rows and bytes; no file where there are no rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, rows = path.with_name(f".{path.name}.{os.getpid()}.part"), 0
    try:
        with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch, row_group_size=_GROUP_ROWS)
                rows += batch.num_rows
        if rows:
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return rows, path.stat().st_size if rows else 0
