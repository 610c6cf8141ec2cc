"""The workloads that are no queries: bulk load, bytes per row, late rows, cold and warm, resources."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from tracebank_benchmarks.tsdb.answers import LOAD_CHECK
from tracebank_benchmarks.tsdb.datasets import Dataset
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.journal import Measures, Sample
from tracebank_benchmarks.tsdb.measurement import Cost, timed_call
from tracebank_benchmarks.tsdb.worker import EngineDied, EngineFailed, EngineTimeout, Loaded
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.station import Station

LOAD_CHECKS: Final = ("R24", "R27", "R25")
"""Reads over all rows that show whether a load brought everything: every trade, or their counts; means of the book."""
LATE_READS: Final = ("R2", "R12", "R14")
"""Reads that must give the same answers after a load out of order."""
LATE_SHARE: Final = 0.1
LATE_SECONDS: Final = (1, 3_600, 2 * 86_400)
"""How late a late row is: one of these."""
_BLOCK_ROWS: Final = 250_000

Frames = Callable[[SeriesTable], Iterator[pa.Table]]


def load(station: Station) -> None:
    """W1 and S1: load both tables, see that every row is there, and how large it is.

    Raises:
        EngineFailed, EngineDied, EngineTimeout: the load itself failed.
    """
    loads = _load_tables(station, station.setting.data.frames)
    station.find_servers()
    asked = station.setting.plan.workloads
    status, reason = _checked_load(station, [found for found, _ in loads])
    if status == "wrong_answer":  # nothing that is asked of such data means anything
        for workload in asked:
            station.decide(workload, status, reason)
        station.given_up = reason
        return
    if "W1" in asked:
        _note_load(station, "W1", loads)
        station.decide("W1", status, reason)
    if "S1" in asked:
        _note_sizes(station, [found for found, _ in loads])
        station.decide("S1", "verified", "")


def _load_tables(station: Station, frames: Frames) -> list[tuple[Loaded, Cost]]:
    timeout = station.setting.plan.load_timeout
    return [
        timed_call(
            station.setting.watch,
            station.roots,
            lambda table=table: station.call("load", table.name, frames, timeout=timeout),  # type: ignore[misc]
            _load_seconds,
            lambda loaded: loaded.cpu_seconds,
        )
        for table in TABLES
    ]


def _load_seconds(loaded: Loaded) -> float:
    return loaded.serialise + loaded.send + loaded.settle


def _note_load(station: Station, workload: str, loads: list[tuple[Loaded, Cost]]) -> None:
    found, costs = [one for one, _ in loads], [cost for _, cost in loads]
    seconds = sum(_load_seconds(one) for one in found)
    rows = sum(one.rows for one in found)
    raw = sum(station.setting.data.raw_bytes.values())
    station.setting.journal.note(
        Sample(station.engine, station.lane.value, workload, "load", datetime.now(UTC), seconds,
               sum(cost.cpu_seconds for cost in costs), sum(cost.harness_seconds for cost in costs),
               max(cost.foreign_share for cost in costs), any(cost.disturbed for cost in costs),
               rows, sum(one.bytes for one in found))
    )  # fmt: skip
    values = {
        "serialise_seconds": sum(one.serialise for one in found),
        "send_seconds": sum(one.send for one in found),
        "settle_seconds": sum(one.settle for one in found),
        "rows_per_second": rows / seconds if seconds else 0.0,
        "megabytes_per_second": raw / 1e6 / seconds if seconds else 0.0,
    }
    for table, one in zip(TABLES, found, strict=True):
        values[f"{table.name}_rows_per_second"] = one.rows / _load_seconds(one) if _load_seconds(one) else 0.0
    station.setting.journal.note(Measures(station.engine, station.lane.value, workload, values))


def _note_sizes(station: Station, found: list[Loaded]) -> None:
    values: dict[str, float] = {}
    for table, one in zip(TABLES, found, strict=True):
        values[f"{table.name}_bytes_per_row"] = one.bytes / one.rows if one.rows else 0.0
    raw = sum(station.setting.data.raw_bytes.values())
    size = sum(one.bytes for one in found)
    values |= {"bytes": float(size), "rows": float(sum(one.rows for one in found)), "share_of_arrow": size / raw}
    station.setting.journal.note(Measures(station.engine, station.lane.value, "S1", values))


def _checked_load(station: Station, loads: list[Loaded]) -> tuple[str, str]:
    """Status and reason of a load: the counts, and answers that touch every row."""
    for table, found in zip(TABLES, loads, strict=True):
        if found.rows != (wanted := station.setting.data.rows[table.name]):
            return "wrong_answer", f"{table.name} holds {found.rows} rows after the load, {wanted} were sent"
    checked: set[str] = set()
    failed: list[str] = []
    for workload in LOAD_CHECKS:
        if workload == "R27" and "R24" in checked:
            continue
        try:
            if faults := _check(station, workload):
                return "wrong_answer", f"after the load, {workload} over all rows: {faults}"
        except (UnsupportedError, EngineFailed) as error:
            failed.append(f"{workload}: {error}")
            continue
        checked.add(workload)
    if not checked & {"R24", "R27"} or "R25" not in checked:
        return "partial", f"not all rows could be asked for, so that their number was checked; {'; '.join(failed)}"
    return "verified", "" if "R24" in checked else "trades were checked by count and prices of each symbol and venue"


def _check(station: Station, workload: str) -> str:
    name = f"{LOAD_CHECK}{workload}"
    station.prepare(name, workload)
    found = station.call("execute", name, timeout=station.setting.plan.load_timeout)
    station.prepared.discard(name)
    return "; ".join(found.faults[:3])


@dataclass(frozen=True, slots=True)
class LateFrames:
    """A data set's rows in the order in which they would arrive, were a share of them late."""

    data: Dataset
    seed: int

    def __call__(self, table: SeriesTable) -> Iterator[pa.Table]:
        """Blocks of rows, by time of arrival."""
        rows = pa.concat_tables(list(self.data.frames(table)))
        stamps = rows.column("ts").cast(pa.int64()).to_numpy().copy()
        rng = np.random.default_rng([self.seed, len(table.columns)])
        late = rng.random(stamps.size) < LATE_SHARE
        stamps[late] += rng.choice(np.asarray(LATE_SECONDS, np.int64), int(late.sum())) * 1_000_000_000
        order = np.argsort(stamps, kind="stable")
        for start in range(0, order.size, _BLOCK_ROWS):
            yield rows.take(order[start : start + _BLOCK_ROWS]).combine_chunks()


