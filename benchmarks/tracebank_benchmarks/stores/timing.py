"""One operation again and again: its wall time, CPU time of this process and of the engine's, load of others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from tracebank_benchmarks.tsdb.measurement import LoadWatch, timed_call

REPETITIONS: Final = 5
"""At least, where time is left."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What the repetitions of one operation took."""

    repetitions: int
    p50: float
    """Wall seconds; so is `p95`."""
    p95: float
    cpu_seconds: float
    """Of one repetition, the mean: this process and the engine's."""
    foreign_share: float
    """Most of the machine that others used meanwhile, 0 to 1."""


class Clock:
    """Times operations on one engine, until a deadline."""

    def __init__(self, deadline: float, folder: Path | None = None) -> None:
        """Args:
        deadline: of `time.monotonic()`, after which no repetition begins but the first.
        folder: of an embedded engine; processes that name it on their command line are the engine's.
        """
        self.deadline = deadline
        self._folder = folder
        self._watch = LoadWatch()

    def timed(
        self, work: Callable[[int], object], repetitions: int = REPETITIONS, servers: Sequence[int] = ()
    ) -> Timing:
        """Do an operation once to warm up and then as often as asked for.

        Args:
            work: takes the number of the repetition.
            repetitions: so many, fewer where the deadline is over.
            servers: processes of the engine's server on this machine.
        """
        work(0)
        roots, keepers = self._watch.add_servers(servers), owners(self._folder)
        for keeper in keepers:
            self._watch.add_process(keeper.pid)
        wall, cpu, foreign, kept = [], 0.0, 0.0, _used(keepers)
        for number in range(1, repetitions + 1):
            (seconds, _), cost = timed_call(
                self._watch, roots, partial(_spent, work, number), itemgetter(0), itemgetter(1)
            )
            wall.append(seconds)
            cpu += cost.cpu_seconds
            foreign = max(foreign, cost.foreign_share)
            if time.monotonic() > self.deadline:
                break
        return summary(wall, (cpu + _used(keepers) - kept) / len(wall), foreign)


def summary(wall: Sequence[float], cpu_seconds: float = 0.0, foreign_share: float = 0.0) -> Timing:
    """Percentiles of samples; of fewer than twenty p95 lies between the last two.

    Raises:
        ValueError: no samples.
    """
    if not len(wall):
        raise ValueError("a timing needs at least one sample")
    p50, p95 = np.quantile(np.asarray(wall, np.float64), [0.5, 0.95])
    return Timing(len(wall), float(p50), float(p95), cpu_seconds, foreign_share)


def _spent(work: Callable[[int], object], number: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work(number)
    return time.perf_counter() - wall, time.process_time() - cpu


def owners(folder: Path | None) -> list[psutil.Process]:
    """Other processes that name a folder on their command line: they keep an embedded engine open for all."""
    if folder is None:
        return []
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        one for one in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(one.info["cmdline"] or ()) and one.pid not in family
    ]  # fmt: skip


def _used(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds of processes so far."""
    found = 0.0
    for process in processes:
        with suppress(psutil.Error):  # it may have gone: an idle owner does
            times = process.cpu_times()
            found += times.user + times.system
    return found


def used_by_owners(folder: Path) -> float:
    """CPU seconds of processes that keep an embedded engine open, in their whole lives."""
    return _used(owners(folder))
