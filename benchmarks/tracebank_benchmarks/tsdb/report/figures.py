"""What the report says in numbers, derived from a run's rows: places, cells of the heat table, sizes, loads, growth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from tracebank_benchmarks.tsdb.plan import SYSTEM
from tracebank_benchmarks.tsdb.results import ROWS_ASKED, TIMED, Record, limits, times
from tracebank_benchmarks.tsdb.statistics import (
    LEAST_SAMPLES,
    SHIFT_SECONDS,
    Rank,
    growth,
    percentiles,
    ranking,
)
from tracebank_benchmarks.tsdb.workloads import BY_ID

STATUS_WORDS: Final = {
    "verified": "right answer",
    "partial": "right answer, part of the work done by the client",
    "unsupported": "cannot be expressed",
    "wrong_answer": "wrong answer",
    "error": "error",
    "timeout": "not in time",
    "empty": "empty answer",
    "unmeasured": "not measured",
}
"""Statuses in plain words."""
_ALONE: Final = "nobody to rank it with"
_OPEN: Final = ("unmeasured",)
"""Statuses that say nothing of the engine."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One engine's answer to one workload."""

    result: dict[str, Any]
    calm: int
    """Undisturbed samples."""
    ratio: float | None
    """(c + t) / (c + best of all); None without a right answer, or with too few samples, or nobody, to compare."""
    p99: float | None
    """None where fewer than a hundred samples can tell it."""


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
        """Engine/lane of every entry that was measured, best first, those without a place last."""
        named = list(dict.fromkeys(entry for entry, _ in self._by_key))
        ranked = [entry for entry in self.ranks if entry in named]
        return ranked + [entry for entry in named if entry not in ranked]

    @cached_property
    def reads(self) -> list[str]:
        """Reads of the run, in the suite's order."""
        return [workload for workload in BY_ID if workload in self.record.plan.workloads]

    @cached_property
    def ranks(self) -> dict[str, Rank]:
        """Geometric-mean score over the reads of each entry that has a place, best first; one alone has none."""
        found = self.ranks_over(self.reads)
        return found if len(found) > 1 else {}

    def ranks_over(self, reads: Sequence[str], *, whole: bool = False) -> dict[str, Rank]:
        """The same over some of the reads.

        Args:
            reads: which.
            whole: only entries that answered all of them.
        """
        found = times(self.record, reads)
        placed = {entry: found[entry] for entry in found
                  if not self.short(entry, reads) and (not whole or len(found[entry]) == len(reads))}  # fmt: skip
        return ranking(placed, limits(self.record, reads), self.record.plan.seed)

    def short(self, entry: str, reads: Sequence[str]) -> dict[str, int]:
        """Reads for which an entry has no place: not measured, or answered with too few undisturbed samples; and how
        many it has.
        """
        found = {}
        for read in reads:
            one = self.result(entry, read)
            if one is None or (one["status"] in (*TIMED, *_OPEN) and not self.sure(entry, read)):
                found[read] = len(self._calm.get((entry, read), []))
        return found

    @cached_property
    def unplaced(self) -> dict[str, str]:
        """Entries without a place, and why."""
        found = {}
        for entry in dict.fromkeys(entry for entry, _ in self._by_key):
            if short := self.short(entry, self.reads):
                few = min(short.values())
                of = f"{few} to {max(short.values())}" if max(short.values()) > few else f"{few}"
                found[entry] = (f"too few to rank: {of} undisturbed samples in {len(short)} of {len(self.reads)} reads,"
                                f" {LEAST_SAMPLES} needed")  # fmt: skip
            elif self.reads and entry not in self.ranks:
                found[entry] = _ALONE if self.answered(entry) else "no right answer to any read"
        return found

    @cached_property
    def _calm(self) -> dict[tuple[str, str], list[float]]:
        found: dict[tuple[str, str], list[float]] = {}
        for one in self.record.samples:
            if one.kind == "warm" and not one.disturbed:
                found.setdefault((f"{one.engine}/{one.lane}", one.workload), []).append(one.seconds)
        return found

    def sure(self, entry: str, read: str) -> bool:
        """Whether there are undisturbed samples enough."""
        return len(self._calm.get((entry, read), [])) >= LEAST_SAMPLES

    def warnings(self) -> list[str]:
        """What a reader has to know before anything else."""
        record, found = self.record, []
        warm = [one.disturbed for one in record.samples if one.kind == "warm"]
        if record.disturbed:
            found.append(f"Disturbed: {sum(warm):,} of {len(warm):,} samples were taken while other processes used the"
                         " machine. They count nowhere; measure again on a quiet machine.")  # fmt: skip
        if record.finished_at is None:
            found.append("This run was stopped, or an engine failed: it is part of a run only.")
        if names := ", ".join(entry for entry, why in self.unplaced.items() if self.reads and why != _ALONE):
            found.append(f"Too few undisturbed samples, or no right answer, for a place: {names}.")
        if empty := [read for read in self.reads if self._is_empty(read)]:
            found.append(f"Empty answers, verified by nobody and not ranked: {', '.join(empty)}.")
        return found

    def _is_empty(self, read: str) -> bool:
        return any(one["status"] == "empty" for (_, name), one in self._by_key.items() if name == read)

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
        calm, best = self._calm.get((entry, workload), []), self.best(workload)
        ratio = None
        if best is not None and one["median_seconds"] is not None and self.sure(entry, workload):
            ratio = (SHIFT_SECONDS + one["median_seconds"]) / (SHIFT_SECONDS + best)
        return Cell(one, len(calm), ratio, percentiles(np.asarray(calm, np.float64)).get("p99"))

    def best(self, workload: str) -> float | None:
        """Shortest median of a workload of those with samples enough, s; None where only one has."""
        found = [one["median_seconds"] for (entry, name), one in self._by_key.items()
                 if name == workload and one["median_seconds"] is not None and self.sure(entry, name)]  # fmt: skip
        return min(found) if len(found) > 1 else None

    def rows_asked(self, read: str) -> int | None:
        """Rows of the symbols and the window that a read names."""
        found = [one["measures"].get(ROWS_ASKED) for (_, name), one in self._by_key.items() if name == read]
        return next((int(rows) for rows in found if rows is not None), None)

    def measures(self, workload: str) -> dict[str, dict[str, float]]:
        """More figures of a system workload, by entry; those of wrong loads are left out."""
        found = {}
        for entry in self.entries:
            one = self.result(entry, workload)
            if one is not None and one["status"] in (*TIMED, *_OPEN) and one["measures"]:
                found[entry] = dict(one["measures"])
        return found

    def growths(self) -> dict[str, dict[str, float]]:
        """Slope of log time over log rows, by entry and read, where earlier runs had other scales."""
        points: dict[tuple[str, str], dict[float, float]] = {}
        for record in (*reversed(self.earlier), self.record):
            for one in record.results:
                if one["low_seconds"] is not None and one["workload"] in BY_ID:
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