def late_load(station: Station) -> None:
    """W3: load the rows out of order into a second, empty place, and ask again."""
    kept, prepared = station.worker, set(station.prepared)
    try:
        station.worker = station.opened("late")
        station.prepared.clear()
        loads = _load_tables(station, LateFrames(station.setting.data, station.setting.plan.seed))
        asked, faults = _late_answers(station)
        if faults:
            station.decide("W3", "wrong_answer", faults)
        else:
            _note_load(station, "W3", loads)
            what = f"only {', '.join(asked) or 'nothing'} could be asked again"
            whole = len(asked) == len(LATE_READS)
            station.decide("W3", "verified" if whole else "partial", "" if whole else what)
    except EngineTimeout as error:
        station.decide("W3", "timeout", str(error))
    except (EngineFailed, EngineDied) as error:
        station.decide("W3", "error", str(error))
    finally:
        station.close()
        station.worker, station.prepared = kept, prepared


def _late_answers(station: Station) -> tuple[list[str], str]:
    asked: list[str] = []
    for workload in LATE_READS:
        try:
            station.prepare(workload)
            found = station.call("execute", workload)
        except UnsupportedError:
            continue
        if found.faults:
            return asked, f"after the load out of order, {workload}: {'; '.join(found.faults[:3])}"
        asked.append(workload)
    return asked, ""


def cold_and_warm(station: Station) -> None:
    """Q2: how much slower the first execution is than the later ones, over the reads that have both."""
    both = []
    for workload in station.setting.plan.reads:
        case = station.case(workload)
        if (cold := case.of("cold")) and (warm := case.of("warm")):
            both.append((median(one.seconds for one in cold), median(one.seconds for one in warm)))
    if not both:
        station.decide("Q2", "unsupported", "the engine offers no cold start, or no read was answered")
        return
    ratios = [math.log((1e-3 + cold) / (1e-3 + warm)) for cold, warm in both]
    values = {
        "reads": float(len(both)),
        "cold_seconds": sum(cold for cold, _ in both),
        "warm_seconds": sum(warm for _, warm in both),
        "cold_over_warm": math.exp(sum(ratios) / len(ratios)),
    }
    station.setting.journal.note(Measures(station.engine, station.lane.value, "Q2", values))
    station.decide("Q2", "verified", "")


def resources(station: Station) -> None:
    """M1: what the engine's process used in the run; its servers' CPU time is in every sample."""
    try:
        values = station.call("resources")
    except (EngineFailed, EngineDied, EngineTimeout) as error:
        station.decide("M1", "error", str(error))
        return
    station.setting.journal.note(Measures(station.engine, station.lane.value, "M1", values))
    server = "memory and I/O are those of the client's process, not of its server"
    station.decide("M1", "partial" if station.roots else "verified", server if station.roots else "")
