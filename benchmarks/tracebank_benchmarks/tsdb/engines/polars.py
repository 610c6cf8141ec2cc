"""Polars on Parquet files in the suite: the oracle's own plans, over files instead of frames.

Lanes: `paper` has one file per load, rows in load order; `idiomatic` one file per day, sorted by symbol and time. Both
are compressed with Zstandard.
"""

from __future__ import annotations

import inspect
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import TableSize
from tracebank_benchmarks.tsdb import oracle
from tracebank_benchmarks.tsdb.engine import EngineState, FileForm, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES, TRADES

_COMPRESSION: Final = "zstd"
_GROUP_ROWS: Final = 131_072


@dataclass(frozen=True, slots=True)
class PreparedPlan(Prepared):
    """A read of the oracle with its parameters; planned anew at each execution, since planning is part of the work."""

    parameters: Parameters = field(default_factory=dict)


class PolarsSession:
    """A folder of Parquet files for each table, in one lane."""

    text_form: ClassVar[FileForm] = FileForm.CSV
    refused_forms: ClassVar[Mapping[FileForm, str]] = {FileForm.LINES: "Polars reads no line protocol"}

    def __init__(self, folder: Path, lane: Lane) -> None:
        self._folder = folder
        self._lane = lane
        self._loads = 0

    def set_up(self) -> None:
        """Make a folder for each table, with an empty file in it, so that a table without rows can be scanned."""
        for table in TABLES:
            (self._folder / table.name).mkdir(parents=True)
            empty = pl.DataFrame(schema=table.polars_schema)
            empty.write_parquet(self._folder / table.name / "0.parquet", compression=_COMPRESSION)

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Write Parquet, all of Polars' threads at it; or spool, and have `settle` sort a file per day (idiomatic)."""
        start = time.perf_counter()
        place = self._place(table)
        self._sink(table, _streamed(table, frames), place)
        send = time.perf_counter() - start
        return LoadPhases(serialise=0.0, send=send, settle=self._settle(table, place))

    def load_files(self, table: SeriesTable, paths: Sequence[Path], form: FileForm) -> LoadPhases:
        """Scan the files into Parquet as a load writes it.

        Raises:
            UnsupportedError: the form is line protocol.
            StoreError: a file is broken; nothing was written.
        """
        if reason := self.refused_forms.get(form):
            raise UnsupportedError(reason)
        start, place = time.perf_counter(), self._place(table)
        scanned = _scanned_csv(table, paths) if form is FileForm.CSV else pl.scan_parquet(list(paths))
        self._sink(table, scanned.select(table.arrow_schema.names), place)
        server = time.perf_counter() - start
        return LoadPhases(serialise=0.0, send=0.0, settle=self._settle(table, place), server=server)

    def _place(self, table: SeriesTable) -> Path:
        self._loads += 1
        return self._folder / f"{table.name}-{self._loads}.part"

    def _sink(self, table: SeriesTable, rows: pl.LazyFrame, place: Path) -> None:
        """Write rows aside: as they shall be (paper), or a folder of Arrow files for each day (idiomatic)."""
        rows = rows.match_to_schema(table.polars_schema)
        try:
            if self._lane is Lane.PAPER:
                rows.sink_parquet(place, compression=_COMPRESSION, row_group_size=_GROUP_ROWS, maintain_order=True)
            else:  # read once more and sorted: compressing it would be work for nothing
                days = pl.PartitionBy(place, key=pl.col("ts").dt.date().alias("day"), include_key=False)
                rows.sink_ipc(days, compression="uncompressed", mkdir=True)
        except (pl.exceptions.PolarsError, OSError) as error:
            _abandon(place)
            raise StoreError(f"polars: {' '.join(str(error).split())[:500]}") from None
        except BaseException:
            _abandon(place)
            raise

    def _settle(self, table: SeriesTable, place: Path) -> float:
        start = time.perf_counter()
        if self._lane is Lane.PAPER:
            place.rename(self._folder / table.name / f"{self._loads}.parquet")
        else:
            self._sort(table, place)
        return time.perf_counter() - start

    def _sort(self, table: SeriesTable, place: Path) -> None:
        for folder in sorted(place.glob("day=*")):
            of_day = pl.scan_ipc(folder / "*.ipc", hive_partitioning=False).sort(table.sort_key).collect()
            target = self._folder / table.name / f"{self._loads}-{folder.name.removeprefix('day=')}.parquet"
            of_day.write_parquet(target, compression=_COMPRESSION, row_group_size=_GROUP_ROWS)
        _remove(place)

    def _scan(self, table: SeriesTable) -> pl.LazyFrame:
        return pl.scan_parquet(self._folder / table.name / "*.parquet", schema=table.polars_schema)

    def prepare(self, workload: Workload, parameters: Parameters) -> PreparedPlan:
        """Keep the parameters; the text is that of the plan's function."""
        text = f"{inspect.getsource(oracle.PLANS[workload.id])}\n# {dict(parameters)!r}\n"
        return PreparedPlan(workload, text, parameters=parameters)

    def execute(self, prepared: Prepared) -> pa.Table:
        """Scan the files, plan and collect."""
        assert isinstance(prepared, PreparedPlan)
        rows = oracle.plan(prepared.workload, prepared.parameters, self._scan(TRADES), self._scan(BOOK))
        return oracle.as_answer(prepared.workload, rows.collect())

    def size(self, table: SeriesTable) -> TableSize:
        """Rows, bytes of the files, and bytes of the values."""
        files = list((self._folder / table.name).glob("*.parquet"))
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        texts = self._scan(table).select(pl.sum_horizontal(pl.col(pl.String).str.len_bytes().sum())).collect().item()
        fixed = sum(column.type.bit_width // 8 for column in table.columns if column.type != pa.string())
        return TableSize(rows, sum(file.stat().st_size for file in files), rows * fixed + int(texts))

    def cold(self) -> str:
        """Nothing is kept open or cached but by the system."""
        return ""

    def ddl(self) -> str:
        """How the files are written, for the record."""
        return "\n".join(
            f"{table.name}: Parquet, {_COMPRESSION}, row groups of {_GROUP_ROWS} rows, "
            + (
                "in load order"
                if self._lane is Lane.PAPER
                else f"a file per day, sorted by {', '.join(table.sort_key)}"
            )
            for table in TABLES
        )

    @contextmanager
    def connection(self) -> Iterator[PolarsSession]:
        """The same files: every execution scans them anew, and nothing is kept open."""
        yield self

    def append(self, table: SeriesTable, rows: pa.Table) -> None:  # noqa: ARG002 - the protocol's own
        """Not here.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "Parquet files take no rows once they are written, and Polars has no log to keep small batches in"
        )


def _remove(place: Path) -> None:
    """A file or a folder, if it is there."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with suppress(IsADirectoryError):
            place.unlink(missing_ok=True)


def _abandon(place: Path) -> None:
    """Remove what a sink that failed has written; its threads may write on for a moment after the fault is told."""
    for wait in (0.0, 0.05, 0.2):
        time.sleep(wait)
        _remove(place)


def _scanned_csv(table: SeriesTable, paths: Sequence[Path]) -> pl.LazyFrame:
    stamps = [name for name, kind in table.polars_schema.items() if isinstance(kind, pl.Datetime)]
    text = {name: pl.String() if name in stamps else kind for name, kind in table.polars_schema.items()}
    read = (pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S%.9f", time_unit="ns", time_zone="UTC") for name in stamps)
    return pl.scan_csv(list(paths), schema=text).with_columns(read)


def _streamed(table: SeriesTable, frames: Iterable[pa.Table]) -> pl.LazyFrame:
    """Frames as a plan that draws them one by one."""

    def drawn(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        assert predicate is None, predicate
        assert n_rows is None, n_rows
        for frame in frames:
            yield pl.DataFrame(frame.cast(table.arrow_schema)).select(with_columns or pl.all())

    return register_io_source(drawn, schema=table.polars_schema)


class Polars:
    """Polars on Parquet files."""

    name: ClassVar[str] = "polars"
    suffix: ClassVar[str] = ""

    def state(self) -> EngineState:
        """It is there: the suite itself needs it."""
        return EngineState(True, version=pl.__version__, edition="in process, on Parquet files")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[PolarsSession]:
        """An empty folder in `folder`, removed afterwards."""
        place = folder / f"polars-{lane}"
        shutil.rmtree(place, ignore_errors=True)
        session = PolarsSession(place, lane)
        try:
            session.set_up()
            yield session
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def settings(self) -> dict[str, str]:
        """Threads of the pool, which is made when Polars is imported (POLARS_MAX_THREADS); files are not synced."""
        return {"threads": str(pl.thread_pool_size()), "compression": _COMPRESSION, "durability": "files not synced"}
