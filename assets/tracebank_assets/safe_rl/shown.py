"""Modes on a terminal."""

from typing import Any

from sqlalchemy import select

from tracebank.cli.grid import NUMBER, Grid
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.reinforcement_learning import RLComparison

_METRICS = {
    "episode_return": "return",
    "episode_cost": "cost",
    "violations_per_1000": "broken/1000",
}
"""What is shown, and its heading."""


def modes_grids(relational: RelationalStore, environment: str) -> list[Grid]:
    """Interquartile means with half of their intervals, steps to the threshold, and how likely a run breaks
    less while it learns than one of the reward alone (safer); a grid for each knowledge.

    Raises:
        ValueError: nothing was compared in the environment.
    """
    query = select(RLComparison).where(RLComparison.environment == environment)
    with relational.reading() as session:
        rows = [row.row() for row in session.scalars(query)]
    if not rows:
        raise ValueError(f"environment: {environment!r} has no comparison; 'tracebank rl train' makes one")
    return [
        _grid([row for row in rows if row["knowledge"] == known], f"{environment}, {known} knowledge")
        for known in dict.fromkeys(row["knowledge"] for row in rows)
    ]


def _grid(rows: list[dict[str, Any]], what: str) -> Grid:
    of = {(row["mode"], row["metric"]): row for row in rows}
    seeds = max(row["seeds"] for row in rows)
    intervals = ", 95 % intervals" if seeds >= 5 else ""
    grid = Grid(
        "mode", *((heading, NUMBER) for heading in _METRICS.values()), ("steps", NUMBER), ("safer", NUMBER),
        title=f"{what}: interquartile means over {seeds} seed{'s' * (seeds > 1)}{intervals}",
    )  # fmt: skip
    for mode in sorted({mode for mode, _ in of}, key=lambda one: -_value(of.get((one, "episode_return")))):
        told = [_about(of.get((mode, metric))) for metric in _METRICS]
        steps = of.get((mode, "steps_to_threshold"))
        grid.add_row(
            mode, *told, f"{steps['iqm']:.0f}" if steps else "", _chance(of.get((mode, "violations_per_1000")))
        )
    return grid


def _value(row: dict[str, Any] | None) -> float:
    return float(row["iqm"] or 0) if row else 0.0


def _about(row: dict[str, Any] | None) -> str:
    if row is None or row["iqm"] is None:
        return ""
    digits = 0 if abs(row["iqm"]) >= 1000 else 1 if abs(row["iqm"]) >= 10 else 2
    half = (row["high"] - row["low"]) / 2 if row["low"] is not None and row["high"] is not None else None
    return f"{row['iqm']:.{digits}f}" + (f"±{half:.{digits}f}" if half is not None else "")


def _chance(row: dict[str, Any] | None) -> str:
    if row is None or row["below"] is None:
        return ""
    half = (row["below_high"] - row["below_low"]) / 2 if row["below_low"] is not None else None
    return f"{row['below']:.2f}" + (f"±{half:.2f}" if half is not None else "")
