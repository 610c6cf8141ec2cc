"""A world as a picture: gaps over time, with bands over seeds, and what each mitigation changes, with intervals."""

from pathlib import Path
from typing import Any, Final

import polars as pl

from tracebank_assets.fairness.configs import AS_THEY_ARE
from tracebank_models.fairness_worlds.names import NOTHING

_LINES: Final = {"opportunity_gap": "gap of true positive rates", "score_gap": "gap of mean scores"}
_CHANGES: Final = {"opportunity_gap": "change of the mean gap", "utility": "change of utility per person"}
_TOLD: Final = 4
"""Mitigations that have a colour; all others are grey."""
_SURE: Final = 0.05
_FITTED: Final = (("again", "o", "-", 0.16), ("once", "s", "--", -0.16))
"""Word, marker, line and place of runs that are fitted again and of those that are fitted once."""


def draw_gaps(periods: pl.DataFrame, differences: pl.DataFrame, path: Path) -> Path:
    """Draw runs with groups as they are, of the labels of the accepted and without feedback where there are such.

    Coloured are the mitigations that change the last gap of true positive rates most, and surely if any does.

    Args:
        periods: One row a period of runs of one world.
        differences: What each factor changes there.
        path: Of the SVG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    plain, changes = _plain(periods), pl.DataFrame()
    if differences.height:
        changes = _plain(differences.filter(factor="mitigation"))
    colours = _colours(plain, changes)
    # Text stays text, so that it can be found and read out; no date, so that the same points give the same file.
    with rc_context({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure = Figure(figsize=(9, 7), layout="constrained")
        grid = figure.subplots(2, 2)
        for axes in grid.flat:
            axes.spines[["top", "right"]].set_visible(False)
        for axes, (measure, label) in zip(grid[:, 0], _LINES.items(), strict=True):
            _draw_lines(axes, plain, measure, colours)
            axes.set(xlabel="period", ylabel=label)
        for axes, (measure, label) in zip(grid[:, 1], _CHANGES.items(), strict=True):
            part = changes.filter(measure=measure, statistic="mean") if changes.height else changes
            _draw_changes(axes, part, colours)
            axes.set_xlabel(label)
        figure.suptitle(
            f"{plain['world'][0]}: fitted again (solid, circles) and once (dashed, squares), {plain['seed'].n_unique()}"
            f" seeds;\nfilled where Holm's p is below {_SURE}"
        )
        grid[0, 0].legend(frameon=False, fontsize=7)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        figure.savefig(path, metadata={"Date": None})
    return path


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    found = rows.filter(groups=AS_THEY_ARE)
    accepted = found.filter(labels="accepted")
    found = accepted if accepted.height else found.filter(labels=found["labels"].min())
    return found.filter(feedback=found["feedback"].min())


def _colours(plain: pl.DataFrame, changes: pl.DataFrame) -> dict[str, str]:
    """Of each mitigation, none first."""
    names = plain["mitigation"].unique(maintain_order=True).to_list()
    first = [name for name in names if name not in NOTHING]
    if changes.height:
        last = changes.filter(measure="opportunity_gap", statistic="last")
        unsure = (pl.col("adjusted") >= _SURE).fill_null(value=True)
        ranked = last.sort(unsure, -pl.col("value").abs(), "mitigation", nulls_last=True)
        first = ranked["mitigation"].unique(maintain_order=True).to_list()
    told = {name: "black" for name in names if name in NOTHING}
    told |= {name: f"C{number}" for number, name in enumerate(first[:_TOLD])}
    return told | {name: "0.75" for name in names if name not in told}


def _draw_lines(axes: Any, plain: pl.DataFrame, measure: str, colours: dict[str, str]) -> None:
    for name, colour in reversed(colours.items()):
        for every, (_, _, style, _) in zip((True, False), _FITTED, strict=True):
            part = plain.filter(pl.col("mitigation") == name, (pl.col("every") > 0) == every)
            mean, error = pl.col(measure).mean(), pl.col(measure).std() / pl.len().sqrt()
            line = (
                part.group_by("period").agg(mean.alias("mean"), error.alias("error")).sort("period").drop_nulls("mean")
            )
            if line.is_empty():
                continue
            line = line.with_columns(pl.col("mean", "error").rolling_mean(5, min_samples=1))
            told = name if colour != "0.75" and every else None
            axes.plot(line["period"], line["mean"], style, c=colour, lw=1.2 if colour != "0.75" else 0.6, label=told)
            if colour != "0.75" and every and line["error"].null_count() == 0:
                low, high = line["mean"] - line["error"], line["mean"] + line["error"]
                axes.fill_between(line["period"], low, high, color=colour, alpha=0.15, lw=0)


def _draw_changes(axes: Any, changes: pl.DataFrame, colours: dict[str, str]) -> None:
    if changes.is_empty():
        axes.set_visible(False)
        return
    order = changes.filter(pl.col("every") == changes["every"].max()).sort("value", descending=True)["mitigation"]
    at = {name: place for place, name in enumerate(order.to_list())}
    for row in changes.iter_rows(named=True):
        _, marker, _, aside = _FITTED[0 if row["every"] else 1]
        colour = colours[row["mitigation"]]
        sure = row["adjusted"] is not None and row["adjusted"] < _SURE
        place = at.get(row["mitigation"])
        if place is None or row["value"] is None:
            continue
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place + aside] * 2, c=colour if colour != "0.75" else "0.5", lw=1)
        axes.plot(row["value"], place + aside, marker, c=colour if colour != "0.75" else "0.5", ms=4,
                  mfc=None if sure else "white")  # fmt: skip
    axes.axvline(0, c="0.6", lw=0.6)
    axes.set_yticks(list(at.values()), list(at))
