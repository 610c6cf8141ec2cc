"""Which conditions of a query a relational store can answer itself, whatever SQL the query is written in.

An engine's adapter tells of a SELECT as a `Query`: its sources, and the shape of its WHERE. For a relational source
follows a condition that every row which the query can use meets. The query keeps its own WHERE: a condition found here
may let too many rows through, never too few. Where there is doubt there is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from sqlalchemy import Boolean, Column, Date, DateTime, Enum, Integer, String, Table

from tracebank.query.column_shapes import stored_type

Operator = Literal["=", "<", "<=", ">", ">=", "in", "prefix"]
Join = Literal["", "left", "right", "other"]
"""How a source is joined to what stands before it: "" is the first of all, an inner or a cross join."""

MIRRORED: Final[dict[Operator, Operator]] = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""What an operator is when its sides change places."""

DEEPEST: Final = 8
"""Conditions within conditions that are looked at."""
_WIDEST: Final = 100
"""Parts of a group that are handed on: with `DEEPEST` within the depth of 1,000 that SQLite takes."""
_MOST_VALUES: Final = 10_000
"""Values that are handed on: fewer than either store takes in one statement."""
_SLACK: Final = timedelta(days=2)
"""More than zones and roundings can move an instant: a store may write and read instants in a zone of its own."""
_YEARS: Final = range(1971, 2105)
"""Years that every type of every engine holds."""
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?Z?)?")
_WILD: Final = re.compile(r"[%_\\]")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column compared with values: several for "in", else one."""

    name: tuple[str, ...]
    """Qualified or not in a query; the column alone in what was found."""
    operator: Operator
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All or one of its parts must hold; None is a part of another kind."""

    every: bool
    parts: tuple[Condition | None, ...]


Condition = Comparison | Group


@dataclass(frozen=True, slots=True)
class Source:
    """One table of a FROM, in its order."""

    table: Table | None
    """None for what is not relational."""
    alias: str
    join: Join = ""
    using: frozenset[str] | None = None
    """Columns of USING."""


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT."""

    sources: tuple[Source, ...]
    where: Condition | None
    taken: frozenset[str]
    """Names that the statement gives to expressions: they hide columns and tables."""

    def needed(self, position: int, dialect: str) -> Condition | None:
        """What rows of a source must meet, as `dialect` ("sqlite" or "postgresql") answers it; None for all rows."""
        if self.where is None or not self._filters(position):
            return None
        found = self._told(self.where, position, dialect)
        return None if found is None or _size(found) > _MOST_VALUES else found

    def _filters(self, position: int) -> bool:
        """Whether dropping rows of a source drops rows of the join, and does nothing else: no nulls in their place."""
        before, after = self.sources[1 : position + 1], self.sources[position + 1 :]
        return (
            all(source.join != "other" for source in self.sources)
            and all(source.join in ("", "right") for source in before[-1:])
            and all(source.join in ("", "left") for source in after)
        )

    def _told(self, condition: Condition | None, position: int, dialect: str) -> Condition | None:
        match condition:
            case Group(every, parts):
                told = [self._told(part, position, dialect) for part in parts]
                found = tuple(part for part in told if part is not None)
                is_told = every or len(found) == len(told) <= _WIDEST
                return Group(every, found[:_WIDEST]) if found and is_told else None
            case Comparison(name, operator, values):
                column = self._column(name, position)
                return None if column is None else answered(column, operator, values, dialect)
        return None

    def _column(self, name: tuple[str, ...], position: int) -> Column[object] | None:
        source = self.sources[position]
        if source.table is None or name[0] in self.taken or ".".join(name) in self.taken:
            return None
        if len(name) == 1:
            ours = position == 0 or all(
                other.join == "" and other.using is not None and name[0] in other.using for other in self.sources[1:]
            )
        else:
            ours = name[:-1] == (source.alias,) and sum(other.alias == source.alias for other in self.sources) == 1
        return source.table.columns.get(name[-1]) if ours else None


def _size(condition: Condition | None) -> int:
    if isinstance(condition, Group):
        return sum(_size(part) for part in condition.parts)
    return 0 if condition is None else len(condition.values)


def answered(column: Column[object], operator: Operator, values: Sequence[object], dialect: str) -> Condition | None:
    """A comparison as the store answers it, with the answer that the query's engine gives; None where it may differ."""
    kind = stored_type(column)
    match kind:
        case Enum():
            return None
        case Boolean() if operator in ("=", "in") and len(values) == 1 and values[0] in (True, False):
            return Comparison((column.name,), "=", (bool(values[0]),))
        case Integer() if operator != "prefix" and all(
            type(value) is int and -(2**63) <= value < 2**63 for value in values
        ):
            return Comparison((column.name,), operator, tuple(values))
        case Date() | DateTime() if operator != "prefix":
            return _dated(column.name, operator, values, is_day=isinstance(kind, Date))
        case String() if not kind.collation:
            texts = [value for value in values if isinstance(value, str) and not {"\0", "\ufffd"} & set(value)]
            return _texts(column.name, operator, texts, dialect) if len(texts) == len(values) else None
    return None


def either(conditions: Sequence[Condition | None]) -> Condition | None:
    """What holds where one of them does; None where one of them lets every row through."""
    known = tuple(condition for condition in conditions if condition is not None)
    return Group(False, known) if len(known) == len(conditions) <= _WIDEST else None


def _texts(name: str, operator: Operator, values: list[str], dialect: str) -> Condition | None:
    """PostgreSQL orders text as its database's language does, SQLite by bytes as the engines of the series do."""
    if operator == "prefix":
        start = _WILD.split(values[0], maxsplit=1)[0]
        if dialect != "sqlite":
            return Comparison((name,), "prefix", (start,)) if start else None
        if not start or start[-1] >= "\ud7ff":
            return None
        end = start[:-1] + chr(ord(start[-1]) + 1)
        return Group(True, (Comparison((name,), ">=", (start,)), Comparison((name,), "<", (end,))))
    if operator in ("=", "in") or dialect == "sqlite":
        return Comparison((name,), operator, tuple(values))
    return None


def _dated(name: str, operator: Operator, values: Sequence[object], *, is_day: bool) -> Condition | None:
    days = [_day(value) for value in values]
    known = [day for day, _ in days if day is not None]
    if len(known) != len(days):
        return None
    if is_day and all(exact for _, exact in days):
        return Comparison((name,), operator, tuple(known))
    ends: list[Condition] = []
    if operator not in ("<", "<="):
        ends.append(Comparison((name,), ">=", (min(known) - _SLACK,)))
    if operator not in (">", ">="):
        ends.append(Comparison((name,), "<", (max(known) + _SLACK + timedelta(days=1),)))
    return Group(True, tuple(ends))


def _day(value: object) -> tuple[date | None, bool]:
    """The day of a value, and whether the value is that day and no time of it."""
    exact = not isinstance(value, datetime)
    if isinstance(value, str):
        found = _MOMENT.fullmatch(value)
        if not found:
            return None, False
        exact = not found.group(2)
        try:
            value = date.fromisoformat(found.group(1))
        except ValueError:
            return None, False
    if isinstance(value, datetime):
        value = value.date()
    return (value, exact) if isinstance(value, date) and value.year in _YEARS else (None, False)
