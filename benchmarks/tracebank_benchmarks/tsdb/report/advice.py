"""Which engine for which job, in plain words, derived from a run's rows and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tracebank_benchmarks.tsdb.report.figures import TIMED, Figures, shown_seconds
from tracebank_benchmarks.tsdb.results import times
from tracebank_benchmarks.tsdb.statistics import Interval, ranking

JOBS: Final[dict[str, tuple[str, ...]]] = {
    "summing trades over time (bars, VWAP, volume)": ("R1", "R2", "R11", "R16", "R18"),
    "summing order books over time (spreads, imbalance)": ("R3", "R4", "R15", "R19", "R25"),
    "returns, volatility and correlation": ("R6", "R7", "R8", "R22", "R23"),
    "what was true at a moment (as-of, latest, snapshots)": ("R10", "R12", "R13", "R14"),
    "going through events one after the other (best across venues, flows, runs, sweeps)": (
        "R5", "R17", "R20", "R21", "R28"),
    "looking a few rows up (filters, last minutes)": ("R9", "R24", "R26"),
    "reading everything": ("R27",),
}  # fmt: skip
"""Jobs, and the reads that stand for them."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence, and how sure it is."""

    job: str
    sentence: str
    clear: bool
    """Whether the intervals of the first and the second are apart."""


def advise(figures: Figures) -> list[Advice]:
    """Sentences for every job that the run measured."""
    found = [_for_reads(figures, job, reads) for job, reads in JOBS.items()]
    found += [_for_loading(figures), _for_storage(figures)]
    return [one for one in found if one is not None]


def _for_reads(figures: Figures, job: str, reads: Sequence[str]) -> Advice | None:
    asked = [read for read in reads if read in figures.compared]
    ranks = ranking(times(figures.record.results, figures.record.samples, asked), figures.record.plan.seed)
    whole = {entry: rank for entry, rank in ranks.items() if _answers_all(figures, entry, asked)}
    if not whole:
        return None
    unable = [entry for entry in figures.entries if entry not in whole]
    sentence, clear = _first_of(whole)
    if unable:
        sentence += f" Not all of it was answered by {_listed(unable)}."
    return Advice(f"{job} ({', '.join(asked)})", sentence, clear)


def _answers_all(figures: Figures, entry: str, reads: Sequence[str]) -> bool:
    found = [figures.result(entry, read) for read in reads]
    return all(one is not None and one["status"] in TIMED for one in found)


def _first_of(ranks: dict[str, Interval]) -> tuple[str, bool]:
    (first, best), *others = ranks.items()
    if not others:
        return f"Only {first} answered all of it.", True
    second, next_best = others[0]
    ratio = next_best.value / best.value
    if best.high < next_best.low:
        last, worst = list(ranks.items())[-1]
        text = f"Use {first}: {second} takes {_times(ratio)} as long"
        text += f", {last} {_times(worst.value / best.value)}." if last != second else "."
        return text, True
    close = [entry for entry, rank in ranks.items() if rank.low <= best.high]
    return f"{_listed(close)} cannot be told apart.", False


def _for_loading(figures: Figures) -> Advice | None:
    rates = {entry: one["rows_per_second"] for entry, one in figures.measures("W1").items()}
    if not rates:
        return None
    first, *others = sorted(rates, key=lambda entry: -rates[entry])
    text = f"{first} took {rates[first]:,.0f} rows a second"
    if others:
        text += "; " + ", ".join(f"{entry} {rates[entry]:,.0f}" for entry in others)
    return Advice("taking rows in bulk (W1)", f"{text}. One load each: differences below a fifth mean little.", False)


def _for_storage(figures: Figures) -> Advice | None:
    sizes = {entry: one["bytes"] / one["rows"] for entry, one in figures.measures("S1").items() if one["rows"]}
    if not sizes:
        return None
    first, *others = sorted(sizes, key=lambda entry: sizes[entry])
    text = f"{first} needs {sizes[first]:.1f} bytes a row"
    if others:
        text += "; " + ", ".join(f"{entry} {sizes[entry]:.1f}" for entry in others)
    return Advice("keeping rows small (S1)", f"{text}.", bool(others))


def summary(figures: Figures) -> str:
    """The run in two sentences."""
    if not figures.ranks:
        return "No engine gave a right answer to any read: there is nothing to rank."
    sentence, _ = _first_of(figures.ranks)
    most = max(figures.answered(entry) for entry in figures.entries)
    best = next(iter(figures.ranks))
    answered = f"{best} answered {figures.answered(best)} of {len(figures.reads)} reads"
    more = "" if figures.answered(best) == most else f"; the most that any answered is {most}"
    shown = figures.compared[0]
    fastest = figures.best(shown)
    example = f" The shortest time of {shown} was {shown_seconds(fastest)}." if fastest else ""
    which = "all reads" if len(figures.compared) == len(figures.reads) else f"{len(figures.compared)} reads"
    return f"Over {which}: {sentence} {answered}{more}.{example}"


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if math.isfinite(ratio) and ratio < 100 else f"{ratio:,.0f} times"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
