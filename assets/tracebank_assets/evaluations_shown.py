"""Runs of evaluations on a terminal: what they came to, and two of them compared."""

from collections.abc import Sequence

from sqlalchemy import select

from tracebank.cli.grid import NUMBER, PROSE, Grid
from tracebank.stores.relational import RelationalStore
from tracebank_assets.evaluation import EvalRows, newest_run
from tracebank_assets.identifier_swaps.keys import EVALUATION as SWAPS
from tracebank_assets.model_editing.keys import EVALUATION as EDITING
from tracebank_schemas.evaluation import EvalRun, EvalSample, EvalSummary

_EDITS = ("ES", "PS", "NS", "NS+", "NKL", "NKL+")
_SHORT = 12
"""Characters of a run's key that are shown."""


def losses_grid(relational: RelationalStore, models: Sequence[str]) -> Grid:
    """Mean loss of models under each condition, with its interval."""
    grid = Grid(
        "model", "condition", "loss", ("accuracy", NUMBER), ("examples", NUMBER), title="Identifier swaps, nats"
    )
    for model in models:
        run = newest_run(relational, SWAPS, model)
        if run is None:
            continue
        summary = EvalRows(relational, run.run).rows(EvalSummary)
        for row in summary.filter(metric="loss").sort("part").iter_rows(named=True):
            correct = summary.filter(metric="correct", part=row["part"])["value"].item()
            grid.add_row(model, row["part"], _interval(row), _number(correct), str(row["items"]))
    return grid


def edits_grid(relational: RelationalStore, model: str, editors: Sequence[str]) -> Grid:
    """The paper's metrics right after edits, by editor, beside the unedited model."""
    grid = Grid("editor", *((metric, NUMBER) for metric in _EDITS))
    cases = 0
    unedited: dict[str, float] = {}
    for editor in editors:
        run = newest_run(relational, EDITING, model, editor)
        if run is None:
            continue
        after = {
            row["metric"]: row
            for row in EvalRows(relational, run.run).rows(EvalSummary).filter(part="after_edit").to_dicts()
        }
        unedited |= {metric: after[metric]["unedited"] for metric in _EDITS if metric in after}
        grid.add_row(editor, *(_about(after[metric]) if metric in after else "" for metric in _EDITS))
        cases = max(cases, *(row["clusters"] for row in after.values()))
    grid.add_row("(none)", *(_number(unedited.get(metric)) for metric in _EDITS))
    grid.title = f"{cases} facts edited into {model}, 95 % intervals over facts; NKL in nats"
    return grid


def runs_grid(relational: RelationalStore) -> Grid:
    """Runs, the newest first."""
    grid = Grid("run", "evaluation", "model", "method", "started", "ended", title="Runs of evaluations")
    with relational.reading() as session:
        for run in session.scalars(select(EvalRun).order_by(EvalRun.started_at.desc())):
            ended = "yes" if run.finished_at else "no"
            grid.add_row(
                run.run[:_SHORT], run.evaluation, run.model, run.method, f"{run.started_at:%Y-%m-%d %H:%M}", ended
            )
    if not grid.rows:
        raise ValueError("runs: there is none; 'tracebank eval swaps' or 'tracebank eval edits' makes one")
    return grid


def compared_grids(relational: RelationalStore, first: str, second: str, flips: int) -> list[Grid]:
    """Two runs compared.

    Raises:
        ValueError: a run is not known, or they share no item.
    """
    from tracebank_models.sample_statistics.comparison import compare_runs

    runs = [_found(relational, name, given) for name, given in (("first", first), ("second", second))]
    one, other = (EvalRows(relational, run.run).rows(EvalSample) for run in runs)
    found = compare_runs(one, other)
    told = " and ".join(f"{run.model} {run.method}".strip() for run in runs)
    grid = Grid(
        "metric", ("items", NUMBER), ("first", NUMBER), ("second", NUMBER), ("change", NUMBER), ("p", NUMBER),
        title=f"{told}: 95 % intervals by cluster",
    )  # fmt: skip
    for row in found.metrics.iter_rows(named=True):
        change = _about({"value": row["difference"], "low": row["low"], "high": row["high"]})
        p = row["mcnemar_p_value"] if row["mcnemar_p_value"] is not None else row["p_value"]
        grid.add_row(
            row["metric"], str(row["items"]), _number(row["mean_a"]), _number(row["mean_b"]), change, _number(p, 3)
        )
    shown = Grid(
        "metric", ("item", PROSE), ("first", NUMBER), ("second", NUMBER), title=f"{found.flips.height} flipped"
    )
    for row in found.flips.head(flips).iter_rows(named=True):
        shown.add_row(row["metric"], row["item"][:_SHORT], f"{row['value_a']:.0f}", f"{row['value_b']:.0f}")
    return [grid, shown]


def _found(relational: RelationalStore, name: str, given: str) -> EvalRun:
    query = select(EvalRun).where(EvalRun.run.startswith(given, autoescape=True)).limit(2)
    with relational.reading() as session:
        runs = list(session.scalars(query)) if given else []
        session.expunge_all()
    if len(runs) != 1:
        what = "several runs begin so" if runs else "no run begins so"
        raise ValueError(f"{name}: {given!r} is not allowed: {what}; 'tracebank eval runs' lists them")
    return runs[0]


def _interval(row: dict[str, float | None]) -> str:
    ends = f" ({row['low']:.2f} to {row['high']:.2f})" if row["low"] is not None and row["high"] is not None else ""
    return f"{_number(row['value'])}{ends}"


def _about(row: dict[str, float | None]) -> str:
    """A value with half of its interval."""
    half = (row["high"] - row["low"]) / 2 if row["low"] is not None and row["high"] is not None else None
    return _number(row["value"]) + (f"±{half:.2f}" if half is not None else "")


def _number(value: float | None, digits: int = 2) -> str:
    """So many digits behind the point; what would read as 0 by two that count."""
    if value is None:
        return ""
    return f"{value:.{digits}f}" if value == 0 or abs(value) >= 10**-digits / 2 else f"{value:.1e}"
