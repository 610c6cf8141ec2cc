"""The finding as a picture: mean loss against size, a line for each condition."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from .conditions import CONDITIONS

_LABELS: Final = {
    "swap": "names swapped",
    "no_swap": "no swap",
    "unrelated": "other names swapped",
    "alias": "names given other names",
    "twice": "swapped twice",
}


def draw_losses(summary: pl.DataFrame, path: Path, metric: str = "loss") -> Path:
    """Draw means with 95 % intervals over parameters, both on log axes; the swap stands out, controls are thin.

    Args:
        summary: Rows of `loss_summary`.
        path: Of the picture, SVG or PNG by its suffix.
        metric: `loss` or `normalised_loss`.

    Raises:
        ValueError: There is nothing of this metric to draw.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = summary.filter(pl.col("metric") == metric).drop_nulls("value").sort("parameters")
    if rows.is_empty():
        raise ValueError(f"metric: {metric!r} has no row in the summary; allowed: loss or normalised_loss")
    # Text stays text, so that it can be found and read out; no date, so that the same points give the same file.
    with rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for condition in CONDITIONS:
            some = rows.filter(pl.col("condition") == condition)
            swap = condition == "swap"
            axes.plot(
                some["parameters"],
                some["value"],
                "o-" if swap else ".--",
                lw=2 if swap else 1,
                label=_LABELS[condition] if some.height else None,
            )
            known = some.drop_nulls(["low", "high"])
            axes.fill_between(known["parameters"], known["low"], known["high"], alpha=0.15)
        axes.set_xlabel("parameters without embeddings")
        axes.set_ylabel("mean loss, nats" + (" per token" if metric == "normalised_loss" else ""))
        axes.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path
