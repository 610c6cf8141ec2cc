"""What commands print of runs: the ranking, what changed, and which there are, as tables for a terminal and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Group
from rich.table import Column, Table

from tracebank_benchmarks.tsdb.changes import Change, runs_needed
from tracebank_benchmarks.tsdb.report.advice import advise, summary
from tracebank_benchmarks.tsdb.report.figures import STATUS_WORDS, Figures
from tracebank_benchmarks.tsdb.results import Record

_FIGURES: Final = (
    ("W1, thousand rows/s", "W1", "rows_per_second", 1e-3),
    ("W1-csv, thousand rows/s", "W1-csv", "rows_per_second", 1e-3),
    ("W1-parquet, thousand rows/s", "W1-parquet", "rows_per_second", 1e-3),
    ("S1, bytes a row of trades", "S1", "bench_trades_bytes_per_row", 1.0),
    ("S1, bytes a row of the book", "S1", "bench_book_bytes_per_row", 1.0),
    ("M1, MB at most", "M1", "peak_memory_bytes", 1e-6),
    ("Q2, cold over warm", "Q2", "cold_over_warm", 1.0),
    ("Q1, requests/s of the mix, 8 connections", "Q1", "closed_8_qps", 1.0),
    ("W2, thousand rows/s as fast as they go", "W2", "b10000_w2_rmax_rows_per_second", 1e-3),
    ("W2, rows/s in batches of one, two writers", "W2", "b1_w2_r10000_rows_per_second", 1.0),
)
"""Name, workload, its measure, and by what it is multiplied."""
_SHOWN = 30
_NAMED = 6


def ranking_rows(figures: Figures) -> list[dict[str, Any]]:
    """Every engine and lane with its place and score, the best first; without a place, why."""
    rows = []
    for entry in figures.entries:
        rank = figures.ranks.get(entry)
        rows.append({
            "entry": entry,
            "place": list(figures.ranks).index(entry) + 1 if rank else None,
            "score": rank.value if rank else None,
            "low": rank.low if rank else None,
            "high": rank.high if rank else None,
            "answered": figures.answered(entry),
            "reads": len(figures.reads),
            "why_no_place": figures.unplaced.get(entry, ""),
            "not_verified": _others(figures, entry),
        })  # fmt: skip
    absent = figures.absent().items()
    return rows + [{"entry": entry, "place": None, "why_no_place": f"not here: {why}"} for entry, why in absent]


def _others(figures: Figures, entry: str) -> dict[str, str]:
    return {str(one["workload"]): str(one["status"]) for one in figures.record.results
            if f"{one['engine']}/{one['lane']}" == entry and one["status"] != "verified"}  # fmt: skip


def ranking_shown(figures: Figures, title: str = "") -> Group:
    """Return the ranking for a terminal of eighty columns, and below it what each entry did not answer."""
    heads = ("score", "99 % interval", "answered")
    table = Table(Column("engine / lane", no_wrap=True), *(Column(head, justify="right") for head in heads),
                  title=title or None)  # fmt: skip
    notes = []
    for row in ranking_rows(figures):
        score = (f"{row['score']:.2f}", f"{row['low']:.2f} – {row['high']:.2f}") if row["place"] else ("–", "")
        answered = f"{row['answered']} of {row['reads']}" if "answered" in row else ""
        table.add_row(row["entry"], *score, answered)
        if told := "; ".join(_notes(row)):
            notes.append(f"{row['entry']}: {told}")
    return Group(table, *notes)


def _notes(row: dict[str, Any]) -> list[str]:
    """Why an entry has no place, and what it did not answer by itself."""
    by_status: dict[str, list[str]] = {}
    for workload, status in row.get("not_verified", {}).items():
        by_status.setdefault(status, []).append(workload)
    words = {**STATUS_WORDS, "partial": "partly by the client"}
    told = [row["why_no_place"]] if row["why_no_place"] else []
    return told + [f"{words[status]}: {_few(names)}" for status, names in by_status.items()]


def _few(names: Sequence[str]) -> str:
    """Names, of which only the first few stand where there are many."""
    return ", ".join(names) if len(names) <= _NAMED else f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def ranking_markdown(figures: Figures) -> str:
    """The ranking as a table in Markdown."""
    lines = ["| place | engine / lane | score | 99 % interval | answered |", "|---:|---|---:|---|---:|"]
    for row in ranking_rows(figures):
        score = (
            f"{row['score']:.2f} | {row['low']:.2f} – {row['high']:.2f}"
            if row["place"]
            else f"– | {row['why_no_place']}"
        )
        answered = f"{row['answered']} of {row['reads']}" if row.get("answered") is not None else ""
        lines.append(f"| {row['place'] or '–'} | {row['entry']} | {score} | {answered} |")
    return "\n".join([*(f"**{warning}**\n" for warning in figures.warnings()), *lines])


def report_markdown(figures: Figures) -> str:
    """What a run says, in Markdown: the ranking, a sentence a job, and figures of the other workloads."""
    told = [f"* **{one.job}**: {one.sentence}" for one in advise(figures)]
    rows = []
    for name, workload, measure, factor in _FIGURES:
        found = {entry: values.get(measure) for entry, values in figures.measures(workload).items()}
        if any(value is not None for value in found.values()):
            cells = (found.get(entry) for entry in figures.entries)
            rows.append([name, *("–" if value is None else f"{value * factor:,.4g}" for value in cells)])
    lines = [["workload", *figures.entries], ["---", *["---:"] * len(figures.entries)], *rows] if rows else []
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    parts = (ranking_markdown(figures), summary(figures), "\n".join(told), table)
    return "\n\n".join(part for part in parts if part)


def change_rows(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Every comparison as a row."""
    return [
        {"engine": one.engine, "lane": one.lane, "figure": one.figure, "ratio": one.ratio, "p_value": one.p_value,
         "detectable": one.detectable, "runs": one.runs, "verdict": one.verdict}
        for one in changes
    ]  # fmt: skip


