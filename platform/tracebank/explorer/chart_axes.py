"""Scales, marks and the frame of a chart: where a value lies on a drawing, and what stands along its sides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from markupsafe import Markup, escape

Kind = Literal["linear", "log", "time"]
WIDTH: Final = 640
HEIGHT: Final = 300
_LETTER: Final = 7.0
"""Mean width of a letter of 12 px."""
_FURTHEST: Final = 253_402_300_799.0
"""The last second of the year 9999, beyond which a time has no date."""
_TIMES: Final = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000, 7776000)
"""Steps of marks of times, s; beyond them years."""
_YEAR: Final = 31557600


@dataclass(frozen=True, slots=True)
class Scale:
    """Where values lie between two ends of a drawing."""

    low: float
    high: float
    start: float
    end: float
    kind: Kind = "linear"

    def __call__(self, value: float) -> float:
        """Place of a value, rounded to a tenth of a pixel."""
        low, high, at = self.low, self.high, value
        if self.kind == "log":
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return round(self.start + (at - low) / (high - low) * (self.end - self.start), 1)

    def marks(self, most: int = 6) -> list[tuple[float, str]]:
        """Round values between the ends, each with what is written there."""
        if self.kind == "log":
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            if len(powers) >= 2:
                return [(10.0**power, short(10.0**power)) for power in powers[:: math.ceil(len(powers) / most)]]
        if self.kind == "time":
            return list(self._times(most))
        step = _step((self.high - self.low) / most)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return [
            (value, f"{value:,.{digits}f}" if 1e-4 <= step < 1e5 else f"{value:.3g}")
            for value in _multiples(self.low, self.high, step)
        ]

    def _times(self, most: int) -> Iterator[tuple[float, str]]:
        wanted = (self.high - self.low) / most
        step = next((step for step in _TIMES if step >= wanted), 0) or _YEAR * _step(wanted / _YEAR)
        form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86400 else "%d %b" if step < 2592000 else "%b %Y"
        if step < 86400 < self.high - self.low:
            form = "%d %b %H:%M"
        for value in _multiples(self.low, self.high, step):
            if abs(value) < _FURTHEST:
                yield value, datetime.fromtimestamp(value, UTC).strftime(form)


def scale(values: Iterable[float], start: float, end: float, kind: Kind = "linear", zero: bool = False) -> Scale:
    """A scale on which all values lie, with a little room.

    Args:
        values: finite ones; of a logarithmic scale only those above 0 count.
        start: place of the least.
        end: place of the largest.
        kind: how they are spread.
        zero: whether 0 has to be on it.
    """
    known = [value for value in values if kind != "log" or value > 0] + ([0.0] if zero else [])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if kind == "log":
        low, high = (low, high) if known else (1.0, 10.0)
        return Scale(low / 1.1, high * 1.1, start, end, kind)
    room = (high - low) * 0.04 or abs(high) * 0.05 or 1.0
    return Scale(
        low if zero and low == 0 else low - room, high if zero and high == 0 else high + room, start, end, kind
    )


def short(value: float) -> str:
    """A number as it is written along an axis or in the text of a mark: 4 digits."""
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def letters(text: str) -> float:
    """Width of a text of 12 px, about."""
    return len(text) * _LETTER


def shortened(text: str, room: float) -> str:
    """A text that is not wider than some pixels: its middle is left out."""
    most = max(3, int(room / _LETTER))
    return text if len(text) <= most else f"{text[: (most - 1) // 2]}…{text[len(text) - most // 2 :]}"


def frame(x: Scale, y: Scale, x_label: str, y_label: str) -> Markup:
    """The two axes with marks, their lines and labels; the one along y is written above it."""
    parts = []
    for value, told in y.marks(5):
        at = y(value)
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(x.start, at, x.end))
        parts.append(Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(x.start - 6, at + 4, told))
    parts.append(marks_below(x, max(y.start, y.end)))
    parts.append(Markup('<path class="axis" d="M{} {}V{}H{}"/>').format(x.start, y.end, y.start, x.end))
    middle = (x.start + x.end) / 2
    parts.append(Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(middle, y.start + 33, x_label))
    parts.append(Markup('<text x="{}" y="{}">{}</text>').format(2, y.end - 8, y_label))
    return Markup("").join(parts)


def marks_below(x: Scale, bottom: float) -> Markup:
    """Marks along the lower side, as many as do not run into each other."""
    marks = x.marks()
    widest = max((letters(told) for _, told in marks), default=0.0) + 12
    every = math.ceil(widest * len(marks) / max(1.0, abs(x.end - x.start))) or 1
    form = Markup('<path class="axis" d="M{} {}v4"/><text x="{}" y="{}" text-anchor="middle">{}</text>')
    return Markup("").join(form.format(x(at), bottom, x(at), bottom + 17, told) for at, told in marks[::every])


def drawing(body: Markup, height: float, title: str, told: str) -> Markup:
    """A whole chart.

    Args:
        body: what is drawn.
        height: of the drawing, px.
        title: what it is of, read out as its name.
        told: what it shows in words.
    """
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>').format(
        WIDTH, round(height, 1), title, told, body
    )


def legend(names: Sequence[str], top: float) -> tuple[Markup, float]:
    """Names of lines with their colours, in as many rows as they need; and where the rows end."""
    parts, x, y = [], 2.0, top + 10
    for index, name in enumerate(names):
        told = shortened(name, WIDTH - 40)
        width = letters(told) + 34
        if x > 2 and x + width > WIDTH:
            x, y = 2.0, y + 17
        sample = Markup('<path class="line {}" {}d="M{} {}h16"/>').format(colour(index), dashes(index), x, y - 4)
        parts.append(sample + Markup('<text x="{}" y="{}">{}</text>').format(x + 21, y, told))
        x += width
    return Markup("").join(parts), y + 8


def colour(index: int) -> str:
    """Class of the colour of a line, by its number from 0; there are eight."""
    return f"series-{index % 8 + 1}"


def dashes(index: int) -> Markup:
    """How a line is broken, so that no two of the same colour look the same."""
    broken = ("", "7 3", "2 3", "9 3 2 3")[index // 8 % 4]
    return Markup('stroke-dasharray="{}" ').format(broken) if broken else Markup("")


def titled(text: str) -> Markup:
    """What a part of a drawing says when it is pointed at."""
    return Markup("<title>") + escape(text) + Markup("</title>")


def _step(wanted: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= wanted * (1 - 1e-9))


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    return [(first + number) * step for number in range(max(0, math.floor(high / step + 1e-9) - first + 1))]
