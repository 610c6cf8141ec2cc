"""W3: rows that come late, rows that come again and rows that are corrected, and what becomes of them.

Late rows must leave every answer as it was. What a row of a standing key does is the engine's own affair; here it is
found out by asking, and held against what the engine's store declares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa

from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.journal import Measures
from tracebank_benchmarks.tsdb.results import UNMEASURED
from tracebank_benchmarks.tsdb.rewrites import AGAIN_READ, AGAIN_ROWS, DOUBLED, OVERWRITTEN
from tracebank_benchmarks.tsdb.schedule import MinutesEnded
from tracebank_benchmarks.tsdb.system_workloads import load_seconds, load_tables, note_load
from tracebank_benchmarks.tsdb.worker import (
    EngineAbsent,
    EngineDied,
    EngineFailed,
    EngineTimeout,
    Loaded,
    Rewritten,
)
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES, TRADES

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.station import Station

LATE_READS: Final = ("R2", "R12", "R14")
"""Reads that must give the same answers after a load out of order."""
LATE_SHARES: Final = (0.01, 0.1)
"""Shares of late rows; the bulk load, W1, is the one without any."""
LATE_SECONDS: Final = (1, 3_600, 2 * 86_400)
"""How late a late row is: one of these."""

_STORES: Final = {
    "clickhouse": "tracebank.engines.clickhouse.store:ClickHouseStore",
    "duckdb": "tracebank.engines.duckdb.store:DuckDBStore",
    "postgresql": "tracebank.engines.postgresql.store:PostgreSQLStore",
    "timescaledb": "tracebank.engines.postgresql.timescaledb:TimescaleDBStore",
    "influxdb": "tracebank_benchmarks.tsdb.engines.influxdb.store:InfluxStore",
}
"""Stores that declare what a re-write does, by how an engine's name begins."""
_SAID: Final = {
    "overwrite": "a row of a key that stands replaces the one that stands",
    "duplicate": "a row of a key that stands is kept beside the one that stands",
    "ignore": "a row of a key that stands is taken and dropped",
    "once": "a row of a key that stands leaves no second one",
    "refuse": "a row of a key that stands is refused",
}


@dataclass(frozen=True, slots=True)
class LateFrames:
    """A data set's rows in the order in which they would arrive, were a share of them late."""

    data: DataSet
    seed: int
    share: float

    def __call__(self, table: SeriesTable) -> Iterator[pa.Table]:
        """Blocks of rows, by time of arrival; rows under way are held, at most a share of two days of them."""
        rng = np.random.default_rng([self.seed, len(table.columns), round(self.share * 1_000)])
        held = pl.DataFrame(schema={**table.polars_schema, "arrival": pl.Int64})
        for block in self.data.frames(table):
            rows = pl.DataFrame(block)
            delays = rng.choice(np.asarray(LATE_SECONDS, np.int64), rows.height) * 1_000_000_000
            late = np.where(rng.random(rows.height) < self.share, delays, 0)
            rows = rows.with_columns(arrival=pl.col("ts").cast(pl.Int64) + pl.Series(late))
            under_way = pl.concat([held, rows]).sort("arrival", maintain_order=True)
            here = pl.col("arrival") <= under_way["ts"].cast(pl.Int64).max()
            held = under_way.filter(~here)
            yield _arrow(under_way.filter(here), table)
        if held.height:
            yield _arrow(held, table)


