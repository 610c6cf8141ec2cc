"""What the suite asks of an engine: to be set up in a lane, loaded, and asked; and how it tells what it cannot do.

An engine of the suite is a store adapter of the platform (`tracebank.engines`) with the texts of its queries. Answers
come back as Arrow tables with all their columns read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from tracebank.stores.series_store import TableSize
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
    """From the first byte sent to the last, or to the engine's acknowledgement where the client cannot tell."""
    settle: float
    """Until nothing more changes by itself: merges, checkpoints, columnstore, fsync."""
    server: float = 0.0
    """The engine's own, after the last byte was sent or in place of sending: files that it reads itself, commits."""


class FileForm(StrEnum):
    """Forms of files that are loaded in bulk."""

    CSV = "csv"
    """A head of names; time stamps in UTC as 2022-06-06 00:00:00.123456789; quotes where they must be."""
    PARQUET = "parquet"
    LINES = "lines"
    """InfluxDB's line protocol, as the lane has it."""


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

    def connection(self) -> AbstractContextManager[Session]:
        """One more connection to the same data, as another client would have it, for one thread of its own.

        It is opened when the block begins, asked by `prepare` and `execute` and added to by `append`, and closed when
        the block ends; the data stay. What any connection has prepared, every other may execute.

        Raises:
            UnsupportedError: the engine takes one client at a time.
        """

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        """Add a batch; returns when the engine has acknowledged it, as durably as its settings say. Nothing is settled.

        What it needs (a connection to write with, a statement) is kept for the next call.

        Args:
            table: one of the suite's, whatever the lane.
            rows: one row or more in the table's Arrow schema. A symbol's time stamps differ by 1 µs or more, and they
                and `seq` rise on a connection; connections beside each other send other ones, in the same span of time.

        Raises:
            UnsupportedError: the engine takes no rows in small batches; the message is the reason.
            StoreError: it refused them, all or some.
        """


@runtime_checkable
class LoadsFiles(Protocol):
    """A session whose engine takes whole files."""

    text_form: ClassVar[FileForm]
    """Of the text files that it reads: CSV, or another where it knows no CSV."""
    refused_forms: ClassVar[Mapping[FileForm, str]]
    """Forms that it does not read, and why."""

    def load_files(self, table: SeriesTable, paths: Sequence[Path], form: FileForm) -> LoadPhases:
        """Load files with the columns of a table, read by the engine itself where it can: all of them, or none.

        Raises:
            UnsupportedError: it reads no such files; the message is the reason.
            StoreError: a file is broken; one line. The table has no more rows than before.
        """


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
