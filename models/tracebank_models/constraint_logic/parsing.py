"""Text to formulas: every fault is one line with its position, what stands there and what is allowed.

formula    = implied { "iff" implied }
implied    = either [ "implies" implied ]
either     = both { "or" both }
both       = plain { "and" plain }
plain      = "not" plain | ("forall" | "exists") KIND ":" formula | "(" formula ")" | predicate
predicate  = near(POINT, sum) | inside(NAME, place, place) | outside(NAME, place, place)
           | sum ("<=" | ">=" | "<" | ">") sum
sum        = ["-"] part { ("+" | "-") part }
part       = NUMBER [UNIT] | [NUMBER "*"] atom
atom       = NAME | distance(POINT, POINT) | norm(NAME) | abs(sum)
POINT      = NAME | "(" number { "," number } ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from .formula import (
    COMPARATORS,
    Atom,
    Box,
    Comparison,
    Distance,
    Formula,
    Joined,
    Magnitude,
    Name,
    Near,
    Norm,
    Not,
    Place,
    Point,
    Quantified,
    Sum,
)
from .vocabulary import KEYWORDS, Feature, Objects, Vocabulary

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?:\s*(?P<unit>[A-Za-z°%]+(?:/[A-Za-z]+(?:\^\d+)?)?))?"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign><=|>=|[<>():,+\-*]))"
)
AGENT: Final = "agent"
"""The point that `near` measures from."""
_LONGEST: Final = 10_000
_DEEPEST: Final = 50


class FormulaError(ValueError):
    """A formula that cannot be read: where, what stands there, and what is allowed."""

    def __init__(self, text: str, position: int, found: str, allowed: str) -> None:
        near = text if len(text) <= 200 else f"{text[:200]}…"
        super().__init__(f"formula {near!r}, position {position}: {found} is not allowed; allowed: {allowed}")
        self.position = position
        """Characters before it."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["number", "word", "sign", "end"]
    text: str
    position: int
    unit: str = ""


def parsed(text: str, vocabulary: Vocabulary) -> Formula:
    """Read a formula over a vocabulary.

    Raises:
        FormulaError: It is none, names what is not known, has a wrong number of arguments, or mixes units.
    """
    if len(text) > _LONGEST:
        raise FormulaError(text, _LONGEST, f"a formula of {len(text):,} characters", f"at most {_LONGEST:,}")
    return _Parser(text, vocabulary).whole()


def _tokens(text: str) -> list[_Token]:
    found, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            raise FormulaError(text, at, repr(text[at]), "words, numbers and <= >= < > ( ) : , + - *")
        kind = match.lastgroup if match.lastgroup != "unit" else "number"
        unit, end = match["unit"] or "", match.end()
        if unit in KEYWORDS:  # a word behind a number, and no unit
            unit, end = "", match.end("number")
        assert kind in ("number", "word", "sign")
        found.append(_Token(kind, match[kind], match.start(kind), unit))  # type: ignore[arg-type]
        position = end
    return [*found, _Token("end", "", len(text))]


