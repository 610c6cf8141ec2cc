"""Writes into InfluxDB: rows are checked and spooled to a file first, and sent in parallel when all are there.

The engine has no transactions: a replace deletes the partition and writes it anew, and who reads in between, or a
process that dies there, sees a part. Written again, the partition is whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, ClassVar, Final

import polars as pl
import pyarrow as pa

from tracebank.tables.writer import Writer
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import Layout, Times, bodies, hashed_keys
from tracebank_schemas.series import Partition, SeriesTable

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.engines.influxdb.connection import Buffer
    from tracebank_benchmarks.tsdb.engines.influxdb.store import InfluxStore

BATCH: Final = 20_000
"""Points of one request."""
WORKERS: Final = 2
"""Requests under way at once."""


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


class InfluxWriter(Writer):
    """Rows on their way into one partition or into a table, spooled until all are there."""

    block_rows: ClassVar[int] = 262_144

    def __init__(self, store: InfluxStore, table: SeriesTable, partition: Partition | None) -> None:
        super().__init__(table, partition)
        self._store = store
        self._layout = Layout.of(table)

    def _begin(self) -> None:
        self._spool: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the writer ends
        self._sink: pa.ipc.RecordBatchStreamWriter | None = None

    def _put(self, block: pa.Table) -> None:
        self._layout.check(polars_rows(block))
        if self._sink is None:
            self._sink = pa.ipc.new_stream(self._spool, block.schema)
        for batch in block.combine_chunks().to_batches(max_chunksize=self.block_rows):
            self._sink.write_batch(batch)

    def _commit(self) -> None:
        store, table = self._store, self.table
        store.create(table)
        if self.partition is not None:
            store.delete(table, self.partition)
        lines = (body for rows in self._placed() for body in bodies(self._layout.lines(rows), BATCH))
        send(lambda body: store.connection.write(table.name, body), lines)
        self._abandon()

    def _abandon(self) -> None:
        self._spool.close()

    def _placed(self) -> Iterator[pl.DataFrame]:
        times = Times(self._layout, self._layout.tags)
        for rows in self._spooled():
            if self.partition is None:
                yield from self._beside_standing(times, rows)
            else:
                yield times.assign(rows)

    def _beside_standing(self, times: Times, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """A row that stands is overwritten in its own place; others find free ones."""
        standing = self._store.points(self._layout, rows)
        if not standing.height:
            yield times.assign(rows)
            return
        keys = list(dict.fromkeys((self._layout.stamp, *self._layout.tags, *self.table.unique_key)))
        taken = hashed_keys(standing, self._layout.tags)
        if self.table.unique_key:
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
