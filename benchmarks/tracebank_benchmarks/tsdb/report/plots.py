"""Plots of the report, as SVG text to stand inside the page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from tracebank_benchmarks.tsdb.concurrency.steps import OPEN_PERCENT
from tracebank_benchmarks.tsdb.report import concurrency
from tracebank_benchmarks.tsdb.report.figures import Figures, workload_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = ("#3b6fb6", "#e08b3e", "#5aa469", "#a05bb0", "#c9504e", "#7d7d7d", "#2aa1a8", "#b3a12f")
_WIDTH: Final = 8.0
_INK: Final = "#010203"
"""Stands for the page's own colour of text, light or dark."""
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 10, "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK,
    "ytick.color": _INK, "grid.color": _INK,
}  # fmt: skip


def colours(figures: Figures) -> list[str]:
    """Colour of each entry, in all plots."""
    return [_COLOURS[number % len(_COLOURS)] for number in range(len(figures.entries))]


def _mark(artists: Iterable[Artist], figures: Figures, entry: str) -> None:
    """Have the page switch what is drawn of an entry on and off."""
    for artist in artists:
        artist.set_gid(f"e{figures.entries.index(entry)}.")


def _figure(rows: int, height: float = 0.38) -> tuple[Figure, Axes]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as NewFigure

    with rc_context(_STYLE):
        figure = NewFigure(figsize=(_WIDTH, 0.9 + height * rows), layout="constrained")
        axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    from matplotlib import rc_context

    out = io.StringIO()
    # Text stays text, so that it can be found and read out; no date, so that the same run gives the same page.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = out.getvalue().replace(_INK, "currentColor")
    return text[text.index("<svg") :]


def ranks(figures: Figures) -> str:
    """Scores with their intervals."""
    names = list(figures.ranks)
    figure, axes = _figure(len(names))
    for row, name in enumerate(names):
        rank, colour = figures.ranks[name], colours(figures)[figures.entries.index(name)]
        span = axes.plot([rank.low, rank.high], [row, row], color=colour, linewidth=5, alpha=0.4, solid_capstyle="butt")
        _mark([*span, *axes.plot([rank.value], [row], "o", color=colour)], figures, name)
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
        bars = axes.barh(list(found), widths, left=left, color=colour, label=phase)
        for entry, bar in zip(found, bars, strict=True):
            _mark([bar], figures, entry)
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
        labels = axes.bar_label(bars, fmt="%.1f", padding=3)
        for entry, bar, label in zip(found, bars, labels, strict=True):
            _mark([bar, label], figures, entry)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel("bytes per row on disk")
    figure.legend(frameon=False, loc="outside upper right", ncols=2)
    return _svg(figure)


def times(figures: Figures) -> str:
    """Median of every read by its name, a dot for each entry, on a logarithmic axis."""
    figure, axes = _figure(len(figures.reads), 0.25)
    for entry, colour in zip(figures.entries, colours(figures), strict=True):
        found = {read: figures.result(entry, read) or {} for read in figures.reads}
        points = [(row, one["median_seconds"]) for row, one in enumerate(found.values()) if one.get("median_seconds")]
        style = "o" if entry.endswith("/idiomatic") else "s"
        drawn = axes.plot([seconds for _, seconds in points], [row for row, _ in points], style, color=colour,
                          label=entry, markersize=5, alpha=0.85)  # fmt: skip
        _mark(drawn, figures, entry)
    axes.set_yticks(range(len(figures.reads)), [f"{workload_name(read)}  {read}" for read in figures.reads])
    axes.set_ylim(len(figures.reads) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_xlabel("seconds, median")
    axes.grid(alpha=0.2)
    figure.legend(frameon=False, fontsize=8, ncols=3, loc="outside upper left")
    return _svg(figure)


def latencies(figures: Figures) -> str:
    """Latency over requests a second of the open loop: the median dashed, the tail solid."""
    figure, axes = _figure(9)
    for entry, found in figures.measures("Q1").items():
        colour = colours(figures)[figures.entries.index(entry)]
        rows = [concurrency.open_point(found, percent) for percent in OPEN_PERCENT]
        kept = [row for row in rows if row is not None]
        offered = [row.offered for row in kept]
        median = axes.plot(offered, [row.p50 for row in kept], "--", color=colour, linewidth=1)
        tail = axes.plot(offered, [row.tail for row in kept], "o-", color=colour, label=entry, markersize=4)
        _mark([*median, *tail], figures, entry)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("requests a second, offered")
    axes.set_ylabel("seconds from the intended start")
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, fontsize=8, ncols=3, loc="outside upper left")
    return _svg(figure)


def ingest_rates(figures: Figures) -> str:
    """Rows acknowledged a second over time: a panel for each point, a line for each entry, what was offered dotted."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as NewFigure

    points = concurrency.ingest_points(figures)
    lines = -(-len(points) // 2)
    with rc_context({**_STYLE, "font.size": 9}):
        figure = NewFigure(figsize=(_WIDTH, 0.7 + 1.7 * lines), layout="constrained")
        panels = figure.subplots(lines, 2, squeeze=False)
    for panel, point in zip(panels.flat, points, strict=False):
        _ingest_panel(panel, figures, point)
    for panel in panels.flat[len(points) :]:
        panel.set_axis_off()
    handles = {
        text: line for panel in panels.flat for line, text in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(list(handles.values()), list(handles), frameon=False, fontsize=8, ncols=3, loc="outside upper left")
    figure.supxlabel("seconds", fontsize=9)
    figure.supylabel("rows a second", fontsize=9)
    return _svg(figure)


def _ingest_panel(panel: Axes, figures: Figures, point: str) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(concurrency.point_name(point), fontsize=9)
    offered = None
    for number, entry in enumerate(figures.entries):
        seconds, rates = concurrency.ingest_curve(figures, entry, point)
        if rates:
            colour = colours(figures)[number]
            drawn = panel.step([0.0, *seconds], [rates[0], *rates], where="pre", color=colour, label=entry,
                               linewidth=1.2)  # fmt: skip
            _mark(drawn, figures, entry)
            offered = figures.measures("W2").get(entry, {}).get(f"{point}_offered_rows_per_second", offered)
    if offered:
        panel.axhline(offered, color="#7d7d7d", linestyle=":", linewidth=1)
    panel.set_ylim(bottom=0)
    panel.grid(axis="y", alpha=0.3)
