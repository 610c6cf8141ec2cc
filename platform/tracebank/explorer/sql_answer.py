"""An answer of SQL as a table and a chart. What it holds may be anything: it is escaped."""

from __future__ import annotations

from typing import Any, Final

from markupsafe import Markup, escape

from tracebank.explorer.charts import Bar, Line, Point, bar_chart, line_chart, scatter_chart

_MOST_LINES: Final = 24


def table(answer: dict[str, Any]) -> Markup:
    """Heads and rows, numbers to the right."""
    numbers = [' class="number"' if column["is_number"] else "" for column in answer["columns"]]
    starts = [f"<td{kind}>" for kind in numbers]
    heads = "".join(
        f'<th scope="col"{kind} title="{escape(column["type"])}">{escape(column["name"])}</th>'
        for column, kind in zip(answer["columns"], numbers, strict=True)
    )
    null = '<span class="quiet">null</span>'
    rows = (
        "".join(
            f"{start}{null if text is None else escape(text)}</td>" for start, text in zip(starts, row, strict=True)
        )
        for row in answer["rows"]
    )
    return Markup(f"<thead><tr>{heads}</tr></thead><tbody><tr>{'</tr><tr>'.join(rows)}</tr></tbody>")


def drawn(kind: str, points: dict[str, Any]) -> tuple[Markup, str]:
    """A chart of an answer's points.

    Args:
        kind: line, bar or scatter.
        points: as `sql_worker` gives them.

    Returns:
        The chart; or nothing, and one line that says why.
    """
    if "problem" in points:
        return Markup(""), points["problem"]
    x_label, y_label, by_label = points["names"]
    title = f"{y_label} by {x_label}" + (f" and {by_label}" if by_label else "")
    names = points["by"] or [y_label] * len(points["y"])
    if kind == "bar":
        groups = list(dict.fromkeys(names))
        bars = [
            Bar(f"{label} {name}" if by_label else label, y, group=groups.index(name))
            for label, y, name in zip(points["labels"], points["y"], names, strict=True)
        ]
        return bar_chart(bars, y_label, title), ""
    if points["kind"] == "label":
        return Markup(""), f"chart: {x_label} holds no numbers or times to be drawn along; choose bars"
    if kind == "scatter":
        if points["kind"] == "time":
            return Markup(""), f"chart: {x_label} holds times; choose lines or bars"
        placed = zip(names, points["x"], points["y"], strict=True)
        return scatter_chart([Point(n, x, y) for n, x, y in placed if None not in (x, y)], x_label, y_label, title), ""
    return _lines(points, names, (x_label, y_label, title))


def _lines(points: dict[str, Any], names: list[str], said: tuple[str, str, str]) -> tuple[Markup, str]:
    by_name: dict[str, list[tuple[float, float | None]]] = {}
    for name, x, y in zip(names, points["x"], points["y"], strict=True):
        if x is not None:
            by_name.setdefault(name, []).append((x, y))
    lines = []
    for name, placed in list(by_name.items())[:_MOST_LINES]:
        placed.sort(key=lambda pair: pair[0])
        lines.append(Line(name, [x for x, _ in placed], [y for _, y in placed]))
    left = len(by_name) - len(lines)
    told = f"chart: the first {_MOST_LINES} of {len(by_name)} lines are drawn" if left else ""
    return line_chart(lines, *said, time_x=points["kind"] == "time"), told
