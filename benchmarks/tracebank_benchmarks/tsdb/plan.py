"""What a run is asked to do, checked: every fault is one line that names the field, the value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from tracebank.processors import usable_processors
from tracebank_benchmarks.tsdb.data_set import SMALLEST_SCALE
from tracebank_benchmarks.tsdb.workloads import BY_ID, Lane

SYSTEM: Final = {
    "W1": "bulk load",
    "W1-csv": "bulk load of text files: CSV, or line protocol where it is all that the engine reads",
    "W1-parquet": "bulk load of Parquet files",
    "S1": "bytes per row",
    "W3": "late rows and rows out of order",
    "Q2": "cold and warm",
    "M1": "resources",
    "Q1": "concurrent queries",
    "W4": "ingest under queries, queries under ingest",
    "W2": "sustained ingest",
    "G1": "growth of times with rows",
}
"""System workloads that the suite has, by id."""
WORKLOADS: Final = (*BY_ID, *SYSTEM)
LANES: Final = tuple(lane.value for lane in Lane)
READS: Final = "reads"
"""Stands for every query among the names of workloads."""
MOST_DAYS: Final = 366
DEFAULT_SCALE: Final = 0.01


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
    files: tuple[str, ...] = ()
    """Recorded files that are the data, in the place of synthetic data of a scale."""
    days: tuple[str, ...] = ()
    """Stored UTC days that are the data, likewise."""
    threads: int = 0
    """Processors that every engine may use; 0 for all."""
    memory: float = 0.0
    """GB that every engine may use; 0 for all."""
    full: bool = False
    """Q1, W2 and W4 at full size: ten minutes a point and every combination, whatever the budget."""

    @property
    def data(self) -> list[str]:
        """Which data are asked for: their kind, and what tells them from others of it."""
        if self.files:
            return ["files", *self.files]
        return ["stored", *self.days] if self.days else ["synthetic", f"scale {self.scale:.15g}", f"seed {self.seed}"]

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
    scale: float | None = None,
    minutes: float = 10.0,
    seed: int = 0,
    timeout: float = 60.0,
    files: Sequence[Path] = (),
    days: Iterable[str] = (),
    threads: int = 0,
    memory: float = 0.0,
    full: bool = False,
) -> Plan:
    """A plan of names as a user gives them.

    Args:
        engines: names, of `known`.
        known: engines that there are.
        workloads: ids; `reads` is all queries and `all` everything.
        lanes: names; `all` is both.
        scale: of synthetic data; `DEFAULT_SCALE` where nothing else is said of the data.
        minutes: that the run may take.
        seed: of the data, the parameters and the order.
        timeout: seconds of one execution.
        files: recorded files, or folders of them, as the data.
        days: stored days, as the data.
        threads: processors for every engine; 0 for all.
        memory: GB for every engine; 0 for all.
        full: Q1, W2 and W4 at full size.

    Raises:
        PlanError: a name or a number is not accepted.
    """
    days = [day.strip() for day in days if day.strip()]
    if sum((scale is not None, bool(files), bool(days))) > 1:
        raise PlanError("data: scale, files and days exclude each other; give one of them")
    scale = DEFAULT_SCALE if scale is None else scale
    if not SMALLEST_SCALE <= scale < math.inf:
        raise PlanError(f"scale: {scale:g} is not accepted; allowed: {SMALLEST_SCALE:g} and above, 1 is 53 M rows")
    if not 0 < minutes <= 7 * 24 * 60:
        raise PlanError(f"minutes: {minutes:g} is not accepted; allowed: above 0, up to {7 * 24 * 60}")
    if not 0 < timeout <= 86_400:
        raise PlanError(f"timeout: {timeout:g} is not accepted; allowed: above 0, up to 86400 seconds")
    if not 0 <= seed < 2**31:
        raise PlanError(f"seed: {seed} is not accepted; allowed: 0 to {2**31 - 1}")
    _check_caps(threads, memory)
    chosen = _names("workload", _spelled_out(workloads), WORKLOADS, all_of=WORKLOADS)
    return Plan(
        _names("engine", engines, known),
        _names("lane", lanes, LANES, all_of=LANES),
        chosen,
        0.0 if files or days else float(scale),
        float(minutes),
        seed,
        float(timeout),
        files=_files(files),
        days=_days(days),
        threads=threads,
        memory=float(memory),
        full=full,
    )


def _check_caps(threads: int, memory: float) -> None:
    cores = usable_processors()
    if not 0 <= threads <= cores:
        raise PlanError(f"threads: {threads} is not accepted; allowed: 1 to {cores}, or 0 for all")
    if not (memory == 0 or 0.25 <= memory <= 65_536):
        raise PlanError(f"memory: {memory:g} is not accepted; allowed: 0.25 to 65536 GB, or 0 for no cap")


def _spelled_out(workloads: Iterable[str]) -> list[str]:
    names = [name.strip() for name in workloads]
    return [one for name in names for one in (BY_ID if name == READS else [name])]


def _files(paths: Sequence[Path]) -> tuple[str, ...]:
    """Files that were named, and those in named folders, by name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
            if not inside:
                raise PlanError(f"data: folder {path} has no files")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise PlanError(f"data: {path} is not there; allowed: files and folders of them")
    return tuple(dict.fromkeys(str(path.resolve()) for path in found))


def _days(texts: Sequence[str]) -> tuple[str, ...]:
    found = set()
    for text in texts:
        try:
            found.add(date.fromisoformat(text).isoformat())
        except ValueError:
            raise PlanError(f"days: {text!r} is no day; allowed: YYYY-MM-DD, with commas between them") from None
    if len(found) > MOST_DAYS:
        raise PlanError(f"days: {len(found)} are given; allowed: up to {MOST_DAYS}")
    return tuple(sorted(found))


def _names(field: str, given: Iterable[str], known: Collection[str], *, all_of: Iterable[str] = ()) -> tuple[str, ...]:
    names = [name.strip() for name in given if name.strip()]
    if all_of and names == ["all"]:
        return tuple(all_of)
    groups = [*([READS] if field == "workload" else []), *(["all"] if all_of else [])]
    allowed = ", ".join((*known, *groups))
    if not names:
        raise PlanError(f"{field}: none is given; allowed: {allowed}")
    for name in names:
        if name not in known:
            raise PlanError(f"{field}: {name!r} is not known; allowed: {allowed}")
    return tuple(dict.fromkeys(names))
