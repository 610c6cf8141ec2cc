"""Whether runs differ from earlier ones by more than runs do from each other.

Samples of one run are not independent: a process, its memory and its neighbours are the same for all of them. So the
median of a workload in a run is one observation, and runs are compared with runs, by a t-test whose variance is that
between runs, moderated by a prior (Smyth 2004), corrected for the number of figures (Holm). What
could not be compared is a finding of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Final

from tracebank_benchmarks.tsdb.results import TIMED, Record
from tracebank_benchmarks.tsdb.statistics import LEAST_SAMPLES
from tracebank_benchmarks.tsdb.workloads import BY_ID

SIGNIFICANT: Final = 0.001
"""Chance of a false alarm, over all figures of a comparison together: ten comparisons have one in a hundred."""
NOISE: Final = {"warm": 0.12, "cold": 0.3, "load": 0.2, "clients": 0.3}
"""Standard deviation of the logarithm of a figure from run to run, by kind, before any runs have told it: of
reads as it was between unmodified runs; the others are guesses on the safe side."""
WEIGHT: Final = 12.0
"""Degrees of freedom that those are worth."""
ROUGH: Final = 3.0
"""Times as noisy is a figure with too few undisturbed samples: only what is far off is then seen."""
GROWN: Final = 1.02
"""Bytes of the same rows may be so many times what they were: merges do not always end alike."""
BYTES: Final = "S1 bytes"
"""The figure that is a size."""
_ORDER: Final = ("verified", "partial")

Key = tuple[str, str, str]
"""Engine, lane, figure."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A figure in one run."""

    value: float
    """The smaller, the better."""
    kind: str
    """warm, cold, load, clients or bytes."""
    samples: int
    """Undisturbed ones; those of other kinds than warm are one each."""

    @property
    def sure(self) -> bool:
        """Whether there are samples enough."""
        return self.kind != "warm" or self.samples >= LEAST_SAMPLES


@dataclass(frozen=True, slots=True)
class Change:
    """One figure beside the same one earlier."""

    engine: str
    lane: str
    figure: str
    ratio: float | None = None
    """Geometric mean over the later runs over that of the earlier; above 1 is worse."""
    p_value: float | None = None
    """Corrected for the number of figures looked at (Holm)."""
    detectable: float | None = None
    """The ratio from which on so many runs can tell."""
    fault: str = ""
    """Why it could not be compared, or what was lost."""
    runs: tuple[int, int] = (0, 0)

    @property
    def slower(self) -> bool:
        """Worse by more than runs differ."""
        return self.p_value is not None and self.p_value < SIGNIFICANT and (self.ratio or 0) > 1

    @property
    def verdict(self) -> str:
        """In a word or a line; empty where nothing is to be said."""
        if self.slower:
            return "larger" if self.figure == BYTES else "slower"
        return self.fault


@dataclass(slots=True)
class _Case:
    key: Key
    earlier: list[Observed] = field(default_factory=list)
    later: list[Observed] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.later[0].kind

    @property
    def ratio(self) -> float:
        return math.exp(fmean(_logs(self.later)) - fmean(_logs(self.earlier)))

    @property
    def sure(self) -> bool:
        return all(one.sure for one in (*self.earlier, *self.later))

    def variance(self) -> tuple[float, float]:
        """Moderated variance of the figure's logarithm between runs, and its degrees of freedom."""
        squares, freedom = 0.0, 0
        for side in (self.earlier, self.later):
            logs = _logs(side)
            squares += sum((value - fmean(logs)) ** 2 for value in logs)
            freedom += len(logs) - 1
        prior = (NOISE[self.kind] * (1.0 if self.sure else ROUGH)) ** 2
        # Runs may be noisier than is known of others, but hardly much calmer.
        return max(prior / 4, (WEIGHT * prior + squares) / (WEIGHT + freedom)), WEIGHT + freedom

    def error(self) -> float:
        """Standard error of the logarithm of the ratio."""
        variance, _ = self.variance()
        return math.sqrt(variance * (1 / len(self.earlier) + 1 / len(self.later)))


def _logs(side: Iterable[Observed]) -> list[float]:
    return [math.log(max(one.value, 1e-9)) for one in side]


def compare(earlier: Sequence[Record], later: Sequence[Record]) -> list[Change]:
    """Hold runs against earlier ones, figure by figure.

    Compared are times of reads, warm and cold, bulk loads, bytes, concurrent queries, ingest, and both together, as
    far as both sides were asked for them.

    Args:
        earlier: one run or more, on the same data in the same environment.
        later: the same.
    """
    before, after = _observed(earlier), _observed(later)
    cases = {key: _Case(key, before[key], after[key]) for key in before if key in after}
    lost = list(_lost(earlier, later))
    told = {(one.engine, one.lane, one.figure.partition(" ")[0]) for one in lost}
    kept = [case for key, case in cases.items() if (*key[:2], key[2].partition(" ")[0]) not in told]
    return sorted([*lost, *_tested(kept)], key=lambda one: (one.engine, one.lane, _place(one.figure), one.figure))


def _place(figure: str) -> int:
    name = figure.partition(" ")[0]
    return list(BY_ID).index(name) if name in BY_ID else len(BY_ID)


