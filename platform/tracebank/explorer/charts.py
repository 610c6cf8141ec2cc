"""Charts as SVG that the server draws: colours are classes of the style sheet, and each says in words what it shows.

Names and labels may be anything that users or stores say; they are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from tracebank.explorer.chart_axes import (
    HEIGHT,
    WIDTH,
    Kind,
    Scale,
    colour,
    dashes,
    drawing,
    frame,
    legend,
    letters,
    marks_below,
    scale,
    short,
    shortened,
    titled,
)

_POINTS: Final = 40
"""Points up to which each is drawn as a dot."""
_LEFT: Final = 64
_ROW: Final = 22
_MOST_BARS: Final = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A line; it is broken where a y is None or not finite."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    low: Sequence[float | None] = ()
    """Lower end of an interval at each x; empty: there is none."""
    high: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, with its interval where there is one."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    group: int = 0
    """Number of its colour, from 0."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a scatter chart, with intervals where there are."""

    name: str
    """Of what it is one; points of one name have one colour."""
    x: float
    y: float
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None


def line_chart(
    lines: Sequence[Line], x_label: str, y_label: str, title: str, log_x: bool = False, time_x: bool = False
) -> Markup:
    """Lines over a number or a time, with bands where they have intervals.

    Args:
        lines: what is drawn.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        title: what the chart is of.
        log_x: whether x is spread by its logarithm; points at or below 0 are left out.
        time_x: whether x is seconds since 1970, UTC.
    """
    kind: Kind = "log" if log_x else "time" if time_x else "linear"
    kept = [_drawable(line, log_x) for line in lines]
    every = [y for line in kept for y in (*line.ys, *line.low, *line.high) if y is not None]
    if not every:
        return _empty(title)
    names, top = legend([line.name for line in kept], 4) if len(kept) > 1 else (Markup(""), 4.0)
    bottom = top + HEIGHT - 40
    x = scale((at for line in kept for at in line.xs), _LEFT, WIDTH - 12, kind)
    y = scale(every, bottom - 6, top + 24)
    body = [names, frame(x, y, x_label, y_label)]
    body += [_band(line, index, x, y) for index, line in enumerate(kept)]
    body += [_stroke(line, index, x, y) for index, line in enumerate(kept)]
    return drawing(Markup("").join(body), bottom + 34, title, "; ".join(map(_in_words, kept[:12])))


def bar_chart(bars: Sequence[Bar], y_label: str, title: str) -> Markup:
    """Bars that lie, the first above, each with its value and its interval.

    Args:
        bars: at most 200 are drawn, and it is said how many there are; one without a value is left out.
        y_label: what the values are, with their unit.
        title: what the chart is of.
    """
    known = [bar for bar in bars if bar.value is not None and math.isfinite(bar.value)]
    if not known:
        return _empty(title)
    shown, left = known[:_MOST_BARS], min(240.0, max(letters(bar.label) for bar in known) + 16)
    ends = [end for bar in shown for end in (bar.value, bar.low, bar.high) if end is not None and math.isfinite(end)]
    widest = max(letters(short(bar.value or 0)) for bar in shown)
    x = scale(ends, left, WIDTH - widest - 14, zero=True)
    bottom = 8 + _ROW * len(shown)
    body = [_bar(bar, 8 + _ROW * row, x) for row, bar in enumerate(shown)]
    body.append(marks_below(x, bottom))
    body.append(Markup('<path class="axis" d="M{} 4V{}"/>').format(x(0.0), bottom))
    body.append(Markup('<text x="{}" y="{}">{}</text>').format(left, bottom + 34, y_label))
    more = f"; {len(known):,} bars, the first {len(shown)} are drawn" if len(known) > len(shown) else ""
    told = "; ".join(_bar_in_words(bar) for bar in shown[:12]) + more
    return drawing(Markup("").join(body), bottom + 42, title, told)


