"""What commands print of a run: the ranking, and what changed between runs, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Column, Table

from tracebank_benchmarks.tsdb.archive import Change
from tracebank_benchmarks.tsdb.report.figures import Figures


def ranking_table(figures: Figures) -> Table:
    """Return every engine and lane with its score, the best first, and what of it is not verified."""
    table = Table("engine / lane", Column("score", justify="right"), "interval", "answered", "not verified")
    for entry in figures.entries:
        rank = figures.ranks.get(entry)
        others = [one for one in figures.record.results
                  if f"{one['engine']}/{one['lane']}" == entry and one["status"] != "verified"]  # fmt: skip
        shown = ", ".join(f"{one['workload']} {one['status']}" for one in others)
        score = ("", "") if rank is None else (f"{rank.value:.2f}", f"{rank.low:.2f} – {rank.high:.2f}")
        table.add_row(entry, *score, f"{figures.answered(entry)} of {len(figures.reads)}", shown)
    return table


def changes_table(changes: Sequence[Change]) -> Table:
    """Return every comparison of a workload's samples with earlier ones."""
    right = [Column(name, justify="right") for name in ("times the earlier median", "p (Holm)")]
    table = Table("engine / lane", "workload", *right, "")
    for one in changes:
        verdict = "slower" if one.slower else ""
        table.add_row(f"{one.engine}/{one.lane}", one.workload, f"{one.test.ratio:.2f}", f"{one.p_value:.2g}", verdict)
    return table
