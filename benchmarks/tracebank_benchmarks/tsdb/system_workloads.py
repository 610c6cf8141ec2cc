"""The workloads that are no queries: bulk load, bytes per row, cold and warm, resources.

Late rows have a module of their own, `late_rows`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tracebank_benchmarks.tsdb.answers import LOAD_CHECK
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.journal import Measures, Sample
from tracebank_benchmarks.tsdb.measurement import Cost, timed_call
from tracebank_benchmarks.tsdb.schedule import MinutesEnded
from tracebank_benchmarks.tsdb.statistics import LEAST_SAMPLES
from tracebank_benchmarks.tsdb.worker import EngineDied, EngineFailed, EngineOverran, EngineTimeout, Loaded
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.station import Station

LOAD_CHECKS: Final = ("R24", "R27", "R25")
"""Reads over all rows that show whether a load brought everything: every trade, or their counts; means of the book."""

Frames = Callable[[SeriesTable], Iterator[pa.Table]]


def load(station: Station) -> None:
    """W1 and S1: load both tables, see that every row is there, and how large it is.

    Raises:
        EngineFailed, EngineDied, EngineTimeout: the load itself failed.
    """
    loads = load_tables(station, station.setting.data.frames)
    station.find_servers()
    asked = station.setting.plan.workloads
    status, reason = checked_load(station, [found for found, _ in loads])
    if status == "wrong_answer":  # nothing that is asked of such data means anything
        for workload in asked:
            station.decide(workload, status, reason)
        station.given_up = reason
        return
    if "W1" in asked:
        note_load(station, "W1", loads)
        station.decide("W1", status, reason)
    if "S1" in asked:
        if unknown := next((found.no_size for found, _ in loads if found.no_size), ""):
            station.decide("S1", "unsupported", unknown)
        else:
            _note_sizes(station, [found for found, _ in loads])
            station.decide("S1", "verified", "")


def load_tables(station: Station, frames: Frames, tables: Sequence[SeriesTable] = TABLES) -> list[tuple[Loaded, Cost]]:
    """Load tables in bulk, one after the other.

    Raises:
        EngineFailed, EngineDied, EngineTimeout: a load failed.
        UnsupportedError: the engine takes no such rows.
    """
    return [
        timed_call(
            station.setting.watch,
            station.roots,
            lambda table=table: station.load("load", table.name, frames),  # type: ignore[misc]
            load_seconds,
            lambda loaded: loaded.cpu_seconds,
        )
        for table in tables
    ]


def load_seconds(loaded: Loaded) -> float:
    """Of all phases."""
    return loaded.serialise + loaded.send + loaded.server + loaded.settle


def note_load(station: Station, workload: str, loads: list[tuple[Loaded, Cost]]) -> None:
    """Keep a load of both tables as a sample of a workload, with its phases and rates."""
    found, costs = [one for one, _ in loads], [cost for _, cost in loads]
    seconds = sum(load_seconds(one) for one in found)
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
        "server_seconds": sum(one.server for one in found),
        "settle_seconds": sum(one.settle for one in found),
        "rows_per_second": rows / seconds if seconds else 0.0,
        "megabytes_per_second": raw / 1e6 / seconds if seconds else 0.0,
    }
    for table, one in zip(TABLES, found, strict=True):
        values[f"{table.name}_rows_per_second"] = one.rows / load_seconds(one) if load_seconds(one) else 0.0
    station.setting.journal.note(Measures(station.engine, station.lane.value, workload, values))


def _note_sizes(station: Station, found: list[Loaded]) -> None:
    values: dict[str, float] = {}
    for table, one in zip(TABLES, found, strict=True):
        values[f"{table.name}_bytes_per_row"] = one.bytes / one.rows if one.rows else 0.0
    raw = sum(station.setting.data.raw_bytes.values())
    size = sum(one.bytes for one in found)
    values |= {"bytes": float(size), "rows": float(sum(one.rows for one in found)), "share_of_arrow": size / raw}
    station.setting.journal.note(Measures(station.engine, station.lane.value, "S1", values))


def checked_load(station: Station, loads: list[Loaded]) -> tuple[str, str]:
    """Status and reason of a load: the counts, and answers that touch every row."""
    for table, found in zip(TABLES, loads, strict=True):
        if found.stored is not None and found.stored != (wanted := station.setting.data.rows[table.name]):
            return "wrong_answer", f"{table.name} holds {found.stored} rows after the load, {wanted} were sent"
    checked: set[str] = set()
    failed: list[str] = []
    for workload in LOAD_CHECKS:
        if workload == "R27" and "R24" in checked:
            continue
        try:
            if faults := _check(station, workload):
                return "wrong_answer", f"after the load, {workload} over all rows: {faults}"
        except MinutesEnded:
            if station.worker is None:  # it was ended in the middle
                raise
            failed.append(f"{workload}: its right answer was not worked out in the run's minutes")
            continue
        except (UnsupportedError, EngineFailed, EngineOverran) as error:
            failed.append(f"{workload}: {error}")
            continue
        checked.add(workload)
    if not checked & {"R24", "R27"} or "R25" not in checked:
        return "partial", f"not all rows could be asked for, so that their number was checked; {'; '.join(failed)}"
    return "verified", "" if "R24" in checked else "trades were checked by count and prices of each symbol and venue"


def _check(station: Station, workload: str) -> str:
    name = f"{LOAD_CHECK}{workload}"
    station.prepare(name, workload)
    found = station.load("execute", name)
    station.prepared.discard(name)
    return "; ".join(found.faults[:3])


def cold_and_warm(station: Station) -> None:
    """Q2: how much slower the first execution is than the later ones, over the reads that have both."""
    both, asked = [], False
    for workload in station.setting.plan.reads:
        case = station.case(workload)
        cold, warm = ([one.seconds for one in case.of(kind) if not one.disturbed] for kind in ("cold", "warm"))
        if cold and len(warm) >= LEAST_SAMPLES:
            both.append((median(cold), median(warm)))
        asked = asked or bool(case.of("cold") and case.of("warm"))
    if asked and not both:
        return  # it stays unmeasured: there are too few undisturbed samples
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
    """M1: what the engine used: in the process that it shares with the harness, its own part; of servers, theirs."""
    try:
        values = station.call("resources")
    except (EngineFailed, EngineDied, EngineTimeout) as error:
        station.decide("M1", "error", str(error))
        return
    if station.roots:
        watch = station.setting.watch
        used = watch.server_cpu(station.roots) - station.server_cpu_before
        servers = watch.server_memory(station.roots) | {"cpu_seconds": used}
        values = servers | {f"client_{name}": value for name, value in values.items()}
    station.setting.journal.note(Measures(station.engine, station.lane.value, "M1", values))
    server = "of a process that is the server's own; its I/O is not seen"
    station.decide("M1", "partial" if station.roots else "verified", server if station.roots else "")
