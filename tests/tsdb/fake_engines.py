"""Engines made up for tests of the harness: they answer by the oracle, and go wrong in one chosen way each.

They stand for no product and are in no registry; the engine's process imports them by this module's name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tracebank.stores.faults import SchemaDrift, StoreError
from tracebank.stores.series_store import TableSize
from tracebank_benchmarks.tsdb.engine import EngineState, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES, TRADES


class FakeSession:
    """Keeps the rows in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, pa.Table] = {table.name: table.arrow_schema.empty_table() for table in TABLES}
        self.parameters: dict[str, Parameters] = {}

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        began = time.perf_counter()
        self.add(table, pa.concat_tables(list(frames)))
        return LoadPhases(0.0, time.perf_counter() - began, 0.0)

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        self.add(table, rows)

    def add(self, table: SeriesTable, rows: pa.Table) -> None:
        self.rows[table.name] = pa.concat_tables([self.rows[table.name], rows])

    @contextmanager
    def connection(self) -> Iterator[FakeSession]:
        yield self

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


class _KilledSession(FakeSession):
    def execute(self, prepared: Prepared) -> pa.Table:
        if prepared.workload.id == "R2":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(prepared)


class Killed(Right):
    """Somebody kills it in the middle of R2."""

    kind = _KilledSession


class Vanishing(Dying):
    """Its process ends in the middle of R2, and then it is not to be found any more."""

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[FakeSession]:
        folder.with_name("was-here").touch()
        yield self.kind(folder)

    def state(self) -> EngineState:
        here = not any(Path.cwd().glob("**/was-here"))
        return EngineState(here, reason="" if here else "no server at 127.0.0.1:1; start one")


class _StoppedSession(FakeSession):
    def execute(self, prepared: Prepared) -> pa.Table:
        if prepared.workload.id == "R2":
            self.folder.with_name("stopped").touch()
        if self.folder.with_name("stopped").exists():
            raise StoreError("no connection to the server")
        return super().execute(prepared)


class Stopped(Right):
    """A server that is stopped in the middle of R2, while its client lives on."""

    kind = _StoppedSession

    def __init__(self) -> None:
        self.place = Path("nowhere")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[FakeSession]:
        self.place = folder
        yield self.kind(folder)

    def state(self) -> EngineState:
        here = not self.place.with_name("stopped").exists()
        return EngineState(here, "1.0", reason="" if here else "no server at 127.0.0.1:1; start one")


class _OverrunningSession(FakeSession):
    def execute(self, prepared: Prepared) -> pa.Table:
        if prepared.workload.id == "R2":
            raise TimeoutError("statement cancelled after 600 s")
        return super().execute(prepared)


class Overrunning(Right):
    """Gives R2 up by itself, and is well afterwards."""

    kind = _OverrunningSession


class _SizelessSession(FakeSession):
    def size(self, table: SeriesTable) -> TableSize:
        raise UnsupportedError(f"{table.name}: the API tells no bytes")


class Sizeless(Right):
    """Cannot say how many rows and bytes it holds."""

    kind = _SizelessSession


class _UnwillingSession(FakeSession):
    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        raise UnsupportedError("it takes no books")


class Unwilling(Right):
    """Cannot hold the data."""

    kind = _UnwillingSession


class Drifted(Right):
    """Finds a table of another schema where its own should be."""

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[FakeSession]:
        raise SchemaDrift("table bench_trades: column price is String and declared Float64; drop it or rename it")
        yield FakeSession(folder)


class _ReplacingSession(FakeSession):
    def add(self, table: SeriesTable, rows: pa.Table) -> None:
        old, new = self.rows[table.name], rows.column("seq").combine_chunks()
        self.rows[table.name] = old.filter(pc.invert(pc.is_in(old.column("seq"), value_set=new)))
        super().add(table, rows)


class Influxdb_replacing(Right):  # noqa: N801 - what a store declares is looked up by how a name begins
    """A row of a key that stands replaces the one that stands."""

    kind = _ReplacingSession


class Influxdb_doubling(Right):  # noqa: N801 - as above
    """Declares that rows are replaced, and keeps both."""


class _RefusingSession(FakeSession):
    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        raise StoreError("seq 7 stands")


class Refusing(Right):
    """Refuses rows of keys that stand."""

    kind = _RefusingSession


class _UnsortedSession(FakeSession):
    def execute(self, prepared: Prepared) -> pa.Table:
        kept = dict(self.rows)
        if not kept[TRADES.name].column("seq").equals(kept[TRADES.name].sort_by("seq").column("seq")):
            self.rows[TRADES.name] = kept[TRADES.name].slice(0, kept[TRADES.name].num_rows - 9)
        try:
            return super().execute(prepared)
        finally:
            self.rows = kept


class Unsorted(Right):
    """Loses sight of rows that come late."""

    kind = _UnsortedSession


class Capped(Right):
    """Tells what its process is held to."""

    def settings(self) -> dict[str, str]:
        import resource

        return {
            "processors": str(len(os.sched_getaffinity(0))),
            "data_bytes": str(resource.getrlimit(resource.RLIMIT_DATA)[0]),
            "threads": os.environ["TRACEBANK_BENCH_THREADS"],
            "memory": os.environ["TRACEBANK_BENCH_MEMORY"],
        }


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
