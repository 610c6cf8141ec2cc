"""One honest sample: the engine's own time, the CPU time of its processes, and what else the machine did meanwhile.

Nothing here knows a workload, an order or a budget.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import psutil

from tracebank_benchmarks.tsdb.statistics import LEAST_SAMPLES, median_interval
from tracebank_benchmarks.tsdb.usage import memory_of, peak_of

FOREIGN_LIMIT: Final = 0.10
"""Share of the machine's CPU time that other processes may use before a sample is marked as disturbed."""
NARROW: Final = 0.05
"""Width of the median's interval, as a share of it, at which no more samples are needed."""
MOST_SAMPLES: Final = 120
"""Samples after which no more are taken, however wide the interval or disturbed the machine."""
TAIL_SAMPLES: Final = 100
"""Samples that a p99 needs; they are taken of executions that are short enough."""
SHORT_SECONDS: Final = 0.02
"""Executions up to this are."""
WARM_UPS: Final = 2
"""Executions that are discarded before the first warm sample."""
_WINDOW: Final = 0.25
"""Shortest span, s, over which foreign load is told: the kernel counts it in hundredths of a second."""

_CLOSE: Final = 0.02
"""Seconds within which counters are not read again: reading those of a server with many threads takes milliseconds."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a sample cost besides its wall time."""

    cpu_seconds: float
    """Of the engine's process and its servers."""
    harness_seconds: float
    """Wall time around the engine's own: orders, comparison, bookkeeping."""
    foreign_share: float
    """Share of the machine's CPU time that processes outside of the suite used, 0 to 1."""

    @property
    def disturbed(self) -> bool:
        """Taken under foreign load."""
        return self.foreign_share > FOREIGN_LIMIT


@dataclass(frozen=True, slots=True)
class _Moment:
    wall: float
    busy: float
    own: float
    servers: dict[int, float]
    """CPU seconds of each server's processes, by its first one."""


class LoadWatch:
    """Tells the machine's CPU time apart: the suite's own processes and servers, and everything else."""

    def __init__(self) -> None:
        self._own: dict[int, psutil.Process] = {os.getpid(): psutil.Process()}
        self._servers: dict[int, _Tree] = {}
        self._spent: dict[int, float] = {}
        self._moments: deque[_Moment] = deque(maxlen=256)
        self._cores = psutil.cpu_count() or 1

    def add_process(self, pid: int) -> None:
        """Count a process as the suite's own."""
        with suppress(psutil.Error):
            self._own[pid] = psutil.Process(pid)

    def add_servers(self, pids: Iterable[int]) -> list[int]:
        """Count the processes of these servers as the suite's own.

        Returns:
            Their first processes, as `server_cpu` takes them.
        """
        roots = set()
        ours = {*self._own, *(parent.pid for parent in psutil.Process().parents())}
        for pid in pids:
            with suppress(psutil.Error):
                root = _first_of_its_kind(psutil.Process(pid), ours)
                self._servers.setdefault(root.pid, _Tree(root))
                roots.add(root.pid)
        return sorted(roots)

    def server_cpu(self, roots: Iterable[int]) -> float:
        """CPU seconds that servers and their children have used so far."""
        return sum(self._servers[root].seconds() for root in roots if root in self._servers)

    def server_memory(self, roots: Iterable[int]) -> dict[str, float]:
        """Bytes that servers have in memory: the most ever of a process without children, as the owner of an embedded
        engine is; of several, which share memory, what they have together now.
        """
        trees = [self._servers[root].processes() for root in roots if root in self._servers]
        if trees and all(len(tree) == 1 for tree in trees) and all(peaks := [peak_of(tree[0].pid) for tree in trees]):
            return {"peak_memory_bytes": float(sum(peaks))}
        return {"memory_bytes": float(sum(map(memory_of, trees)))}

    def look(self, within: float = 0.0) -> _Moment:
        """Remember the counters of this moment, or take those of so many seconds ago at most."""
        if self._moments and time.perf_counter() - self._moments[-1].wall < within:
            return self._moments[-1]
        for pid, process in self._own.items():
            # What has ended keeps what it had used: else its end would look like load of others.
            self._spent[pid] = max(self._spent.get(pid, 0.0), _seconds(process))
        servers = {root: tree.seconds() for root, tree in self._servers.items()}
        own = sum(self._spent.values()) + sum(servers.values())
        moment = _Moment(time.perf_counter(), _busy_seconds(), own, servers)
        self._moments.append(moment)
        return moment

    def foreign_share(self, since: _Moment, now: _Moment) -> float:
        """Share of the machine that others used between two moments, or since `_WINDOW` ago where they are closer."""
        start = since
        if now.wall - since.wall < _WINDOW:
            earlier = [moment for moment in self._moments if now.wall - moment.wall >= _WINDOW]
            start = earlier[-1] if earlier else self._moments[0]
        span = (now.wall - start.wall) * self._cores
        return min(1.0, max(0.0, (now.busy - start.busy - (now.own - start.own)) / span)) if span > 0 else 0.0