def scatter_chart(points: Sequence[Point], x_label: str, y_label: str, title: str, log_x: bool = False) -> Markup:
    """Points by two values, each with its intervals.

    Args:
        points: what is drawn; what is not finite is left out.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        title: what the chart is of.
        log_x: whether x is spread by its logarithm; points at or below 0 are left out.
    """
    kept = [p for p in points if math.isfinite(p.x) and math.isfinite(p.y) and (p.x > 0 or not log_x)]
    if not kept:
        return _empty(title)
    names = list(dict.fromkeys(point.name for point in kept))
    told, top = legend(names, 4)
    bottom = top + HEIGHT - 40
    ends = [end for p in kept for end in (p.x, *(p.x_interval or ()))]
    x = scale(ends, _LEFT, WIDTH - 12, "log" if log_x else "linear")
    y = scale([end for p in kept for end in (p.y, *(p.y_interval or ()))], bottom - 6, top + 24)
    body = [told, frame(x, y, x_label, y_label)]
    body += [_point(point, names.index(point.name), x, y) for point in kept]
    words = "; ".join(f"{p.name}: {short(p.x)}, {short(p.y)}" for p in kept[:12])
    return drawing(Markup("").join(body), bottom + 34, title, words)


def histogram(counts: Sequence[float], low: float, high: float, x_label: str, title: str) -> Markup:
    """How many there are in bins of equal width.

    Args:
        counts: of each bin.
        low: where the first bin begins.
        high: where the last ends.
        x_label: what is counted by, with its unit.
        title: what the chart is of.
    """
    if not counts or not math.isfinite(low) or not math.isfinite(high):
        return _empty(title)
    high = high if high > low else low + (abs(low) or 1.0)
    bottom = HEIGHT / 2
    x = Scale(low, high, _LEFT, WIDTH - 12)
    y = scale(counts, bottom, 26, zero=True)
    width = (high - low) / len(counts)
    body = [frame(x, y, x_label, "count")]
    form = Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}">{}</rect>')
    for number, count in enumerate(counts):
        start, end, above = x(low + number * width), x(low + (number + 1) * width), y(count)
        says = titled(f"{short(low + number * width)} to {short(low + (number + 1) * width)}: {count:,g}")
        body.append(form.format(start, above, round(max(0.5, end - start - 0.5), 1), round(y(0) - above, 1), says))
    most = max(range(len(counts)), key=counts.__getitem__)
    told = f"{sum(counts):,g} in {len(counts)} bins from {short(low)} to {short(high)}; most, {counts[most]:,g}, from "
    return drawing(Markup("").join(body), bottom + 38, title, told + short(low + most * width))


def sparkline(ys: Sequence[float | None], title: str = "") -> Markup:
    """A line without axes, the height of a line of text."""
    known = [y for y in ys if y is not None and math.isfinite(y)]
    if not known:
        return Markup("")
    x, y = Scale(0, max(1, len(ys) - 1), 2, 110), scale(known, 22, 2)
    line = _drawable(Line("", list(range(len(ys))), ys), False)
    told = title or f"from {short(known[0])} to {short(known[-1])}"
    form = Markup('<svg class="sparkline" viewBox="0 0 112 24" role="img">{}<path class="line" d="{}"/></svg>')
    return form.format(titled(told), _path(line.xs, line.ys, x, y))


def _drawable(line: Line, above_zero: bool) -> Line:
    """The line with None for what is not finite, and without what lies at no place."""
    places = [at for at, x in enumerate(line.xs) if math.isfinite(x) and (x > 0 or not above_zero)]

    def at_places(values: Sequence[float | None]) -> list[float | None]:
        taken = (values[at] for at in places) if values else ()
        return [None if value is None or not math.isfinite(value) else value for value in taken]

    xs = [line.xs[at] for at in places]
    return Line(line.name, xs, at_places(line.ys), at_places(line.low), at_places(line.high))


def _path(xs: Iterable[float], ys: Iterable[float | None], x: Scale, y: Scale) -> str:
    parts, pen = [], "M"
    for at, value in zip(xs, ys, strict=True):
        if value is None:
            pen = "M"
        else:
            parts.append(f"{pen}{x(at)} {y(value)}")
            pen = "L"
    return "".join(parts)