def changes_shown(changes: Sequence[Change]) -> Group:
    """Return what is slower and the figures that changed most, and below it what is lost or not comparable."""
    slower = [one for one in changes if one.slower]
    quiet = sorted((one for one in changes if not one.verdict), key=lambda one: -abs((one.ratio or 1) - 1))
    right = [Column(name, justify="right") for name in ("times", "told from", "p (Holm)")]
    table = Table(Column("engine / lane", no_wrap=True), "figure", *right, "")
    for one in [*slower, *quiet[: max(0, _SHOWN - len(slower))]]:
        seen = "" if one.detectable is None else f"{one.detectable:.3g}"
        table.add_row(f"{one.engine}/{one.lane}", one.figure, f"{one.ratio:.3g}", seen, f"{one.p_value:.2g}",
                      one.verdict)  # fmt: skip
    lost: dict[str, list[str]] = {}
    for one in changes:
        if one.fault:
            lost.setdefault(f"{one.engine}/{one.lane}: {one.fault}", []).append(one.figure)
    return Group(*([table] if table.row_count else []), *(f"{what}: {', '.join(of)}" for what, of in lost.items()))


def changes_said(changes: Sequence[Change], earlier: Sequence[Record], later: Sequence[Record]) -> str:
    """The comparison in a few lines."""
    slower = [one for one in changes if one.slower]
    left_out = [one for one in changes if one.fault]
    lines = [f"{', '.join(one.run_id for one in later)} against {', '.join(one.run_id for one in earlier)}:"
             f" {len(changes) - len(left_out)} figures compared, {len(slower)} slower or larger,"
             f" {len(left_out)} lost or not comparable"]  # fmt: skip
    seen = sorted(one.detectable for one in changes if one.detectable and one.p_value is not None)
    if seen:
        runs = f"{len(earlier)} earlier, {len(later)} later"
        if len(earlier) == len(later) == 1:
            runs = "one run each"
        needed = runs_needed(1.5, figures=len(changes))
        lines.append(f"{runs}: changes from {seen[len(seen) // 2]:.2g} times on can be told; 1.5 times needs {needed}"
                     " runs on each side")  # fmt: skip
    return "\n".join(lines)


def runs_table(runs: Sequence[dict[str, Any]]) -> Table:
    """Return the runs that there are."""
    table = Table("run", "started (UTC)", "finished", "data", "engines", "lanes", "environment")
    for one in runs:
        asked = one["asked"]
        table.add_row(one["run_id"], f"{one['started_at']:%Y-%m-%d %H:%M}", "yes" if one["finished_at"] else "no",
                      _shown_data(one), ", ".join(asked["engines"]), ", ".join(asked["lanes"]),
                      one["environment"])  # fmt: skip
    return table


def _shown_data(run: dict[str, Any]) -> str:
    kind, *what = run["asked"].get("data", ["synthetic"])
    if kind == "files":
        return f"{len(what)} files, {run['data_hash']}"
    return ", ".join(what) if kind == "stored" else f"scale {run['scale']:g}"
