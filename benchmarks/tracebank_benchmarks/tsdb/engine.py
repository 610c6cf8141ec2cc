"""What the suite asks of an engine: to be set up in a lane, loaded, and asked; and how it tells what it cannot do.

An engine of the suite is a store adapter of the platform (`tracebank.stores`) with the texts of its queries. Answers
come back as Arrow tables with all their columns read.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import pyarrow as pa

from tracebank.stores.protocol import TableSize
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Workload
from tracebank_schemas.series import SeriesTable


class UnsupportedError(Exception):
    """The engine cannot express a workload; the message is the reason that the results show."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """Whether an engine can be measured here."""

    available: bool
    version: str = ""
    edition: str = ""
    reason: str = ""
    """What is missing and what to do about it, where it is not available."""


@dataclass(frozen=True, slots=True)
class LoadPhases:
    """Seconds of one bulk load, by phase."""

    serialise: float
    """Turning Arrow into what the client sends; 0 where it sends Arrow."""
    send: float
    """From the first byte sent to the engine's acknowledgement."""
    settle: float
    """Until nothing more changes by itself: merges, checkpoints, columnstore, fsync."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query ready to be executed again and again."""

    workload: Workload
    text: str
    """The engine's own text, parameters filled in."""
    partial: str = ""
    """Why part of the work is done by the client, where it is; such results are marked."""


class Session(Protocol):
    """An engine set up in one lane, with a place of its own."""

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Load rows in bulk, the engine's fastest documented way for the lane; `settle` is part of it."""

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: the engine cannot express it.
        """

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read every row and column of the answer, columns named as the workload's outputs."""

    def size(self, table: SeriesTable) -> TableSize:
        """Rows, bytes on disk (indexes and logs included) and raw bytes, after the load settled."""

    def cold(self) -> str:
        """Make the next execution a cold one where the engine allows it.

        Returns:
            What was done ("reopened", "restarted", "caches dropped"), or "" where nothing can be.
        """

    def ddl(self) -> str:
        """The statements that set the lane up, for the record."""


class Engine(Protocol):
    """One engine of the suite."""

    name: ClassVar[str]
    """As on the command line and in results: clickhouse_embedded, clickhouse, duckdb, polars, postgresql, timescaledb,
    influxdb1, influxdb2, influxdb3, kdb."""
    suffix: ClassVar[str]
    """Of its query files: sql, influxql, flux, q; empty where queries are code."""

    def state(self) -> EngineState:
        """Look whether it can be used here; never raises, never waits longer than a few seconds."""

    def session(self, lane: Lane, folder: Path) -> AbstractContextManager[Session]:
        """Set the engine up, empty, in a lane; `folder` is for embedded engines' files. Cleaned up afterwards."""

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings: threads, memory, durability."""
