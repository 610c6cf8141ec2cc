"""Gaps over time as pictures: a panel for each measure, a line for each mitigation, bands over seeds."""

from pathlib import Path
from typing import Final

import polars as pl

from tracebank_assets.fairness.configs import AS_THEY_ARE

_PANELS: Final = {
    "opportunity_gap": "gap of true positive rates",
    "score_gap": "gap of mean scores",
    "utility": "utility per person",
    "stress": "stress (not calibrated)",
}


def draw_gaps(periods: pl.DataFrame, path: Path) -> Path:
    """Draw the means over seeds of runs with groups as they are: fitted again solid, fitted once dashed.

    Args:
        periods: One row a period of runs of one world.
        path: Of the SVG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    plain = periods.filter(pl.col("groups") == AS_THEY_ARE)
    names = plain["mitigation"].unique(maintain_order=True).to_list()
    # Text stays text, so that it can be found and read out; no date, so that the same points give the same file.
    with rc_context({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        for axes, (measure, label) in zip(figure.subplots(2, 2).flat, _PANELS.items(), strict=True):
            axes.spines[["top", "right"]].set_visible(False)
            for (name, every), part in plain.group_by("mitigation", "every", maintain_order=True):
                line = part.group_by("period").agg(pl.col(measure).mean()).sort("period").drop_nulls()
                smooth = line.with_columns(pl.col(measure).rolling_mean(5, min_samples=1))
                style, told = ("-", str(name)) if every else ("--", None)
                width = 2.0 if name == names[0] else 1.0
                colour = f"C{names.index(name) % 10}" if names.index(name) < 10 else "black"
                axes.plot(smooth["period"], smooth[measure], style, c=colour, lw=width, label=told)
            axes.set_xlabel("period")
            axes.set_ylabel(label)
        figure.suptitle(f"{plain['world'][0]}: fitted again (solid) and once (dashed), mean over seeds")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
    return path
