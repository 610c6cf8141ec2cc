"""Plots of the report, as SVG text to stand inside the page."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final

from tracebank_benchmarks.tsdb.report.figures import Figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = ("#3b6fb6", "#e08b3e", "#5aa469", "#a05bb0", "#c9504e", "#7d7d7d", "#2aa1a8", "#b3a12f")
_WIDTH: Final = 8.0


def _figure(rows: int) -> tuple[Figure, Axes]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as NewFigure

    with rc_context({"font.size": 10}):
        figure = NewFigure(figsize=(_WIDTH, 0.9 + 0.38 * rows), layout="constrained")
        axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    from matplotlib import rc_context

    out = io.StringIO()
    # Text stays text, so that it can be found and read out; no date, so that the same run gives the same page.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = out.getvalue()
    return text[text.index("<svg") :]


def ranks(figures: Figures) -> str:
    """Scores with their intervals."""
    names = list(figures.ranks)
    figure, axes = _figure(len(names))
    for row, name in enumerate(names):
        rank = figures.ranks[name]
        axes.plot([rank.low, rank.high], [row, row], color=_COLOURS[0], linewidth=5, alpha=0.35, solid_capstyle="butt")
        axes.plot([rank.value], [row], "o", color=_COLOURS[0])
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    if max(rank.high for rank in figures.ranks.values()) > 8:
        axes.set_xscale("log")
    axes.set_xlabel("times the best, geometric mean over reads (1 = fastest everywhere)")
    axes.grid(axis="x", alpha=0.3)
    return _svg(figure)


def loads(figures: Figures) -> str:
    """Phases of the bulk load, stacked."""
    found = figures.measures("W1")
    figure, axes = _figure(len(found))
    left = [0.0] * len(found)
    for colour, phase in zip(_COLOURS, ("serialise", "send", "settle"), strict=False):
        widths = [one[f"{phase}_seconds"] for one in found.values()]
        axes.barh(list(found), widths, left=left, color=colour, label=phase)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    figure.legend(frameon=False, loc="outside upper right", ncols=3)
    return _svg(figure)


def sizes(figures: Figures) -> str:
    """Bytes per row of both tables."""
    found = figures.measures("S1")
    tables = ("bench_trades", "bench_book")
    figure, axes = _figure(len(found) * 2)
    for offset, (table, colour) in enumerate(zip(tables, _COLOURS, strict=False)):
        places = [row + 0.2 * (2 * offset - 1) for row in range(len(found))]
        widths = [one[f"{table}_bytes_per_row"] for one in found.values()]
        bars = axes.barh(places, widths, height=0.38, color=colour, label=table.removeprefix("bench_"))
        axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel("bytes per row on disk")
    figure.legend(frameon=False, loc="outside upper right", ncols=2)
    return _svg(figure)


def times(figures: Figures) -> str:
    """Median of every read, a line per entry, on a logarithmic axis."""
    figure, axes = _figure(9)
    for number, entry in enumerate(figures.entries):
        points = [(figures.result(entry, read) or {}).get("median_seconds") for read in figures.reads]
        values = [math.nan if seconds is None else seconds for seconds in points]
        style = "o-" if entry.endswith("/idiomatic") else "s--"
        axes.plot(figures.reads, values, style, color=_COLOURS[number % len(_COLOURS)], label=entry, markersize=4)
    axes.set_yscale("log")
    axes.set_ylabel("seconds, median")
    axes.tick_params(axis="x", labelrotation=90)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(frameon=False, fontsize=8, ncols=3, loc="outside upper left")
    return _svg(figure)