def _arrow(rows: pl.DataFrame, table: SeriesTable) -> pa.Table:
    names = table.arrow_schema.names
    return rows.select(names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(table.arrow_schema)


@dataclass(frozen=True, slots=True)
class _FileFrames:
    path: Path

    def __call__(self, table: SeriesTable) -> Iterator[pa.Table]:
        with pa.memory_map(str(self.path)) as source:
            yield pa.ipc.open_file(source).read_all().cast(table.arrow_schema)


def declared_rewrite(engine: str) -> str:
    """What an engine's store declares of a row whose key stands; empty where there is no store of that kind."""
    if engine == "polars":  # files beside files
        return "duplicate"
    for name, place in _STORES.items():
        if engine.startswith(name):
            module, _, attribute = place.partition(":")
            return str(getattr(import_module(module), attribute).on_rewrite)
    return ""


def late_load(station: Station) -> None:
    """W3: load the rows out of order into second, empty places, ask again, and send rows again that stand there."""
    kept, prepared = station.worker, set(station.prepared)
    station.worker = None
    try:
        for share in LATE_SHARES:
            station.close()
            tables = TABLES if share == LATE_SHARES[-1] else (TRADES,)
            if not _late_load(station, share, tables):
                return
        station.decide("W3", *_rewritten(station))
    except UnsupportedError as error:
        station.decide("W3", "unsupported", str(error))
    except EngineTimeout as error:
        station.decide("W3", "timeout", str(error))
    except (EngineAbsent, EngineFailed, EngineDied) as error:
        station.decide("W3", "error", str(error))
    finally:
        station.close()
        station.worker, station.prepared = kept, prepared


def _late_load(station: Station, share: float, tables: tuple[SeriesTable, ...]) -> bool:
    """Load with a share of late rows; False where an answer is another one then, which is noted."""
    setting = station.setting
    station.worker = station.opened("late")
    station.prepared.clear()
    loads = load_tables(station, LateFrames(setting.data, setting.plan.seed, share), tables)
    reads = [read for read in LATE_READS if len(tables) == len(TABLES) or read != "R14"]
    asked, faults = _late_answers(station, reads)
    if faults:
        station.decide("W3", "wrong_answer", f"{share:.0%} of the rows were late: {faults}")
        return False
    if not asked:
        station.decide("W3", "unsupported", f"none of {', '.join(reads)} can be asked, so nothing can be verified")
        return False
    _note_share(station, share, [found for found, _ in loads])
    if len(tables) == len(TABLES):
        note_load(station, "W3", loads)
    return True


def _note_share(station: Station, share: float, found: list[Loaded]) -> None:
    """Rate, and bytes beside those of the load in order, of the tables that were loaded."""
    name, seconds = f"late_{share:.0%}".removesuffix("%"), sum(map(load_seconds, found))
    rows = sum(one.rows for one in found)
    values = {f"{name}_percent_rows_per_second": rows / seconds if seconds else 0.0}
    in_order = station.case("W1").measures if "W1" in station.setting.plan.workloads else {}
    before = in_order.get("rows_per_second") if len(found) > 1 else in_order.get(f"{TRADES.name}_rows_per_second")
    if before and rows:
        values[f"{name}_percent_times_as_long"] = before * seconds / rows
    sizes = station.case("W1").of("load")
    if len(found) > 1 and sizes and sizes[-1].bytes:
        values[f"{name}_percent_bytes_over_in_order"] = sum(one.bytes for one in found) / sizes[-1].bytes
    station.setting.journal.note(Measures(station.engine, station.lane.value, "W3", values))


def _late_answers(station: Station, reads: list[str]) -> tuple[list[str], str]:
    asked: list[str] = []
    for workload in reads:
        try:
            station.prepare(workload)
            found = station.call("execute", workload)
        except UnsupportedError:
            continue
        if found.faults:
            return asked, f"{workload}: {'; '.join(found.faults[:3])}"
        asked.append(workload)
    return asked, ""


def _rewritten(station: Station) -> tuple[str, str]:
    """Send rows again, and tell by asking what became of them: status and reason of W3."""
    rows = station.setting.references.get(AGAIN_ROWS)
    if rows is None:
        raise MinutesEnded(UNMEASURED)
    if rows.fault:
        raise EngineFailed(rows.fault)
    found: Rewritten = station.load("rewrite", TRADES.name, _FileFrames(Path(rows.path)))
    values = {"again_rows": float(found.rows)}
    if found.more is not None:
        values["again_rows_more"] = float(found.more)
    station.setting.journal.note(Measures(station.engine, station.lane.value, "W3", values))
    observed = "refuse" if found.refused else _observed(station, found)
    if not observed:
        return "wrong_answer", (
            f"{found.rows} rows were sent again, and {AGAIN_READ} is neither as if they had replaced those that stood"
            " nor as if they were kept beside them nor as if they were dropped"
        )
    return _judged(declared_rewrite(station.engine), observed, found.refused)


def _judged(declared: str, observed: str, refused: str) -> tuple[str, str]:
    says = f"late rows changed no answer; {_SAID.get(observed, observed)}{f' ({refused})' if refused else ''}"
    if not declared:
        return "verified", says
    if declared != observed and (declared, observed) != ("overwrite", "once"):
        return "wrong_answer", f"{says}, but its store declares '{declared}'"
    return "verified", f"{says}, as its store declares"


def _observed(station: Station, found: Rewritten) -> str:
    """What became of rows that were sent again, by the answer they give; by their number where it cannot be asked."""
    try:
        for name, what in ((OVERWRITTEN, "overwrite"), (DOUBLED, "duplicate"), (AGAIN_READ, "ignore")):
            station.prepare(name, AGAIN_READ)
            if not station.call("execute", name).faults:
                return what
    except UnsupportedError:
        return {0: "once", found.rows: "duplicate"}.get(-1 if found.more is None else found.more, "")
    return ""
