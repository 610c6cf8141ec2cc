"""Writes into InfluxDB: rows are checked and spooled to a file first, and sent in parallel when all are there.

The engine has no transactions: a replace deletes the partition and writes it anew, and who reads in between, or a
process that dies there, sees a part. Written again, the partition is whole.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl
import pyarrow as pa

from tracebank.tables.frames import Frame, fitted
from tracebank.tables.partition import check_belongs, checked_partition
from tracebank.tables.writer import Written
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import Layout, Times, bodies, hashed_keys
from tracebank_schemas.series import Partition, SeriesTable

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.engines.influxdb.connection import Buffer
    from tracebank_benchmarks.tsdb.engines.influxdb.store import InfluxStore

BATCH: Final = 20_000
"""Points of one request."""
WORKERS: Final = 2
"""Requests under way at once."""
_BLOCK: Final = 262_144


def send(write: Callable[[Buffer], None], requests: Iterable[Buffer], workers: int = WORKERS) -> None:
    """Post bodies, `workers` of them at once.

    Args:
        write: posts one body; called from several threads at once.
        requests: the bodies; a few are taken ahead of what has been posted.
        workers: requests under way at once.

    Raises:
        StoreError: the server refused one; those sent before it stand.
    """
    with ThreadPoolExecutor(workers) as pool:
        pending: set[Future[None]] = set()
        for body in requests:
            pending.add(pool.submit(write, body))
            if len(pending) >= 2 * workers:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        for future in pending:
            future.result()


class InfluxWriter:
    """Rows on their way into one partition (`replace`) or into a table (`append`)."""

    def __init__(self, store: InfluxStore, table: SeriesTable, partition: Partition | None) -> None:
        self._store = store
        self._table = table
        self._layout = Layout.of(table)
        self._partition = checked_partition(table, partition) if partition is not None else None
        self._spool: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the writer ends
        self._sink: pa.ipc.RecordBatchStreamWriter | None = None
        self._rows = 0
        self._started = time.perf_counter()
        self._written: Written | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Take more rows.

        Raises:
            FrameRefused: columns, types, nulls, values or partition do not fit; nothing of this writer is written.
        """
        rows = fitted(self._table, frame)
        if self._partition is not None:
            check_belongs(self._table, self._partition, rows)
        if rows.num_rows:
            self._layout.check(polars_rows(rows))
            if self._sink is None:
                self._sink = pa.ipc.new_stream(self._spool, rows.schema)
            for batch in rows.to_batches(max_chunksize=_BLOCK):
                self._sink.write_batch(batch)
        self._rows += rows.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._spool:
            if error is None:
                self._commit()

    @property
    def written(self) -> Written:
        """What was written, once the `with` block has ended well."""
        if self._written is None:
            raise RuntimeError(f"the write to {self._table.name} has not ended")
        return self._written

    def _commit(self) -> None:
        store, table = self._store, self._table
        store.create(table)
        if self._partition is not None:
            store.delete(table, self._partition)
        lines = (body for rows in self._placed() for body in bodies(self._layout.lines(rows), BATCH))
        send(lambda body: store.connection.write(table.name, body), lines)
        size = store.size(table, self._partition)
        self._written = Written(self._rows, time.perf_counter() - self._started, size.bytes)

    def _placed(self) -> Iterator[pl.DataFrame]:
        times = Times(self._layout, self._layout.tags)
        for rows in self._spooled():
            if self._partition is None:
                yield from self._beside_standing(times, rows)
            else:
                yield times.assign(rows)

    def _beside_standing(self, times: Times, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """A row that stands is overwritten in its own place; others find free ones."""
        standing = self._store.points(self._layout, rows)
        if not standing.height:
            yield times.assign(rows)
            return
        keys = [self._layout.stamp, *dict.fromkeys((*self._layout.tags, *self._table.unique_key))]
        keys = list(dict.fromkeys(keys))
        taken = hashed_keys(standing, self._layout.tags)
        if self._table.unique_key:
            places = standing.select(*keys, "time").unique(keys, keep="any")
            again = rows.join(places, on=keys, how="inner")
            rows = rows.join(places, on=keys, how="anti")
            if again.height:
                yield again
        if rows.height:
            yield times.assign(rows, taken)

    def _spooled(self) -> Iterator[pl.DataFrame]:
        if self._sink is None:
            return
        self._sink.close()
        self._spool.seek(0)
        with pa.ipc.open_stream(self._spool) as reader:
            for batch in reader:
                yield polars_rows(pa.Table.from_batches([batch]))


def polars_rows(rows: pa.Table) -> pl.DataFrame:
    """An Arrow table as Polars."""
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame
