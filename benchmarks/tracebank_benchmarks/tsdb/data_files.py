"""The files of a data set in the forms that bulk loads take: made once, beside it, as a whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engine import FileForm
from tracebank_benchmarks.tsdb.workloads import Lane
from tracebank_schemas.series import SeriesTable

STAMP: Final = "%Y-%m-%d %H:%M:%S%.9f"
"""How CSV files have time stamps: in UTC, every nanosecond of them."""
_ROWS: Final = 131_072


def files(data: DataSet, table: SeriesTable, form: FileForm, lane: Lane) -> list[Path]:
    """Files of a table, one for each day, in order of time.

    Args:
        data: the data set; its own files are Parquet already.
        table: one of its tables.
        form: what the files are to be.
        lane: line protocol has other points in each lane; the other forms are the same in both.
    """
    if form is FileForm.PARQUET:
        return data.paths(table)
    name = f"{form}-{lane}" if form is FileForm.LINES else form.value
    place = data.folder / f"{table.name}-{name}"
    if not place.is_dir():
        staged = data.folder / f".{place.name}-{uuid.uuid4().hex}.part"
        staged.mkdir()
        try:
            _write_csv(data, table, staged) if form is FileForm.CSV else _write_lines(data, table, lane, staged)
            staged.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was quicker
                raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return sorted(place.iterdir())


def _write_csv(data: DataSet, table: SeriesTable, folder: Path) -> None:
    for path in data.paths(table):
        rows = pl.scan_parquet(path).select(table.arrow_schema.names)
        rows.sink_csv(folder / f"{path.stem}.csv", datetime_format=STAMP)


def _write_lines(data: DataSet, table: SeriesTable, lane: Lane, folder: Path) -> None:
    from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points
    from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import bodies

    points = Points(lane, table)
    for path in data.paths(table):
        with pq.ParquetFile(path) as source, (folder / f"{path.stem}.lines").open("wb") as target:
            for batch in source.iter_batches(_ROWS, columns=table.arrow_schema.names):
                for lines in points.lines(pa.Table.from_batches([batch]).cast(table.arrow_schema)):
                    for body in bodies(lines, _ROWS):
                        target.write(body)


def whole_lines(paths: Sequence[Path], lines: int) -> Iterator[bytes]:
    """Text files in pieces of so many whole lines."""
    for path in paths:
        with path.open("rb") as file:
            while piece := b"".join(islice(file, lines)):
                yield piece
