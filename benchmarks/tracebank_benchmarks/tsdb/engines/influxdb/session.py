"""What the suite's sessions on every version of InfluxDB do alike: rows go in as points, in line protocol."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

import pyarrow as pa

from tracebank_benchmarks.tsdb.engine import LoadPhases
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb.connection import Buffer
from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import bodies
from tracebank_benchmarks.tsdb.engines.influxdb.writer import BATCH, WORKERS, send
from tracebank_benchmarks.tsdb.workloads import Lane
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES


class PointsSession(ABC):
    """Loads and appends of one lane; a version says how it posts."""

    batch: ClassVar[int] = BATCH
    """Points of one request of a load."""
    comment: ClassVar[str] = "--"
    """With which a line of the version's language says nothing."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._batches: dict[str, Points] = {}
        """Of rows that were appended: which times they have been given."""

    @abstractmethod
    def _post(self, table: SeriesTable, body: Buffer) -> None:
        """Write points; called from several threads at once.

        Raises:
            StoreError: the server refused them.
        """

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Post line protocol as bytes, several requests at once; the engine compacts in its own time, for which nothing
        can be asked.
        """
        return self._loaded(table, frames, Points(self._lane, table))

    def _loaded(self, table: SeriesTable, frames: Iterable[pa.Table], points: Points) -> LoadPhases:
        timed, serialise = sql.Timed(frames), 0.0

        def made() -> Iterator[Buffer]:
            nonlocal serialise
            for frame in timed:
                begun = time.perf_counter()
                for lines in points.lines(frame):
                    held = list(bodies(lines, self.batch))
                    serialise += time.perf_counter() - begun
                    yield from held
                    begun = time.perf_counter()

        start = time.perf_counter()
        send(lambda body: self._post(table, body), made())
        return LoadPhases(serialise, time.perf_counter() - start - timed.seconds - serialise, 0.0)

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        """Post a batch; the server answers once it stands in its log: synced (1, 2), or within a second (3).

        Raises:
            StoreError: the server refused it.
        """
        points = self._batches.setdefault(table.name, Points(self._lane, table))
        for lines in points.lines(rows):
            for body in bodies(lines, max(1, len(lines))):
                self._post(table, body)

    @classmethod
    def settings(cls, statement_timeout: float) -> dict[str, str]:
        """Settings that matter to timings."""
        return {"batch": str(cls.batch), "workers": str(WORKERS), "statement_timeout": f"{statement_timeout:g}"}

    def cold(self) -> str:
        """Nothing: the server tells nobody over HTTP to drop what it has cached, nor to start anew."""
        return ""

    def ddl(self) -> str:
        """Which columns are tags."""
        return "\n".join(f"{self.comment} {table.name}: {Points(self._lane, table).described()}" for table in TABLES)
