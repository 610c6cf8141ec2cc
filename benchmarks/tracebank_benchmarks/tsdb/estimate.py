"""How long a run will take at least, told before it begins, from how many rows there are and how busy the machine is.

Rough on purpose: what holds a run to its minutes is the clock (`schedule.Budget`); this says what will be left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tracebank_benchmarks.tsdb.answers import missing_answers
from tracebank_benchmarks.tsdb.concurrency.steps import AROUND, LEAST_SECONDS, points
from tracebank_benchmarks.tsdb.data import synthetic_folder, synthetic_rows
from tracebank_benchmarks.tsdb.data_set import opened
from tracebank_benchmarks.tsdb.plan import Plan, PlanError
from tracebank_benchmarks.tsdb.run import LOADS_OF, asked_reads
from tracebank_benchmarks.tsdb.schedule import FOR_READS, busy

_MAKING: Final = 5.5
"""Seconds for a million rows on a quiet core of 2020's: of synthetic data; so are those below."""
_ANSWERS: Final = 1.0
_LOADING: Final = {"duckdb": 1.6, "polars": 1.2, "clickhouse": 1.4, "postgresql": 6.0, "timescaledb": 9.0,
                   "influxdb": 25.0, "kdb": 2.0}  # fmt: skip
_ROUND: Final = {"duckdb": 0.9, "polars": 1.6, "clickhouse": 1.5, "postgresql": 8.0, "timescaledb": 8.0,
                 "influxdb": 10.0, "kdb": 1.0}  # fmt: skip
"""All reads, each with its warm-ups."""
_START: Final = 2.0
"""Seconds until an engine's process is there."""
_TRIMMED: Final = ("W1-csv", "W3", "W1-parquet", "W2", "W4", "Q1")
"""What is left out first where the minutes do not suffice."""
_REFUSED: Final = 2.0
"""Times the minutes above which a run is not begun: it would measure nothing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds by part, at least."""

    data: float
    answers: float
    loads: float
    reads: float
    """One round; they go on until all is sure, or their share of the time is over."""
    others: dict[str, float]

    @property
    def needed(self) -> float:
        """Seconds for a run that measures every read once."""
        return self.data + self.answers + self.loads + self.reads

    def left_out(self, minutes: float) -> list[str]:
        """Workloads for which there will be no time."""
        room = max(0.0, minutes * 60 - self.data - self.answers - self.loads) * (1 - FOR_READS)
        found: list[str] = []
        wanted = sum(self.others.values())
        for workload in _TRIMMED:
            if wanted > room and workload in self.others:
                wanted -= self.others[workload]
                found.append(workload)
        return found

    def said(self, minutes: float) -> str:
        """In a line or two."""
        parts = {"data": self.data, "right answers": self.answers, "loads": self.loads,
                 "one round of reads": self.reads, "other workloads": sum(self.others.values())}  # fmt: skip
        text = ", ".join(f"{name} {shown(seconds)}" for name, seconds in parts.items() if seconds >= 0.5)
        line = f"estimate: {text}; all within {minutes:g} minutes"
        out = self.left_out(minutes)
        return f"{line}\nno time for: {', '.join(out)}; more minutes measure them too" if out else line


def estimated(plan: Plan, folder: Path, rows: float | None = None) -> Estimate:
    """How long a plan will take.

    Args:
        plan: what is asked.
        folder: where data sets are kept.
        rows: of its data, where they are no synthetic ones.
    """
    slow = busy()
    millions = (synthetic_rows(plan.scale) if rows is None else rows) / 1e6
    standing = opened(synthetic_folder(plan.scale, folder, seed=plan.seed)) if plan.scale else None
    making = 0.0 if standing or not plan.scale else _MAKING * millions
    known = standing is not None and not missing_answers(standing, asked_reads(plan), plan.seed)
    lanes = len(plan.lanes)
    loads = sum(_START + _of(_LOADING, engine) * millions for engine in plan.engines) * lanes
    share = len(plan.reads) / 28
    reads = sum(_of(_ROUND, engine) * millions + 0.5 for engine in plan.engines) * lanes * share
    others = {workload: loads * times for workload, times in LOADS_OF.items() if workload in plan.workloads}
    for workload in ("Q1", "W4", "W2"):
        if workload in plan.workloads:
            length = 600.0 if plan.full else LEAST_SECONDS + AROUND
            others[workload] = points(_only(plan, workload)) * length * len(plan.engines) * lanes
    return Estimate(making * slow, 0.0 if known else (2 + _ANSWERS * millions) * slow, loads * slow, reads * slow,
                    {name: seconds * slow for name, seconds in others.items()})  # fmt: skip


def _only(plan: Plan, workload: str) -> Plan:
    from dataclasses import replace

    return replace(plan, workloads=(workload,))


def _of(seconds: dict[str, float], engine: str) -> float:
    return next((value for name, value in seconds.items() if engine.startswith(name)), 2.0)


def check_fits(plan: Plan, found: Estimate) -> None:
    """Refuse a run whose minutes would be over before it had measured anything.

    Raises:
        PlanError: they would.
    """
    if found.needed > _REFUSED * plan.minutes * 60:
        raise PlanError(
            f"minutes: {plan.minutes:g} is too few: {found.needed / 60:.1f} are needed at least, as busy as this"
            f" machine is now (making the data {shown(found.data)}, once; right answers {shown(found.answers)}; loads"
            f" {shown(found.loads)}); give more minutes, a smaller scale or fewer engines"
        )


def shown(seconds: float) -> str:
    """A duration in words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
