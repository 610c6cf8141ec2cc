"""What `slope` found, as a table for a terminal, as JSON and as a plot for the docs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Column, Table

from tracebank_benchmarks.stores.slope import OPERATIONS, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Final = {
    "clickhouse_embedded": "#e08b3e",
    "clickhouse": "#c9504e",
    "duckdb": "#5aa469",
    "postgresql": "#3b6fb6",
    "timescaledb": "#a05bb0",
}
_LINES: Final = ("-", "--", ":", "-.")


def short(number: float) -> str:
    """A large number in few characters."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def line(point: Point) -> str:
    """One point in a line, as it is done."""
    size = f" {point.rows:,} rows, {point.partitions:,} partitions" if point.rows else ""
    return f"{point.engine}:{size}{'; ' if size and point.reason else ' '}{point.reason}".rstrip()


def slope_table(points: Sequence[Point]) -> Table:
    """Every operation at every size: milliseconds, CPU milliseconds and the load of others."""
    right = [Column(name, justify="right") for name in ("rows", "parts", "p50", "p95", "CPU", "others")]
    table = Table("engine", "operation", *right, title="milliseconds", width=80, padding=(0, 0), pad_edge=False)
    for point in points:
        size = short(point.rows), short(point.partitions)
        for name, one in point.timings.items():
            cells = *(f"{1e3 * value:.1f}" for value in (one.p50, one.p95, one.cpu_seconds)), f"{one.foreign_share:.0%}"
            table.add_row(point.engine.removesuffix("_embedded"), name, *size, *cells)
        if point.reason and point.rows:
            table.add_row(point.engine.removesuffix("_embedded"), "not measured", *size)
    return table


def reasons(points: Sequence[Point]) -> list[str]:
    """Why points are missing, each reason of an engine once."""
    return list(dict.fromkeys(f"{point.engine}: {point.reason}" for point in points if point.reason))


def write_json(points: Sequence[Point], machine: dict[str, object], path: Path) -> None:
    """Write all of it to a file."""
    content = {"machine": machine, "points": [asdict(point) for point in points]}
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw a panel for each operation, p50 over rows, a line for each engine and number of partitions.

    Args:
        points: found.
        path: of the picture, SVG or PNG by its suffix.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    # Text stays text, so that it can be found and read out; no date, so that the same points give the same file.
    with rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure = Figure(figsize=(8, 6.5), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for panel, operation in zip(panels.flat, OPERATIONS, strict=True):
            _panel(panel, points, operation)
            panel.xaxis.set_major_formatter(FuncFormatter(lambda number, _: short(number)))
            panel.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
            panel.yaxis.set_minor_formatter("")
        handles = {
            text: line for panel in panels.flat for line, text in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(handles.values()), list(handles), frameon=False, ncols=3, loc="outside upper center")
        figure.supxlabel("rows of the table")
        figure.supylabel("milliseconds, median")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(panel: Axes, points: Sequence[Point], operation: str) -> None:
    panel.set_title(operation, fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.grid(alpha=0.3)
    numbers = sorted({point.partitions for point in points if point.rows})
    for engine in dict.fromkeys(point.engine for point in points):
        for style, partitions in enumerate(numbers):
            found = [
                (point.rows, 1e3 * point.timings[operation].p50)
                for point in points
                if (point.engine, point.partitions) == (engine, partitions) and operation in point.timings
            ]
            if found:
                label = f"{engine.replace('_', ' ')}, {short(partitions)} partitions"
                panel.plot(*zip(*found, strict=True), _LINES[style % len(_LINES)], marker="o", markersize=3,
                           color=_COLOURS.get(engine), label=label)  # fmt: skip
