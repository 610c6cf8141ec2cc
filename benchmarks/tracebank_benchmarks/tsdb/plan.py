"""What a run is asked to do, checked: every fault is one line that names the field, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tracebank_benchmarks.tsdb.datasets import SCALES
from tracebank_benchmarks.tsdb.workloads import BY_ID, Lane

SYSTEM: Final = {
    "W1": "bulk load",
    "S1": "bytes per row",
    "W3": "late rows and rows out of order",
    "Q2": "cold and warm",
    "M1": "resources",
}
"""System workloads that the suite has, by id."""
WORKLOADS: Final = (*BY_ID, *SYSTEM)
LANES: Final = tuple(lane.value for lane in Lane)


class PlanError(ValueError):
    """A run that cannot be: one line with the field, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    engines: tuple[str, ...]
    lanes: tuple[str, ...]
    workloads: tuple[str, ...]
    scale: float
    minutes: float
    seed: int
    timeout: float = 60.0
    """Seconds that one execution may take."""
    load_timeout: float = 3_600.0
    """Seconds that one bulk load may take."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The workloads that are queries."""
        return tuple(workload for workload in self.workloads if workload in BY_ID)


def checked_plan(
    engines: Iterable[str],
    *,
    known: Collection[str],
    workloads: Iterable[str] = ("all",),
    lanes: Iterable[str] = (Lane.IDIOMATIC.value,),
    scale: float = 0.01,
    scales: Sequence[float] = SCALES,
    minutes: float = 10.0,
    seed: int = 0,
    timeout: float = 60.0,
) -> Plan:
    """A plan of names as a user gives them.

    Raises:
        PlanError: a name or a number is not accepted.
    """
    if scale not in scales:
        raise PlanError(f"scale: {scale:g} is not known; allowed: {', '.join(f'{one:g}' for one in scales)}")
    if not 0 < minutes <= 7 * 24 * 60:
        raise PlanError(f"minutes: {minutes:g} is not accepted; allowed: above 0, up to {7 * 24 * 60}")
    if not 0 < timeout <= 86_400:
        raise PlanError(f"timeout: {timeout:g} is not accepted; allowed: above 0, up to 86400 seconds")
    if not 0 <= seed < 2**31:
        raise PlanError(f"seed: {seed} is not accepted; allowed: 0 to {2**31 - 1}")
    chosen = _names("workload", workloads, WORKLOADS, all_of=WORKLOADS)
    return Plan(_names("engine", engines, known), _names("lane", lanes, LANES, all_of=LANES), chosen,
                float(scale), float(minutes), seed, float(timeout))  # fmt: skip


def _names(field: str, given: Iterable[str], known: Collection[str], *, all_of: Iterable[str] = ()) -> tuple[str, ...]:
    names = [name.strip() for name in given if name.strip()]
    if all_of and names == ["all"]:
        return tuple(all_of)
    allowed = ", ".join((*known, *(["all"] if all_of else [])))
    if not names:
        raise PlanError(f"{field}: none is given; allowed: {allowed}")
    for name in names:
        if name not in known:
            raise PlanError(f"{field}: {name!r} is not known; allowed: {allowed}")
    return tuple(dict.fromkeys(names))
