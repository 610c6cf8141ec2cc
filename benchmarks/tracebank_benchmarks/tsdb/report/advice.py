"""Which engine for which job, in plain words, derived from a run's rows and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tracebank_benchmarks.tsdb.report.figures import Figures
from tracebank_benchmarks.tsdb.statistics import Rank

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
    """One sentence about a job."""

    job: str
    sentence: str


def advise(figures: Figures) -> list[Advice]:
    """Sentences for every job that the run measured."""
    found = [_for_reads(figures, job, reads) for job, reads in JOBS.items()]
    found += [_for_loading(figures), _for_storage(figures)]
    return [one for one in found if one is not None]


def _for_reads(figures: Figures, job: str, reads: Sequence[str]) -> Advice | None:
    asked = [read for read in reads if read in figures.reads]
    if not asked or len(figures.entries) < 2:
        return None
    whole = figures.ranks_over(asked, whole=True)
    few = [entry for entry in figures.entries if figures.short(entry, asked)]
    unable = [entry for entry in figures.entries if entry not in whole and entry not in few]
    sentence = _first_of(whole, few)
    if len(whole) == 1 and not few:
        sentence = f"Only {next(iter(whole))} answered all of it."
    if unable:
        sentence += f" Not all of it was answered by {_listed(unable)}."
    return Advice(f"{job} ({', '.join(asked)})", sentence.strip())


def _first_of(ranks: dict[str, Rank], few: Sequence[str]) -> str:
    """Who is first, if anybody: only where the first one's interval and the second's are apart, and only of all."""
    said = f" Too few undisturbed samples of {_listed(few)} to say more." if few else ""
    if len(ranks) < 2:
        return said.replace(" to say more", " to say anything")
    (first, _), *others = ranks.items()
    (second, next_best), (last, worst) = others[0], others[-1]
    close = [first, *(entry for entry, rank in others if not rank.surely)]
    if len(close) > 1:
        return f"{_listed(close)} cannot be told apart by this run.{said}"
    text = f"{second} takes {_times(next_best.behind)} as long"
    text += f", {last} {_times(worst.behind)}." if last != second else "."
    return f"{first} is ahead of those that were measured: {text}{said}" if few else f"Use {first}: {text}"


def _for_loading(figures: Figures) -> Advice | None:
    rates = {entry: one["rows_per_second"] for entry, one in figures.measures("W1").items()}
    if not rates:
        return None
    first, *others = sorted(rates, key=lambda entry: -rates[entry])
    text = f"{first} took {rates[first]:,.0f} rows a second"
    if others:
        text += "; " + ", ".join(f"{entry} {rates[entry]:,.0f}" for entry in others)
    return Advice("taking rows in bulk (W1)", f"{text}. One load each, so that no order is claimed.")


def _for_storage(figures: Figures) -> Advice | None:
    sizes = {entry: one["bytes"] / one["rows"] for entry, one in figures.measures("S1").items() if one["rows"]}
    if not sizes:
        return None
    first, *others = sorted(sizes, key=lambda entry: sizes[entry])
    text = f"{first} needs {sizes[first]:.1f} bytes a row"
    if others:
        text += "; " + ", ".join(f"{entry} {sizes[entry]:.1f}" for entry in others)
    return Advice("keeping rows small (S1)", f"{text}.")


def summary(figures: Figures) -> str:
    """The run in two sentences."""
    if not figures.reads:
        return "No reads were asked: there is nothing to rank."
    if not any(figures.answered(entry) for entry in figures.entries):
        return "No engine gave a right answer to any read: there is nothing to rank."
    few = [entry for entry in figures.unplaced if figures.short(entry, figures.reads)]
    sentence = _first_of(figures.ranks, few)
    if not figures.ranks:
        return f"Too few to rank.{sentence or ' It takes two engines with right answers.'}"
    most = max(figures.answered(entry) for entry in figures.entries)
    best = next(iter(figures.ranks))
    answered = f"{best} answered {figures.answered(best)} of {len(figures.reads)} reads"
    more = "" if figures.answered(best) == most else f"; the most that any answered is {most}"
    return f"Over all reads: {sentence} {answered}{more}."


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if math.isfinite(ratio) and ratio < 100 else f"{ratio:,.0f} times"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
