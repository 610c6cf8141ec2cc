"""Modes on a terminal."""

from sqlalchemy import select

from tracebank.cli.grid import NUMBER, Grid
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.reinforcement_learning import RLComparison

_METRICS = {
    "episode_return": "return",
    "episode_cost": "cost",
    "violations_per_1000": "broken/1000",
    "steps_to_threshold": "steps",
}
"""What is shown, and its heading."""


def modes_grid(relational: RelationalStore, environment: str) -> Grid:
    """Interquartile means with half of their intervals; how likely a run breaks less than one of the reward alone.

    Raises:
        ValueError: nothing was compared in the environment.
    """
    query = select(RLComparison).where(RLComparison.environment == environment)
    with relational.reading() as session:
        rows = {(row.mode, row.metric): row.row() for row in session.scalars(query)}
    modes = list(dict.fromkeys(mode for mode, _ in rows))
    if not modes:
        raise ValueError(f"environment: {environment!r} has no comparison; 'tracebank rl train' makes one")
    seeds = max(row["seeds"] for row in rows.values())
    grid = Grid(
        "mode", *((heading, NUMBER) for heading in _METRICS.values()), ("breaks less", NUMBER),
        title=f"{environment}: interquartile means over {seeds} seeds, 95 % intervals",
    )  # fmt: skip
    for mode in sorted(modes, key=lambda one: -_value(rows.get((one, "episode_return")))):
        told = [_about(rows.get((mode, metric))) for metric in _METRICS]
        grid.add_row(mode, *told, _chance(rows.get((mode, "violations_per_1000"))))
    return grid


def _value(row: dict[str, float | None] | None) -> float:
    return float(row["iqm"] or 0) if row else 0.0


def _about(row: dict[str, float | None] | None) -> str:
    if row is None or row["iqm"] is None:
        return ""
    digits = 0 if abs(row["iqm"]) >= 1000 else 1 if abs(row["iqm"]) >= 10 else 2
    half = (row["high"] - row["low"]) / 2 if row["low"] is not None and row["high"] is not None else None
    return f"{row['iqm']:.{digits}f}" + (f"±{half:.{digits}f}" if half is not None else "")


def _chance(row: dict[str, float | None] | None) -> str:
    if row is None or row["below"] is None:
        return ""
    ends = f" ({row['below_low']:.2f}–{row['below_high']:.2f})" if row["below_low"] is not None else ""
    return f"{row['below']:.2f}{ends}"
