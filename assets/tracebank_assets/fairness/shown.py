"""Gaps on a terminal."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import select

from tracebank.cli.grid import NUMBER, Grid
from tracebank.stores.relational import RelationalStore
from tracebank_assets.fairness.configs import AS_THEY_ARE, PERMUTED
from tracebank_schemas.fairness import FairnessDifference, FairnessSummary

STATISTICS: Final = {"mean": "mean over periods", "last": "last ten periods", "slope": "slope per period"}
"""What may be shown of a gap, and how it is called."""
_MEASURES: Final = {
    "selection_gap": "selection",
    "opportunity_gap": "TPR",
    "score_gap": "scores",
    "utility": "utility",
}
_SURE: Final = 0.05
Rows = list[dict[str, Any]]


def gaps_grids(
    relational: RelationalStore, world: str, labels: str = "accepted", feedback: float = 0.0, statistic: str = "mean"
) -> list[Grid]:
    """Gaps and utility by mitigation with half of their intervals, and what each changes; for every schedule.

    Args:
        relational: where summaries are.
        world: name.
        labels: that models are fitted to.
        feedback: share of the scale of scores that full unrest takes.
        statistic: one of `STATISTICS`.

    Raises:
        ValueError: nothing like that was summed up.
    """
    found, changed = (
        _rows(relational, table, world, labels, feedback, statistic) for table in (FairnessSummary, FairnessDifference)
    )
    if not found:
        raise ValueError(
            f"world: {world!r} has no summary of labels {labels!r} and feedback {feedback:g};"
            f" 'tracebank fairness run {world}' makes one"
        )
    changed = [row for row in changed if row["factor"] == "mitigation"]
    grids = []
    for every in sorted({row["every"] for row in found}, reverse=True):
        what = f"{world}, {f'fitted every {every} periods' if every else 'fitted once'}, {STATISTICS[statistic]}"
        plain = [row for row in found if row["every"] == every and row["groups"] == AS_THEY_ARE]
        grids.append(_grid(plain, what + _of(plain)))
        for groups, told in ((AS_THEY_ARE, ""), (PERMUTED, ", groups permuted")):
            rows = [row for row in changed if row["every"] == every and row["groups"] == groups]
            if rows:
                grids.append(_grid(rows, f"{what}: less no mitigation{told}" + _sure(rows)))
    return grids


def _rows(relational: RelationalStore, table: Any, world: str, labels: str, feedback: float, statistic: str) -> Rows:
    query = select(table).where(table.world == world, table.labels == labels, table.feedback == feedback)
    with relational.reading() as session:
        return [row.row() for row in session.scalars(query.where(table.statistic == statistic))]


def _of(rows: Rows) -> str:
    seeds = max(row["seeds"] for row in rows)
    return f": {seeds} seed{'s' * (seeds > 1)}" + (", 95 % intervals" if _have_intervals(rows) else "")


def _sure(rows: Rows) -> str:
    return f" (* Holm's p < {_SURE})" if _have_intervals(rows) else ""


def _have_intervals(rows: Rows) -> bool:
    return any(row["low"] is not None for row in rows)


def _grid(rows: Rows, title: str) -> Grid:
    grid = Grid("mitigation", *((heading, NUMBER) for heading in _MEASURES.values()), title=title)
    for name, cells in _cells(rows):
        grid.add_row(name, *cells)
    return grid


def _cells(rows: Rows) -> Iterator[tuple[str, list[str]]]:
    """By mitigation, the least gap of true positive rates first."""
    of = {(row["mitigation"], row["measure"]): row for row in rows}

    def gap(name: str) -> float:
        value = of.get((name, "opportunity_gap"), {}).get("value")
        return float("inf") if value is None else float(value)

    for name in sorted({name for name, _ in of}, key=lambda name: (gap(name), name)):
        yield name, [_about(of.get((name, measure))) for measure in _MEASURES]


def _about(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return ""
    digits = 4 if row["statistic"] == "slope" else 1 if abs(row["value"]) >= 10 else 3
    half = f"±{(row['high'] - row['low']) / 2:.{digits}f}" if row["low"] is not None else ""
    star = "*" if row.get("adjusted") is not None and row["adjusted"] < _SURE else ""
    return f"{row['value']:.{digits}f}{half}{star}"
