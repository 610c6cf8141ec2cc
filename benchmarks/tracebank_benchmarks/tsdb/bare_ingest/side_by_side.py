"""Our load and a bare client's, turn by turn, each in a fresh process and into an empty place; medians and ratios."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa

from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.measurement import LoadWatch, peers
from tracebank_benchmarks.tsdb.workloads import Lane
from tracebank_schemas.tsdb_benchmark import TABLES

OURS: Final = "ours"
BARE: Final = "bare"
SIDES: Final = (OURS, BARE)


@dataclass(frozen=True, slots=True)
class Load:
    """One load of one side."""

    side: str
    acknowledged: float
    """Seconds until the engine had acknowledged every row."""
    settled: float
    """Seconds until the lane's layout stood, too."""
    cpu_seconds: float
    """Of the process and of the engine's server, until then."""
    foreign_share: float
    """Share of the machine that other processes used meanwhile, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What an engine's loads came to."""

    engine: str
    lane: str
    table: str
    rows: int
    loads: tuple[Load, ...]
    fault: str = ""
    """Why there are no loads, or not all of them; one line."""

    def median(self, side: str, field: str) -> float:
        """Median of a field over the loads of a side."""
        return median(float(getattr(load, field)) for load in self.loads if load.side == side)

    def ratio(self, field: str) -> float:
        """Ours over the bare client's."""
        return self.median(OURS, field) / self.median(BARE, field)

    @property
    def complete(self) -> bool:
        """Whether both sides have loads."""
        return {load.side for load in self.loads} == set(SIDES)


def compare_ingest(engine: str, lane: Lane, table: str, data: DataSet, folder: Path, *, repetitions: int,
                   seed: int, step: Callable[[int], None] = lambda _: None) -> Pair:  # fmt: skip
    """Load a table both ways, again and again.

    Args:
        engine: one of `CLIENTS`, which is here.
        lane: how it is set up.
        table: its name.
        data: where the rows come from.
        folder: where embedded engines write; emptied after every load.
        repetitions: of each side; which of the two comes first is drawn anew every time.
        seed: of the draw.
        step: told of every load.
    """
    rng, loads, fault = random.Random(f"{seed} {engine} {lane}"), [], ""
    for _ in range(repetitions):
        for side in rng.sample(SIDES, 2):
            try:
                loads.append(_in_a_process(engine, side, lane, table, data, folder))
            except BrokenProcessPool:
                fault = f"{side}: the engine's process ended by itself"
            except Exception as error:
                fault = f"{side}: {' '.join(str(error).split())[:300]}"
            step(1)
        if fault:
            break
    return Pair(engine, lane.value, table, data.rows[table], tuple(loads), fault)


def _in_a_process(engine: str, side: str, lane: Lane, table: str, data: DataSet, folder: Path) -> Load:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=folder) as place,
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        return pool.submit(_load, engine, side, lane, table, data, Path(place)).result()


def _load(engine: str, side: str, lane: Lane, table_name: str, data: DataSet, folder: Path) -> Load:
    """Body of the process: rows in memory first, then the load, then a count."""
    table = next(one for one in TABLES if one.name == table_name)
    frames = list(data.frames(table))
    load, wanted = (_ours if side == OURS else _bare), data.rows[table.name]
    found, rows = load(engine, lane, table_name, folder, frames)
    if rows != wanted:
        raise RuntimeError(f"table {table.name} holds {rows} rows after the load, {wanted} were sent")
    return found


def _ours(engine: str, lane: Lane, table_name: str, folder: Path, frames: Sequence[pa.Table]) -> tuple[Load, int]:
    from tracebank_benchmarks.tsdb import engines

    table = next(one for one in TABLES if one.name == table_name)
    with engines.engine(engine).session(lane, folder) as session:
        servers = getattr(session, "processes", list)() or peers(os.getpid())
        spent = _Spent(servers)
        phases = session.load(table, frames)
        cpu, foreign = spent.since()
        acknowledged = phases.serialise + phases.send + phases.server
        rows = session.size(table).rows
    return Load(OURS, acknowledged, acknowledged + phases.settle, cpu, foreign), rows


def _bare(engine: str, lane: Lane, table_name: str, folder: Path, frames: Sequence[pa.Table]) -> tuple[Load, int]:
    from tracebank_benchmarks.tsdb.bare_ingest.clients import CLIENTS

    table = next(one for one in TABLES if one.name == table_name)
    rows = pa.concat_tables(frames)
    with CLIENTS[engine](table, lane, folder) as bare:
        spent = _Spent([bare.server] if bare.server else peers(os.getpid()))
        start = time.perf_counter()
        bare.write(rows)
        acknowledged = time.perf_counter() - start
        bare.settle()
        settled = time.perf_counter() - start
        cpu, foreign = spent.since()
        return Load(BARE, acknowledged, settled, cpu, foreign), bare.count()


class _Spent:
    """CPU seconds of this process and of an engine's server from now on."""

    def __init__(self, servers: Sequence[int]) -> None:
        self._watch = LoadWatch()
        self._roots = self._watch.add_servers(servers)
        self._moment = self._watch.look()
        self._before = self._now()

    def _now(self) -> float:
        return time.process_time() + self._watch.server_cpu(self._roots)

    def since(self) -> tuple[float, float]:
        """CPU seconds since then, and the share of the machine that others used."""
        spent = self._now() - self._before
        return spent, self._watch.foreign_share(self._moment, self._watch.look())
