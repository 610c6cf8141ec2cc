"""What the report says in numbers, derived from a run's rows: ranks, cells of the heat table, sizes, loads, growth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tracebank_benchmarks.tsdb.plan import SYSTEM
from tracebank_benchmarks.tsdb.results import UNMEASURED, Record, times
from tracebank_benchmarks.tsdb.statistics import SHIFT_SECONDS, Interval, growth, ranking
from tracebank_benchmarks.tsdb.workloads import BY_ID

STATUS_WORDS: Final = {
    "verified": "right answer",
    "partial": "right answer, part of the work done by the client",
    "unsupported": "cannot be expressed",
    "wrong_answer": "wrong answer",
    "error": "error",
    "timeout": "not in time",
}
"""Statuses in plain words."""
TIMED: Final = ("verified", "partial")


@dataclass(frozen=True, slots=True)
class Cell:
    """One engine's answer to one workload."""

    result: dict[str, Any]
    ratio: float | None
    """(c + t) / (c + best of all); None without a right answer."""


class Figures:
    """A run, looked at from the sides that the report shows."""

    def __init__(self, record: Record, earlier: Sequence[Record] = ()) -> None:
        self.record = record
        self.earlier = earlier
        self._by_key = {
            (f"{one['engine']}/{one['lane']}", str(one["workload"])): one for one in record.results
        }  # fmt: skip

    @cached_property
    def entries(self) -> list[str]:
        """Engine/lane of every entry that was measured, best first."""
        named = list(dict.fromkeys(entry for entry, _ in self._by_key))
        ranked = [entry for entry in self.ranks if entry in named]
        return ranked + [entry for entry in named if entry not in ranked]

    @cached_property
    def reads(self) -> list[str]:
        """Reads of the run, in the suite's order."""
        return [workload for workload in BY_ID if workload in self.record.plan.workloads]

    @cached_property
    def ranks(self) -> dict[str, Interval]:
        """Geometric-mean score of each entry over the reads, best first."""
        return ranking(times(self.record.results, self.record.samples, self.compared), self.record.plan.seed)

    @cached_property
    def compared(self) -> list[str]:
        """Reads that every engine was asked: one that the run's end kept from some says nothing about them."""
        unasked = {one["workload"] for one in self.record.results if one["reason"] == UNMEASURED}
        return [read for read in self.reads if read not in unasked]

    def result(self, entry: str, workload: str) -> dict[str, Any] | None:
        """A result, if there is one."""
        return self._by_key.get((entry, workload))

    def answered(self, entry: str) -> int:
        """Reads that an entry answered rightly."""
        found = (self.result(entry, workload) for workload in self.reads)
        return sum(one is not None and one["status"] in TIMED for one in found)

    def cell(self, entry: str, workload: str) -> Cell | None:
        """A cell of the heat table."""
        one = self.result(entry, workload)
        if one is None:
            return None
        best = self.best(workload)
        seconds = one["median_seconds"]
        if seconds is None or best is None:
            return Cell(one, None)
        return Cell(one, (SHIFT_SECONDS + seconds) / (SHIFT_SECONDS + best))

    def best(self, workload: str) -> float | None:
        """Shortest median of a workload, s."""
        found = [one["median_seconds"] for (_, name), one in self._by_key.items() if name == workload]
        return min((seconds for seconds in found if seconds is not None), default=None)

    def measures(self, workload: str) -> dict[str, dict[str, float]]:
        """More figures of a system workload, by entry; those of wrong loads are left out."""
        found = {}
        for entry in self.entries:
            one = self.result(entry, workload)
            if one is not None and one["status"] in TIMED and one["measures"]:
                found[entry] = dict(one["measures"])
        return found

    def growths(self) -> dict[str, dict[str, float]]:
        """Slope of log time over log rows, by entry and read, where earlier runs had other scales."""
        points: dict[tuple[str, str], dict[float, float]] = {}
        for record in (*reversed(self.earlier), self.record):
            for one in record.results:
                if one["median_seconds"] is not None and one["workload"] in BY_ID:
                    key = (f"{one['engine']}/{one['lane']}", str(one["workload"]))
                    points.setdefault(key, {})[record.plan.scale] = one["median_seconds"]
        found: dict[str, dict[str, float]] = {}
        for (entry, workload), by_scale in points.items():
            slope = growth(list(by_scale), list(by_scale.values()))
            if slope is not None and entry in self.entries:
                found.setdefault(entry, {})[workload] = slope
        return found

    def absent(self) -> dict[str, str]:
        """Engines that were asked for and are not here, with what is missing."""
        return {entry: str(facts["absent"]) for entry, facts in self.record.engines.items() if facts.get("absent")}


def workload_name(workload: str) -> str:
    """A workload's name in words."""
    return BY_ID[workload].name if workload in BY_ID else SYSTEM.get(workload, workload)


def shown_seconds(seconds: float | None) -> str:
    """A time with its unit, three figures."""
    if seconds is None:
        return ""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 1_000 else f"{seconds:,.0f} s"
