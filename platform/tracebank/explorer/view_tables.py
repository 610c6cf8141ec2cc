"""Rows of a view as cells of a table: a value and its interval are one, numbers are short, times are UTC."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from tracebank.explorer.views import Answer

LINE: Final = ("xs", "ys", "lows", "highs", "x_unit", "told")
"""Columns of a line that are drawn or told of, and not listed."""
_ENDS_OF_LINES: Final = ("first", "last", "least", "most")
"""What is listed of a line in place of its points."""
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?")
_ENDS: Final = ("_low", "_high")
_TOLD: Final = 120
"""Letters of a text that a cell shows; the whole text is its title."""
_ONE_LINE: Final = 20
_HASH: Final = re.compile(r"[0-9a-f]{32,}")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    is_number: bool

    @property
    def heading(self) -> str:
        """What stands above it."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table."""

    text: str
    is_number: bool = False
    interval: str | None = None
    """None: there is none of this column; empty: none of this row."""
    whole: str = ""
    """The whole text, where `text` is shorter."""

    @property
    def is_short(self) -> bool:
        """Whether it stands on one line, as dates do."""
        return len(self.text) <= _ONE_LINE


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a page."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def table_of(answer: Answer) -> Table:
    """The cells of an answer."""
    if "ys" in answer.columns:
        at = answer.columns.index("ys")
        rows = [(*row, *_about_line(values_of(row[at]))) for row in answer.rows]
        answer = Answer((*answer.columns, *_ENDS_OF_LINES), rows, answer.is_cut)
    places = {name: place for place, name in enumerate(answer.columns)}
    shown = [name for name in answer.columns if name not in LINE and not _is_end(name, places)]
    numbers = {name for name in shown if _is_numeric([row[places[name]] for row in answer.rows])}
    columns = [Column(name, name in numbers) for name in shown]
    return Table(columns, [[_cell(name, row, places, name in numbers) for name in shown] for row in answer.rows])


def number(value: object) -> float | None:
    """A value as a finite number; None where it is none."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return None


def moment(value: object) -> float | None:
    """A time as seconds since 1970, UTC, whatever form a store gives it in; None where it is none."""
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def values_of(told: object) -> list[float | None]:
    """A list of numbers that a store gives as a list, or as its JSON."""
    found = json.loads(told) if isinstance(told, str) else told
    return [number(one) for one in found] if isinstance(found, list) else []


def shown(value: object) -> str:
    """A value as a cell has it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return f"{value:,.0f}"
        return f"{value:,.4g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    told = _TIME.fullmatch(str(value))
    return f"{told.group(1)} {told.group(2)}" if told else str(value)


def _cell(name: str, row: Sequence[object], places: Mapping[str, int], is_number: bool) -> Cell:
    text = shown(row[places[name]])
    ends = [places.get(name + end) for end in _ENDS]
    interval = None
    if ends[0] is not None and ends[1] is not None:
        low, high = row[ends[0]], row[ends[1]]
        interval = "" if low is None or high is None else f"{shown(low)} to {shown(high)}"
    short = f"{text[:10]}…" if _HASH.fullmatch(text) else text if len(text) <= _TOLD else f"{text[: _TOLD - 1]}…"
    return Cell(short, is_number, interval, text if short != text else "")


def _about_line(ys: Sequence[float | None]) -> tuple[float | None, ...]:
    known = [y for y in ys if y is not None]
    return (known[0], known[-1], min(known), max(known)) if known else (None,) * len(_ENDS_OF_LINES)


def _is_end(name: str, places: Mapping[str, int]) -> bool:
    return any(name.endswith(end) and name.removesuffix(end) in places for end in _ENDS)


def _is_numeric(values: Sequence[object]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known)
