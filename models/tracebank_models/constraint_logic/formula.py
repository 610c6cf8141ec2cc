"""Formulas as objects. Each prints as the text that parses back to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

Comparator = Literal["<=", ">=", "<", ">"]
COMPARATORS: Final[Mapping[Comparator, Callable[..., object]]] = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "<": np.less,
    ">": np.greater,
}
"""What compares, by how it is written; each holds where its function says so of a difference and 0."""


def number(value: float) -> str:
    """A number, as it is written in formulas."""
    return f"{value:.17g}" if float(f"{value:.12g}") != value else f"{value:.12g}"


@dataclass(frozen=True, slots=True)
class Name:
    """A feature that is a number, or a point, or the object of the quantifier around."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Place:
    """A point that does not move."""

    coordinates: tuple[float, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(number, self.coordinates))})"


Point: TypeAlias = "Name | Place"


@dataclass(frozen=True, slots=True)
class Distance:
    """The p-distance of two points."""

    one: Point
    other: Point

    def __str__(self) -> str:
        return f"distance({self.one}, {self.other})"


@dataclass(frozen=True, slots=True)
class Norm:
    """The p-norm of a point: how far it is from the origin."""

    of: Name

    def __str__(self) -> str:
        return f"norm({self.of})"


@dataclass(frozen=True, slots=True)
class Magnitude:
    """The absolute value of a sum."""

    of: Sum

    def __str__(self) -> str:
        return f"abs({self.of})"


Atom: TypeAlias = "Name | Distance | Norm | Magnitude"


@dataclass(frozen=True, slots=True)
class Sum:
    """Atoms with their weights, and a constant."""

    parts: tuple[tuple[float, Atom], ...]
    constant: float = 0.0
    unit: str = ""
    """That the constant was written with; empty: that of the atoms."""

    def __str__(self) -> str:
        text = ""
        for weight, atom in self.parts:
            sign = ("-" if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
            text += sign + ("" if abs(weight) == 1 else f"{number(abs(weight))} * ") + str(atom)
        if self.constant or not text:
            sign = ("-" if self.constant < 0 else "") if not text else (" - " if self.constant < 0 else " + ")
            text += sign + number(abs(self.constant)) + (f" {self.unit}" if self.unit else "")
        return text


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sums compared: of features a half-space, of a distance a ball."""

    left: Sum
    comparator: Comparator
    right: Sum

    def __str__(self) -> str:
        return f"{self.left} {self.comparator} {self.right}"


@dataclass(frozen=True, slots=True)
class Near:
    """The agent is within a distance of a point: `distance(agent, point) <= radius`."""

    point: Point
    radius: Sum

    def __str__(self) -> str:
        return f"near({self.point}, {self.radius})"


@dataclass(frozen=True, slots=True)
class Box:
    """A point is inside a box, or outside of it; its sides belong to both."""

    point: Name
    low: Place
    high: Place
    is_inside: bool = True

    def __str__(self) -> str:
        return f"{'inside' if self.is_inside else 'outside'}({self.point}, {self.low}, {self.high})"


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    formula: Formula

    def __str__(self) -> str:
        return f"not {_within(self.formula)}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Formulas joined by one word."""

    word: Literal["and", "or", "implies", "iff"]
    formulas: tuple[Formula, ...]

    def __str__(self) -> str:
        return f" {self.word} ".join(map(_within, self.formulas))


@dataclass(frozen=True, slots=True)
class Quantified:
    """It holds for all objects of a kind that are there, or for one; of no objects all hold and none does."""

    word: Literal["forall", "exists"]
    kind: str
    formula: Formula

    def __str__(self) -> str:
        return f"{self.word} {self.kind}: {self.formula}"


Formula: TypeAlias = "Comparison | Near | Box | Not | Joined | Quantified"


def _within(formula: Formula) -> str:
    return f"({formula})" if isinstance(formula, Joined | Quantified) else str(formula)