def timed_call(watch: LoadWatch, roots: Sequence[int], work: Callable[[], T], seconds: Callable[[T], float],
               cpu_seconds: Callable[[T], float]) -> tuple[T, Cost]:  # fmt: skip
    """Have an engine's process do a piece of work, and tell what it cost.

    Args:
        watch: of this machine.
        roots: the engine's servers, if it has any.
        work: the call to the engine's process.
        seconds: the engine's own wall time out of the call's answer.
        cpu_seconds: CPU time of the engine's process out of it.
    """
    wall = time.perf_counter()
    # Executions follow one another closely: the end of one is the beginning of the next.
    before = watch.look(within=_CLOSE)
    answer = work()
    after = watch.look()
    served = sum(after.servers[root] - before.servers[root] for root in roots if root in before.servers)
    foreign = watch.foreign_share(before, after)
    wall = time.perf_counter() - wall
    return answer, Cost(cpu_seconds(answer) + served, max(0.0, wall - seconds(answer)), foreign)


def enough(calm: Sequence[float], taken: int) -> bool:
    """Whether no more samples are worth while: the interval of the median is narrow, and a p99 can be told or would
    take long.

    Args:
        calm: undisturbed samples.
        taken: samples in all.
    """
    if taken >= MOST_SAMPLES:
        return True
    if len(calm) < LEAST_SAMPLES:
        return False
    found = median_interval(calm)
    return found.width <= NARROW and (found.value > SHORT_SECONDS or len(calm) >= TAIL_SAMPLES)


def peers(pid: int) -> list[int]:
    """Processes of this machine at the other end of a process's TCP connections: the servers that it talks to.

    Empty where the system does not let us look.
    """
    with suppress(psutil.Error, OSError):
        mine = psutil.Process(pid).net_connections(kind="tcp")
        ends = {(c.raddr, c.laddr) for c in mine if c.raddr and c.status == psutil.CONN_ESTABLISHED}
        if ends:
            others = psutil.net_connections(kind="tcp")
            return sorted({c.pid for c in others if c.pid and c.raddr and (c.laddr, c.raddr) in ends and c.pid != pid})
    return []


def _first_of_its_kind(process: psutil.Process, ours: Collection[int]) -> psutil.Process:
    """The ancestor that started a server's process: PostgreSQL serves every connection from a child.

    The suite's own processes, and those that started it, are no servers, though an embedded engine's owner has their
    name.
    """
    while (parent := process.parent()) is not None and parent.pid not in ours and parent.name() == process.name():
        process = parent
    return process


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice already
    return float(sum(times) - idle - guests)


class _Tree:
    """A server's first process and its children; who they are is looked up again every second, which is slow."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._children: list[psutil.Process] = []
        self._known_at = -math.inf

    def processes(self) -> list[psutil.Process]:
        if time.monotonic() - self._known_at > 1:
            with suppress(psutil.Error):
                self._children = self._root.children(recursive=True)
            self._known_at = time.monotonic()
        return [self._root, *self._children]

    def seconds(self) -> float:
        return sum(_seconds(process, fine=True) for process in self.processes())


def _seconds(process: psutil.Process, *, fine: bool = False) -> float:
    """CPU seconds of a process, and of its children that have ended; 0 once it has ended itself.

    Args:
        process: whose.
        fine: by the scheduler's clock where there is one, which takes a file for every thread; else in hundredths.
    """
    with suppress(psutil.Error):
        times = process.cpu_times()
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        own = times.user + times.system
        return float((max(own, _scheduled_seconds(process.pid)) if fine else own) + ended)
    return 0.0


def _scheduled_seconds(pid: int) -> float:
    """CPU time of a process's threads by the scheduler's nanosecond clock; 0 where the kernel does not keep it."""
    total = 0
    with suppress(OSError, ValueError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, IndexError):
                total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9
