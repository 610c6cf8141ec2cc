"""Charts: well-formed, without styles of their own, hostile names escaped, and points where their values are."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from tracebank.explorer.chart_axes import Scale, letters, scale, short, shortened
from tracebank.explorer.charts import (
    Bar,
    Line,
    Point,
    bar_chart,
    histogram,
    line_chart,
    scatter_chart,
    sparkline,
)

HOSTILE = "<script>alert(1)</script>\"'&"
CHARTS = {
    "line": line_chart([Line(HOSTILE, [0, 1], [1, 2], [0, 1], [2, 3]), Line("b", [0], [2])], HOSTILE, HOSTILE, HOSTILE),
    "bar": bar_chart([Bar(HOSTILE, 1.0, 0.5, 1.5), Bar("b", -2.0)], HOSTILE, HOSTILE),
    "scatter": scatter_chart([Point(HOSTILE, 1, 2, (0.5, 1.5), (1, 3))], HOSTILE, HOSTILE, HOSTILE),
    "histogram": histogram([1, 0, 3], -1, 2, HOSTILE, HOSTILE),
    "sparkline": sparkline([1, None, 3], HOSTILE),
}  # fmt: skip


def _numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", path)]


def _all(chart: Markup, tag: str, kind: str = "") -> list[ElementTree.Element]:
    found = ElementTree.fromstring(chart).iter(tag)
    return [one for one in found if kind in (one.get("class") or "").split() or not kind]


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_a_chart_is_well_formed_and_has_no_style_of_its_own(chart: Markup) -> None:
    root = ElementTree.fromstring(chart)
    assert root.get("role") == "img"
    assert root[0].tag == "title"
    assert root[0].text == HOSTILE
    for one in root.iter():
        assert not {"style", "fill", "stroke", "onload"} & set(one.keys()), "colours are classes"
        assert one.tag != "script"
        for value in one.attrib.values():
            assert "nan" not in value.lower()
            assert "inf" not in value.lower()


def test_a_line_goes_through_its_points_and_breaks_where_there_is_none() -> None:
    chart = line_chart([Line("a", [0, 1, 2, 3, 4], [0, 10, None, 10, math.nan])], "x", "y", "title")
    stroke = next(one for one in _all(chart, "path", "line") if one.get("d", "").count("L"))
    assert [piece.count("L") for piece in stroke.get("d", "")[1:].split("M")] == [1, 0]
    dots = [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in _all(chart, "circle")]
    assert len(dots) == 3
    (x0, y0), (x1, y1), (x3, y3) = dots
    assert y1 == y3 < y0, "larger is higher"
    assert x3 - x1 == pytest.approx(2 * (x1 - x0), abs=0.3)


def test_bands_are_drawn_and_many_points_have_no_dots() -> None:
    xs = list(range(100))
    ys = [math.sin(x / 9) for x in xs]
    chart = line_chart([Line("a", xs, ys, [y - 1 for y in ys], [y + 1 for y in ys])], "x", "y", "t")
    assert len(_all(chart, "path", "band")) == 1
    assert not _all(chart, "circle")
    assert "100 points" in chart


def test_a_logarithmic_scale_leaves_out_what_has_no_logarithm() -> None:
    chart = line_chart([Line("a", [0, 1, 10, 100], [5, 1, 2, 3])], "x", "y", "t", log_x=True)
    xs = [float(one.get("cx", "")) for one in _all(chart, "circle")]
    assert len(xs) == 3
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.3)
    points = scatter_chart([Point("a", 0, 1), Point("a", 10, 1, (-1, 20))], "x", "y", "t", log_x=True)
    assert len(_all(points, "circle")) == 1
    assert not _all(points, "path", "whisker"), "an interval that reaches below 0 has no place"


def test_times_are_told_in_utc() -> None:
    hours = range(24)
    line = Line("a", [1_722_985_200 + 3600 * hour for hour in hours], list(hours))
    chart = line_chart([line], "UTC", "y", "t", time_x=True)
    texts = {one.text for one in _all(chart, "text")}
    assert "07 Aug 00:00" in texts or "00:00" in texts


def test_bars_begin_at_nought_and_whiskers_are_their_intervals() -> None:
    chart = bar_chart([Bar("a", 2.0, 1.0, 3.0), Bar("b", -1.0), Bar("c", None), Bar("d", math.nan)], "s", "t")
    first, second = _all(chart, "rect", "bar")
    start, width = float(first.get("x", "")), float(first.get("width", ""))
    assert float(second.get("x", "")) + float(second.get("width", "")) == pytest.approx(start, abs=0.2)
    assert width == pytest.approx(2 * float(second.get("width", "")), abs=0.3)
    low, *_, high = (_numbers(_all(chart, "path", "whisker")[0].get("d", ""))[at] for at in (0, 5))
    assert low == pytest.approx(start + width / 2, abs=0.3)
    assert high == pytest.approx(start + 1.5 * width, abs=0.3)


def test_more_bars_than_can_be_read_are_counted() -> None:
    chart = bar_chart([Bar(str(n), float(n)) for n in range(300)], "s", "t")
    assert len(_all(chart, "rect", "bar")) == 200
    assert "300 bars, the first 200 are drawn" in chart


def test_labels_have_room() -> None:
    chart = bar_chart([Bar("x" * 90, 1.0), Bar("y", 2.0)], "s", "t")
    for text in _all(chart, "text"):
        if text.get("text-anchor") == "end":
            assert float(text.get("x", "")) - letters(text.text or "") >= 0
    assert shortened("abcdefghij", letters("abcde")) == "ab…ij"


def test_a_histogram_has_a_bar_for_each_bin() -> None:
    bars = _all(histogram([5, 0, 10], 0, 3, "activation", "t"), "rect", "bar")
    heights = [float(bar.get("height", "")) for bar in bars]
    assert heights[2] == pytest.approx(2 * heights[0], abs=0.3)
    assert heights[1] == 0
    assert len(_all(histogram([3], 1.0, 1.0, "constant", "t"), "rect", "bar")) == 1


@pytest.mark.parametrize(
    "chart",
    [
        line_chart([], "x", "y", HOSTILE),
        line_chart([Line("a", [1, 2], [None, math.inf])], "x", "y", HOSTILE),
        bar_chart([], "y", HOSTILE),
        scatter_chart([Point("a", math.nan, 1)], "x", "y", HOSTILE),
        histogram([], 0, 1, "x", HOSTILE),
        histogram([1], 0, math.nan, "x", HOSTILE),
    ],
)
def test_where_there_is_nothing_it_is_said(chart: Markup) -> None:
    assert chart.startswith('<p class="quiet">&lt;script&gt;')
    assert "nothing to draw" in chart


def test_what_has_no_values_has_no_sparkline() -> None:
    assert sparkline([]) == sparkline([None, math.nan]) == ""
    assert "from 1 to 3" in sparkline([1, 2, 3])
    assert "<svg" in sparkline([7]), "one value is a line of one point"


@pytest.mark.parametrize("values", [[0.0], [1e-12, 2e-12], [-5.0, 1e9], [3.0, 3.0], [1.7e9, 1.7e9 + 1e-3]])
def test_marks_are_round_and_within_the_ends(values: list[float]) -> None:
    found = scale(values, 0, 100)
    marks = found.marks()
    assert 1 <= len(marks) <= 9
    assert all(-1 <= found(at) <= 101 for at, _ in marks)
    assert len({told for _, told in marks}) == len(marks) or max(values) - min(values) < 1e-9 * max(map(abs, values))


def test_times_without_a_date_have_no_marks() -> None:
    assert Scale(1e15, 2e15, 0, 1, "time").marks() == []
    assert Scale(0, 1e11, 0, 1, "time").marks(), "some thousand years"
    assert [short(value) for value in (0, 1234.5678, 1e7, 1e-5, 123456)] == ["0", "1,235", "1e+07", "1e-05", "123,456"]