class _Parser:
    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._text, self._features = text, vocabulary.features
        self._tokens, self._at, self._depth = _tokens(text), 0, 0
        self._bound: list[str] = []

    def whole(self) -> Formula:
        found = self._joined("iff", self._implied)
        if self._next.kind != "end":
            raise self._fault("and, or, implies, iff, or the end")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _fault(self, allowed: str, token: _Token | None = None) -> FormulaError:
        token = token or self._next
        return FormulaError(self._text, token.position, repr(token.text) if token.text else "the end", allowed)

    def _taken(self, *texts: str) -> _Token | None:
        if self._next.text in texts and self._next.kind in ("word", "sign"):
            self._at += 1
            return self._tokens[self._at - 1]
        return None

    def _expected(self, text: str) -> None:
        if not self._taken(text):
            raise self._fault(repr(text))

    def _joined(self, word: Literal["and", "or", "iff"], part: Callable[[], Formula]) -> Formula:
        parts = [part()]
        while self._taken(word):
            parts.append(part())
        return Joined(word, tuple(parts)) if len(parts) > 1 else parts[0]

    def _implied(self) -> Formula:
        condition = self._joined("or", lambda: self._joined("and", self._plain))
        return Joined("implies", (condition, self._implied())) if self._taken("implies") else condition

    def _plain(self) -> Formula:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fault(f"at most {_DEEPEST} formulas within one another")
        try:
            if self._taken("not"):
                return Not(self._plain())
            if self._next.text in ("forall", "exists"):
                return self._quantified()
            if self._taken("("):
                found = self._joined("iff", self._implied)
                self._expected(")")
                return found
            return self._predicate()
        finally:
            self._depth -= 1

    def _quantified(self) -> Formula:
        word, token = self._tokens[self._at], self._tokens[self._at + 1]
        self._at += 1
        kinds = [name for name, one in self._features.items() if isinstance(one, Objects) and name not in self._bound]
        if token.kind != "word" or token.text not in kinds:
            raise self._fault(f"a kind of objects: {', '.join(kinds) or 'there is none'}")
        self._at += 1
        self._expected(":")
        self._bound.append(token.text)
        found = self._joined("iff", self._implied)
        self._bound.pop()
        return Quantified(word.text, token.text, found)  # type: ignore[arg-type]

    def _predicate(self) -> Formula:
        if self._taken("near"):
            return self._near()
        if word := self._taken("inside", "outside"):
            return self._box(is_inside=word.text == "inside")
        left, unit = self._sum()
        sign = self._taken(*COMPARATORS)
        if sign is None:
            raise self._fault("<=, >=, < or >")
        start = self._next
        right, other = self._sum()
        if not (left.parts or right.parts):
            raise self._fault("a feature on one of its sides", start)
        self._same_unit(start, unit, other)
        return Comparison(left, sign.text, right)  # type: ignore[arg-type]

    def _near(self) -> Near:
        if AGENT not in self._features:
            raise self._fault(f"distance(…, …) <= …: there is no {AGENT!r} to be near", self._tokens[self._at - 1])
        point, radius = self._arguments(self._point, self._sum)
        (where, unit), (distance, other), start = point, radius, self._tokens[self._at - 1]
        if distance.parts:
            raise self._fault("a number as radius", start)
        self._same_dimensions(Name(AGENT), where, start)
        self._same_unit(start, unit, self._features[AGENT].unit)
        self._same_unit(start, self._features[AGENT].unit, other)
        return Near(where, distance)

    def _box(self, *, is_inside: bool) -> Box:
        name, low, high = self._arguments(lambda: self._feature(points=True), self._place, self._place)
        start = self._tokens[self._at - 1]
        for corner in (low, high):
            self._same_dimensions(name, corner, start)
        if any(a > b for a, b in zip(low.coordinates, high.coordinates, strict=True)):
            raise self._fault("the low corner before the high one", start)
        return Box(name, low, high, is_inside)

    def _arguments(self, *parts: Callable[[], Any]) -> list[Any]:
        self._expected("(")
        found = []
        for place, part in enumerate(parts):
            if place:
                self._expected(",")
            found.append(part())
        self._expected(")")
        return found

    def _sum(self) -> tuple[Sum, str | None]:
        """A sum and its unit; None of a bare number, which has any."""
        parts: list[tuple[float, Atom]] = []
        constant, unit, written = 0.0, None, ""
        sign = -1.0 if self._taken("-") else 1.0
        while True:
            start = self._next
            weight, atom, told = self._part()
            if atom is not None:
                parts.append((sign * weight, atom))
            else:
                constant += sign * weight
                written = told or written
            self._same_unit(start, unit, told)
            unit = told if unit is None else unit
            following = self._taken("+", "-")
            if following is None:
                return Sum(tuple(parts), constant, written), unit
            sign = -1.0 if following.text == "-" else 1.0

    def _part(self) -> tuple[float, Atom | None, str | None]:
        token = self._next
        if token.kind != "number":
            return 1.0, *self._atom()
        self._at += 1
        if not token.unit and self._taken("*"):
            return float(token.text), *self._atom()
        return float(token.text), None, token.unit or None

    def _atom(self) -> tuple[Atom, str | None]:
        if self._taken("distance"):
            (one, unit), (other, second) = self._arguments(self._point, self._point)
            start = self._tokens[self._at - 1]
            self._same_dimensions(one, other, start)
            self._same_unit(start, unit, second)
            return Distance(one, other), second if unit is None else unit
        if self._taken("norm"):
            (name,) = self._arguments(lambda: self._feature(points=True))
            return Norm(name), self._features[name.name].unit
        if self._taken("abs"):
            start = self._next
            ((found, unit),) = self._arguments(self._sum)
            if not found.parts:
                raise self._fault("a sum with a feature", start)
            return Magnitude(found), unit
        name = self._feature(points=False)
        return name, self._features[name.name].unit

    def _point(self) -> tuple[Point, str | None]:
        if self._next.text == "(":
            return self._place(), None
        name = self._feature(points=True)
        return name, self._features[name.name].unit

    def _place(self) -> Place:
        self._expected("(")
        numbers = [self._number()]
        while self._taken(","):
            numbers.append(self._number())
        self._expected(")")
        return Place(tuple(numbers))

    def _number(self) -> float:
        sign = -1.0 if self._taken("-") else 1.0
        token = self._next
        if token.kind != "number":
            raise self._fault("a number")
        self._at += 1
        return sign * float(token.text)

    def _feature(self, *, points: bool) -> Name:
        known = [
            name for name, one in self._features.items() if self._may_stand(one) and bool(one.dimensions) == points
        ]
        token = self._next
        if token.kind != "word" or token.text not in known:
            more = "" if points else ", distance(…, …), norm(…), abs(…), or a number"
            raise self._fault((", ".join(known) or "no feature of the kind is known") + more)
        self._at += 1
        return Name(token.text)

    def _may_stand(self, one: Feature) -> bool:
        return not isinstance(one, Objects) or one.name in self._bound

    def _same_unit(self, at: _Token, one: str | None, other: str | None) -> None:
        if one is not None and other is not None and one != other:
            wanted, found = one or "no unit", other or "no unit"
            raise FormulaError(self._text, at.position, f"a value in {found}", f"one in {wanted}")

    def _same_dimensions(self, one: Point, other: Point, at: _Token) -> None:
        sizes = [
            len(p.coordinates) if isinstance(p, Place) else self._features[p.name].dimensions for p in (one, other)
        ]
        if sizes[0] != sizes[1]:
            raise self._fault(f"points of as many numbers: {one} has {sizes[0]}, {other} has {sizes[1]}", at)
