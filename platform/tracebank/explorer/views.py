"""Views of results: each is declared by a group: a title, a query over the relational store, and what is drawn of it.

A query is one SELECT over tables of `relational`, in SQL that the engines of the series store and the relational store
itself understand alike, so that what a page shows is what `tracebank sql` gives. A place for a value is `:name` in it.
Columns that a page knows by name:

* `X`, `X_low`, `X_high`: a value and its interval, shown in one cell;
* `xs`, `ys`, `lows`, `highs`: a line of `relational.curves`, drawn and not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from tracebank.explorer.state import Missing

MOST: Final = 1000
"""Rows that a page shows."""
ENTRY_POINTS: Final = "tracebank.explorer"
_PLACE: Final = re.compile(r"(?<![:\w]):(\w+)")
_PREFIX: Final = re.compile(r"\brelational\.(?=\w)")


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn of a view's rows."""

    kind: Literal["bars", "lines", "points", "curves", "rollout"]
    """bars: `y` of each `by`; lines: `y` over `x`; points: `y` against `x`; curves, rollout: lines of the store."""
    x: str = ""
    y: str = ""
    by: tuple[str, ...] = ()
    """Columns whose values name a bar, a line or a point."""
    x_label: str = ""
    y_label: str = ""
    log_x: bool = False
    apart: tuple[str, ...] = ()
    """Columns of whose values each gets a chart of its own."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that a reader chooses."""

    name: str
    """As the query has it behind a colon, and the address behind a question mark."""
    label: str
    choices: str
    """A query whose first column is what may be chosen; the first row is chosen where nothing else is. What is chosen
    stands where a later parameter's choices name it; a second column says what a choice is called."""


@dataclass(frozen=True, slots=True)
class View:
    """A page of results."""

    name: str
    title: str
    asset: str
    """`group/noun`, whose rows it shows."""
    sql: str
    chart: Chart | None = None
    doc: str = ""
    """What is seen, beside which null, and what an interval is over."""
    parameters: tuple[Parameter, ...] = ()

    @property
    def group(self) -> str:
        """That it is of."""
        return self.asset.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter with what may be chosen, and what is."""

    parameter: Parameter
    values: Sequence[tuple[str, str]]
    """Each with what it is called."""
    chosen: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view's query says."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    """At most `MOST`."""
    is_cut: bool
    """Whether there are more."""


@cache
def found_views() -> tuple[View, ...]:
    """Views of all groups; empty where no package offers any."""
    offered = entry_points(group=ENTRY_POINTS).select(name="views")
    return tuple(view for one in offered for view in one.load()())


def view_named(views: Iterable[View], group: str, name: str) -> View:
    """One view.

    Raises:
        Missing: there is none of that name; the line says which there are.
    """
    of_group = [view for view in views if view.group == group]
    for view in of_group:
        if view.name == name:
            return view
    if not of_group:
        raise Missing(f"no group {group[:200]!r} has views; there are {', '.join(sorted({v.group for v in views}))}")
    raise Missing(f"group {group} has no view {name[:200]!r}; there are {', '.join(v.name for v in of_group)}")


def chosen(session: Session, view: View, asked: Mapping[str, str]) -> list[Choice]:
    """Parameters of a view with what is chosen of each.

    Raises:
        Missing: what is asked for may not be chosen.
    """
    choices: list[Choice] = []
    values: dict[str, str] = {}
    for parameter in view.parameters:
        rows = session.execute(text(on_store(parameter.choices)), _used(parameter.choices, values)).all()
        allowed = [(str(row[0]), str(row[-1])) for row in rows]
        value = asked.get(parameter.name, allowed[0][0] if allowed else "")
        if allowed and value not in {one for one, _ in allowed}:
            some = ", ".join(one for one, _ in allowed[:8])
            raise Missing(f"{parameter.name}: {value[:200]!r} is not there; there is {some}")
        values[parameter.name] = value
        choices.append(Choice(parameter, allowed, value))
    return choices


def answer(session: Session, view: View, values: Mapping[str, str]) -> Answer:
    """Rows of a view, out of the relational store."""
    result = session.execute(text(on_store(view.sql)), _used(view.sql, values))
    rows = [tuple(map(_plain, row)) for row in result.fetchmany(MOST + 1)]
    result.close()
    return Answer(tuple(result.keys()), rows[:MOST], len(rows) > MOST)


def _plain(value: Any) -> Any:
    """A sum of whole numbers is a decimal in PostgreSQL."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def written(sql: str, values: Mapping[str, str], backslashes: bool) -> str:
    """The query with its values in it, to be copied.

    Args:
        sql: with places for values.
        values: by name.
        backslashes: whether the engine reads a backslash in a string as the beginning of a code, as ClickHouse does.
    """

    def literal(place: re.Match[str]) -> str:
        value = values[place.group(1)]
        value = value.replace("\\", "\\\\") if backslashes else value
        return "'" + value.replace("'", "''") + "'"

    return _PLACE.sub(literal, sql)


@cache
def on_store(sql: str) -> str:
    """A query as the relational store itself has its tables: without the name of the database."""
    return _PREFIX.sub("", sql)


def _used(sql: str, values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name] for name in _PLACE.findall(sql)}