def _stroke(line: Line, index: int, x: Scale, y: Scale) -> Markup:
    known = [(at, value) for at, value in zip(line.xs, line.ys, strict=True) if value is not None]
    form = Markup('<path class="line {}" {}d="{}">{}</path>')
    drawn = form.format(colour(index), dashes(index), _path(line.xs, line.ys, x, y), titled(_in_words(line)))
    if len(known) > _POINTS:
        return drawn
    dot = Markup('<circle class="point {}" cx="{}" cy="{}" r="2.5">{}</circle>')
    dots = (dot.format(colour(index), x(a), y(v), titled(f"{line.name}: {short(v)}")) for a, v in known)
    return drawn + Markup("").join(dots)


def _band(line: Line, index: int, x: Scale, y: Scale) -> Markup:
    ends = [(a, b, c) for a, b, c in zip(line.xs, line.low, line.high, strict=False) if b is not None and c is not None]
    if not ends:
        return Markup("")
    there = "L".join(f"{x(at)} {y(high)}" for at, _, high in ends)
    back = "L".join(f"{x(at)} {y(low)}" for at, low, _ in reversed(ends))
    return Markup('<path class="band {}" d="M{}L{}Z"/>').format(colour(index), there, back)


def _bar(bar: Bar, top: float, x: Scale) -> Markup:
    assert bar.value is not None
    start, end = sorted((x(0.0), x(bar.value)))
    middle = top + _ROW / 2
    label = Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
        x.start - 8, middle + 4, shortened(bar.label, x.start - 10)
    )
    form = Markup('<rect class="bar {}" x="{}" y="{}" width="{}" height="{}">{}</rect>')
    width, says = round(max(end - start, 0.5), 1), titled(_bar_in_words(bar))
    drawn = form.format(colour(bar.group), start, top + 4, width, _ROW - 8, says)
    right = end
    if bar.low is not None and bar.high is not None and math.isfinite(bar.low) and math.isfinite(bar.high):
        whisker = Markup('<path class="whisker" d="M{0} {1}v6M{0} {2}H{3}M{3} {1}v6"/>')
        drawn += whisker.format(x(bar.low), middle - 3, middle, x(bar.high))
        right = max(right, x(bar.high))
    return label + drawn + Markup('<text x="{}" y="{}">{}</text>').format(right + 6, middle + 4, short(bar.value))


def _point(point: Point, index: int, x: Scale, y: Scale) -> Markup:
    at, up, hue = x(point.x), y(point.y), colour(index)
    says = titled(f"{point.name}: {short(point.x)}, {short(point.y)}")
    drawn = Markup('<circle class="point {}" cx="{}" cy="{}" r="4.5">{}</circle>').format(hue, at, up, says)
    form = Markup('<path class="whisker {}" d="M{} {}L{} {}"/>')
    if point.x_interval and (x.kind != "log" or point.x_interval[0] > 0):
        drawn += form.format(hue, x(point.x_interval[0]), up, x(point.x_interval[1]), up)
    if point.y_interval:
        drawn += form.format(hue, at, y(point.y_interval[0]), at, y(point.y_interval[1]))
    return drawn


def _in_words(line: Line) -> str:
    known = [y for y in line.ys if y is not None]
    if not known:
        return f"{line.name}: no values"
    told = f"{len(known):,} points from {short(known[0])} to {short(known[-1])}"
    return f"{line.name}: {told}, least {short(min(known))}, most {short(max(known))}"


def _bar_in_words(bar: Bar) -> str:
    told = f"{bar.label}: {short(bar.value or 0.0)}"
    return told if bar.low is None or bar.high is None else f"{told}, {short(bar.low)} to {short(bar.high)}"


def _empty(title: str) -> Markup:
    return Markup('<p class="quiet">{}: nothing to draw.</p>').format(title)
