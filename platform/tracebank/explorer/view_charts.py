"""What is drawn of a view's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from tracebank.explorer.charts import Bar, Line, Point, bar_chart, line_chart, scatter_chart
from tracebank.explorer.view_tables import moment, number, shown, values_of
from tracebank.explorer.views import Answer, Chart, View

UTC: Final = "UTC"
"""Unit of times as the store has them: seconds since 1970."""
_MOST: Final = 24
"""Charts of one page."""
_TOLD_OF_ROLLOUTS: Final = ("reward", "cost", "satisfied")
"""How lines begin that are drawn of a rollout; all others are places, which are played back."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart of a page."""

    title: str
    drawn: Markup


def charts_of(view: View, answer: Answer) -> list[Drawn]:
    """Charts of a view; the first 24 where its rows fall into more."""
    chart = view.chart
    if chart is None or not answer.rows:
        return []
    parts: dict[tuple[str, ...], list[Row]] = {}
    for values in answer.rows:
        row = dict(zip(answer.columns, values, strict=True))
        if chart.kind == "rollout" and not str(row["line"]).startswith(_TOLD_OF_ROLLOUTS):
            continue
        parts.setdefault(tuple(shown(row[name]) for name in chart.apart), []).append(row)
    draw = {"bars": _bars, "lines": _lines, "points": _points, "curves": _curves, "rollout": _curves}[chart.kind]
    titles = [", ".join(filter(None, key)) or view.title for key in parts]
    some = list(zip(titles, parts.values(), strict=True))[:_MOST]
    colours = _colours(chart, [row for rows in parts.values() for row in rows]) if chart.kind == "bars" else {}
    return [Drawn(title, draw(chart, rows, title, colours)) for title, rows in some]


def _colours(chart: Chart, rows: Sequence[Row]) -> dict[str, int]:
    """The colour of each value of the last column that names bars: the same in all charts of a page."""
    return {name: place for place, name in enumerate(sorted({shown(row[chart.by[-1]]) for row in rows}))}


def _bars(chart: Chart, rows: Sequence[Row], title: str, colours: Mapping[str, int]) -> Markup:
    bars = [
        Bar(_name(chart, row, rows), number(row[chart.y]), *_interval(row, chart.y), colours[shown(row[chart.by[-1]])])
        for row in rows
    ]
    return bar_chart(bars, chart.y_label, title)


def _lines(chart: Chart, rows: Sequence[Row], title: str, _: object) -> Markup:
    is_time = any(number(row[chart.x]) is None for row in rows)
    found: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        x = moment(row[chart.x]) if is_time else number(row[chart.x])
        if x is not None:
            found.setdefault(_name(chart, row, rows), []).append((x, row))
    lines = []
    for name, told in found.items():
        ends = [_interval(row, chart.y) for _, row in told]
        ys = [number(row[chart.y]) for _, row in told]
        lines.append(Line(name, [x for x, _ in told], ys, [end[0] for end in ends], [end[1] for end in ends]))
    return line_chart(lines, chart.x_label, chart.y_label, title, log_x=chart.log_x, time_x=is_time)


def _points(chart: Chart, rows: Sequence[Row], title: str, _: object) -> Markup:
    points = []
    for row in rows:
        x, y = number(row[chart.x]), number(row[chart.y])
        if x is not None and y is not None:
            ends = [_interval(row, name) for name in (chart.x, chart.y)]
            whole = [(low, high) if low is not None and high is not None else None for low, high in ends]
            points.append(Point(_name(chart, row, rows), x, y, *whole))
    return scatter_chart(points, chart.x_label, chart.y_label, title, log_x=chart.log_x)


def _curves(chart: Chart, rows: Sequence[Row], title: str, _: object) -> Markup:
    lines = [
        Line(
            _name(chart, row, rows),
            [x or 0.0 for x in values_of(row["xs"])],
            values_of(row["ys"]),
            values_of(row["lows"]),
            values_of(row["highs"]),
        )
        for row in rows
    ]
    first = rows[0]
    units = {row["y_unit"] for row in rows}
    label = ", ".join(filter(None, (chart.y_label, first["y_unit"] if len(units) == 1 else "")))
    return line_chart(lines, first["x_unit"], label, title, time_x=first["x_unit"] == UTC)


def _name(chart: Chart, row: Row, rows: Sequence[Row]) -> str:
    """What tells a row from others: values of the chart's columns, those left out that are the same in all rows."""
    apart = [name for name in chart.by if len({shown(one[name]) for one in rows}) > 1] or chart.by[-1:]
    return ", ".join(shown(row[name]) if isinstance(row[name], str) else f"{name} {shown(row[name])}" for name in apart)


def _interval(row: Row, name: str) -> tuple[float | None, float | None]:
    return number(row.get(f"{name}_low")), number(row.get(f"{name}_high"))