def _tested(cases: list[_Case]) -> Iterator[Change]:
    from scipy.stats import t as student

    timed = [case for case in cases if case.kind != "bytes"]
    p_values = {}
    for case in timed:
        _, freedom = case.variance()
        p_values[case.key] = float(student.sf(math.log(case.ratio) / case.error(), freedom))
    corrected = _corrected(p_values)
    for case in cases:
        runs = (len(case.earlier), len(case.later))
        if case.kind == "bytes":
            yield Change(*case.key, case.ratio, 0.0 if case.ratio > GROWN else 1.0, GROWN, "", runs)
            continue
        _, freedom = case.variance()
        detectable = math.exp(float(student.isf(SIGNIFICANT / len(timed), freedom)) * case.error())
        found = Change(*case.key, case.ratio, corrected[case.key], detectable, "", runs)
        yield found if found.slower or case.sure else Change(*case.key, case.ratio, None, detectable, _few(case), runs)


def _few(case: _Case) -> str:
    side, name = (case.later, "now") if not all(one.sure for one in case.later) else (case.earlier, "earlier")
    return f"{min(one.samples for one in side)} undisturbed samples {name}, {LEAST_SAMPLES} needed"


def _corrected(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Holm's correction."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    found, floor = {}, 0.0
    for place, (name, p_value) in enumerate(ordered):
        floor = max(floor, min(1.0, p_value * (len(ordered) - place)))
        found[name] = floor
    return found


def _observed(records: Iterable[Record]) -> dict[Key, list[Observed]]:
    found: dict[Key, list[Observed]] = {}
    for record in records:
        for key, one in _figures(record):
            found.setdefault(key, []).append(one)
    return found


def _figures(record: Record) -> Iterator[tuple[Key, Observed]]:
    """Every figure of a run that has a right answer."""
    right = {(one["engine"], one["lane"], one["workload"]): one for one in record.results if one["status"] in TIMED}
    samples: dict[Key, dict[str, list[Any]]] = {}
    for one in record.samples:
        samples.setdefault((one.engine, one.lane, one.workload), {}).setdefault(one.kind, []).append(one)
    for (engine, lane, workload), result in right.items():
        kinds = samples.get((engine, lane, workload), {})
        if workload in BY_ID and (warm := kinds.get("warm")):
            calm = sum(not one.disturbed for one in warm)
            yield (engine, lane, workload), Observed(result["median_seconds"], "warm", calm)
        if cold := kinds.get("cold"):
            yield (engine, lane, f"{workload} cold"), Observed(median(one.seconds for one in cold), "cold", 1)
        for name, value, kind in _measured(workload, result["measures"]):
            yield (engine, lane, f"{workload} {name}"), Observed(value, kind, 1)


def _measured(workload: str, measures: Mapping[str, float]) -> Iterator[tuple[str, float, str]]:
    """Figures of a system workload that are compared, as times: the reciprocals of rates."""
    if workload == "S1" and "bytes" in measures:
        yield "bytes", measures["bytes"], "bytes"
    for name, value in measures.items():
        if value <= 0:
            continue
        if workload.startswith("W1") and name == "rows_per_second":
            yield "rows/s", 1 / value, "load"
        elif workload == "W3" and name.endswith("percent_rows_per_second"):
            yield name, 1 / value, "load"
        elif (workload == "W2" and name.endswith("rmax_rows_per_second")) or (
            workload == "Q1" and name.startswith("closed_") and name.endswith("_qps") and "limit" not in name
        ):
            yield name, 1 / value, "clients"
        elif (workload == "W2" and name.endswith("_ack_p50")) or (workload == "W4" and name.endswith("_p50")
                                                                 and "service" not in name):  # fmt: skip
            yield name, value, "clients"


def _lost(earlier: Sequence[Record], later: Sequence[Record]) -> Iterator[Change]:
    """What was answered and is not any more, or less well, or cannot be told."""
    before, after = _statuses(earlier), _statuses(later)
    for (engine, lane, workload), (best, _) in before.items():
        if not _asked(later, engine, lane, workload) or best not in TIMED:
            continue
        worst, reason = after.get((engine, lane, workload), ("unmeasured", "the engine has no results"))
        if worst in ("unmeasured", "empty"):
            yield Change(engine, lane, workload, fault=f"not compared: {worst}, {reason}")
        elif worst not in TIMED:
            yield Change(engine, lane, workload, fault=f"answer lost: {best} before, now {worst}, {reason}")
        elif _ORDER.index(worst) > _ORDER.index(best):
            yield Change(engine, lane, workload, fault=f"status worse: {best} before, now {worst}, {reason}")
    for (engine, lane, workload), (status, _) in after.items():
        known = before.get((engine, lane, workload))
        if status in TIMED and known and known[0] in ("unmeasured", "empty"):
            yield Change(engine, lane, workload, fault=f"not compared: {known[0]} before")


def _asked(records: Iterable[Record], engine: str, lane: str, workload: str) -> bool:
    return any(engine in one.plan.engines and lane in one.plan.lanes and workload in one.plan.workloads
               for one in records)  # fmt: skip


def _statuses(records: Sequence[Record]) -> dict[Key, tuple[str, str]]:
    """Status and reason of each workload: of earlier runs the newest, so that what was lost long ago is not new."""
    found: dict[Key, tuple[str, str]] = {}
    for record in sorted(records, key=lambda one: one.started_at):
        for one in record.results:
            found[one["engine"], one["lane"], one["workload"]] = one["status"], str(one["reason"])
    return found


def runs_needed(ratio: float, kind: str = "warm", figures: int = 28) -> int:
    """Runs a side from which on a change of a figure by such a ratio is told, with noise as it is known."""
    from scipy.stats import t as student

    for runs in range(1, 100):
        freedom = WEIGHT + 2 * (runs - 1)
        error = NOISE[kind] * math.sqrt(2 / runs)
        if math.exp(float(student.isf(SIGNIFICANT / figures, freedom)) * error) <= ratio:
            return runs
    return 100
