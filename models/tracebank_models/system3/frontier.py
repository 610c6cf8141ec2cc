"""Return against cost, a point for each mode: up is better, left is safer."""

from __future__ import annotations

from pathlib import Path

import polars as pl


def draw_frontier(compared: pl.DataFrame, path: Path, cost: str = "violations_per_1000") -> Path:
    """Draw interquartile means with their intervals, of one environment.

    Args:
        compared: Rows of `comparison.compared` of one environment.
        path: Of the picture, SVG or PNG by its suffix.
        cost: The metric across; modes that have none, as those that do not learn, are left out.

    Raises:
        ValueError: There is nothing to draw.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    wide = compared.filter(pl.col("metric").is_in(["episode_return", cost])).pivot(
        "metric", index="mode", values=["iqm", "low", "high"]
    )
    names = [f"{part}_{metric}" for part in ("iqm", "low", "high") for metric in ("episode_return", cost)]
    if wide.is_empty() or not {names[0], names[1]} <= set(wide.columns):
        raise ValueError(f"compared: no mode has episode_return and {cost}; allowed: rows of modes that learn")
    points = wide.drop_nulls(names[:2]).sort("mode")
    with rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(points.iter_rows(named=True)):
            x, y, colour = row[f"iqm_{cost}"], row["iqm_episode_return"], f"C{place % 10}"
            # What knows nothing is the square that others are held beside.
            marker = "s" if row["mode"] == "reward" else "o" if place < 10 else "^"
            axes.plot(x, y, marker, markersize=6, color=colour, label=row["mode"], alpha=0.85)
            for metric in (cost, "episode_return"):
                low, high = row.get(f"low_{metric}"), row.get(f"high_{metric}")
                if low is not None and high is not None:
                    line = ((low, high), (y, y)) if metric == cost else ((x, x), (low, high))
                    axes.plot(*line, linewidth=0.9, color=colour, zorder=0)
        figure.legend(loc="outside right upper", fontsize=8)
        axes.set_xlabel(f"{cost.replace('_', ' ')} during training")
        axes.set_ylabel("return of an episode afterwards")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path
