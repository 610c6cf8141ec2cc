"""Engines made up for tests of the harness: they answer by the oracle, and go wrong in one chosen way each.

They stand for no product and are in no registry; the engine's process imports them by this module's name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tracebank.stores.protocol import TableSize
from tracebank_benchmarks.tsdb.engine import EngineState, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES


class FakeSession:
    """Keeps the rows in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, pa.Table] = {}
        self.parameters: dict[str, Parameters] = {}

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        began = time.perf_counter()
        self.rows[table.name] = pa.concat_tables(list(frames))
        return LoadPhases(0.0, time.perf_counter() - began, 0.0)

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        self.parameters[workload.id] = parameters
        return Prepared(workload, f"ask {workload.id} {sorted(parameters)}")

    def execute(self, prepared: Prepared) -> pa.Table:
        trades, book = (pl.DataFrame(self.rows[table.name]) for table in (TRADES, BOOK))
        parameters = self.parameters[prepared.workload.id]
        return answer(prepared.workload, parameters, trades, book)

    def size(self, table: SeriesTable) -> TableSize:
        rows = self.rows[table.name]
        return TableSize(rows.num_rows, rows.nbytes // 4, rows.nbytes)

    def cold(self) -> str:
        return "reopened"

    def ddl(self) -> str:
        return "CREATE nothing"


class Right:
    """Answers everything rightly."""

    name: ClassVar[str] = "right"
    suffix: ClassVar[str] = ""
    kind: type[FakeSession] = FakeSession

    def state(self) -> EngineState:
        return EngineState(True, "1.0", "fake")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[FakeSession]:
        yield self.kind(folder)

    def settings(self) -> dict[str, str]:
        return {"threads": "1"}


class _WrongSession(FakeSession):
    def execute(self, prepared: Prepared) -> pa.Table:
        found = super().execute(prepared)
        if prepared.workload.id != "R2":
            return found
        vwap = pc.multiply(found.column("vwap"), 1 + 1e-6)
        return found.set_column(found.schema.get_field_index("vwap"), "vwap", vwap)


class Wrong(Right):
    """Its VWAPs are off by a millionth."""

    kind = _WrongSession


class _LaterWrongSession(FakeSession):
    asked = 0

    def execute(self, prepared: Prepared) -> pa.Table:
        found = super().execute(prepared)
        self.asked += prepared.workload.id == "R2"
        return found.slice(1) if self.asked > 4 else found


class LaterWrong(Right):
    """Gives right answers first, and then leaves rows out."""

    kind = _LaterWrongSession


class _LossySession(FakeSession):
    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        done = super().load(table, frames)
        self.rows[table.name] = self.rows[table.name].slice(1)
        return done


class Lossy(Right):
    """Loses a row of each load."""

    kind = _LossySession


class _SwappingSession(FakeSession):
    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        done = super().load(table, frames)
        rows = self.rows[table.name]
        if table.name == TRADES.name:
            place = rows.schema.get_field_index("price")
            self.rows[table.name] = rows.set_column(place, "price", pc.add(rows.column("price"), 0.5))
        return done


class Swapping(Right):
    """Stores other prices than it was given, as many as it was given."""

    kind = _SwappingSession


class _ErringSession(FakeSession):
    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        if workload.id == "R1":
            raise UnsupportedError("it has no minutes")
        prepared = super().prepare(workload, parameters)
        return Prepared(workload, prepared.text, "the client sorts") if workload.id == "R4" else prepared

    def execute(self, prepared: Prepared) -> pa.Table:
        if prepared.workload.id == "R2":
            raise RuntimeError("the engine\nsays no")
        return super().execute(prepared)


class Erring(Right):
    """R1 it cannot express, R2 raises, R4 is done in part by the client."""

    kind = _ErringSession


class _DyingSession(FakeSession):
    def execute(self, prepared: Prepared) -> pa.Table:
        if prepared.workload.id == "R2":
            os._exit(9)
        return super().execute(prepared)


class Dying(Right):
    """Its process ends in the middle of R2."""

    kind = _DyingSession


class _HangingSession(FakeSession):
    def execute(self, prepared: Prepared) -> pa.Table:
        if prepared.workload.id == "R2":
            time.sleep(600)
        return super().execute(prepared)


class Hanging(Right):
    """R2 never comes back."""

    kind = _HangingSession


class Absent(Right):
    """Is not installed."""

    def state(self) -> EngineState:
        return EngineState(False, reason="no server at 127.0.0.1:1; start one")


class Unloadable(Right):
    """Refuses to be set up, with a password in its words."""

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[FakeSession]:
        raise RuntimeError("password wrong at postgresql://me:secret-word@host/db")
        yield FakeSession(folder)


class _SteadySession(FakeSession):
    def execute(self, prepared: Prepared) -> pa.Table:
        if (kept := self.rows.get(prepared.workload.id)) is None:
            kept = self.rows[prepared.workload.id] = super().execute(prepared)
        # Built anew, as a client would: the harness may not recognise it by identity.
        time.sleep(0.1)
        return pa.Table.from_batches([pa.RecordBatch.from_pylist(kept.to_pylist(), kept.schema)])


class Steady(Right):
    """Takes a tenth of a second for each answer, and is right."""

    kind = _SteadySession
