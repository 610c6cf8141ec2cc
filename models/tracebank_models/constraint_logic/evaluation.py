"""What a formula says of states: how satisfied, how far from being broken, and whether it holds.

Arrays have one axis for environments and one more for each quantifier around, so that a formula over all objects of
all environments is a few operations on whole arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from .arrays import Array, dual, folded, namespace, p_norm
from .connectives import Family, conjunction, disjunction, negation
from .formula import (
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
from .parsing import AGENT
from .vocabulary import is_there

Shape = Literal["linear", "square", "concave"]
SHAPES: Final[Mapping[Shape, Callable[[Array], Array]]] = {
    "linear": lambda u: u,
    "square": lambda u: u * u,
    "concave": lambda u: 1 - (1 - u) * (1 - u),
}
"""Satisfaction by the share of the margin that is kept."""


class Said(NamedTuple):
    """What a formula says, each of one shape."""

    satisfaction: Array
    """In [0, 1]."""
    distance: Array
    """Signed: how far the state may move before it breaks the formula; negative where it is broken."""
    holds: Array
    """Whether it is true as logic has it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How distances become satisfactions, and how these are joined."""

    p: float
    margin: float
    shape: Shape
    connectives: Family


Measured = dict[tuple[Any, ...], Array]
"""What was measured of one state: formulas that ask for the same distance share it."""


class Evaluation:
    """One state, `[n, …]` by feature, of which formulas are asked."""

    def __init__(self, state: Mapping[str, Array], rules: Rules, measured: Measured) -> None:
        self._state, self._rules, self._measured = state, rules, measured
        self._xp = namespace(next(iter(state.values())))

    def said(self, formula: Formula, bound: tuple[str, ...] = ()) -> Said:
        """What a formula says; `bound` are the kinds of the quantifiers around, outermost first."""
        match formula:
            case Comparison(left, comparator, right):
                low, high = (left, right) if comparator[0] == "<" else (right, left)
                gap = self._sum(high, bound) - self._sum(low, bound)
                weight = self._weight((*left.parts, *right.parts))
                return self._atomic(gap if weight == 1 else gap / weight, is_strict=len(comparator) == 1)
            case Near(point, radius):
                return self._atomic(radius.constant - self._distance(Name(AGENT), point, bound))
            case Box():
                return self._atomic(self._box(formula, bound))
            case Not(inner):
                one = self.said(inner, bound)
                return Said(negation(one.satisfaction), -one.distance, ~one.holds)
            case Quantified():
                return self._quantified(formula, bound)
            case Joined(word, formulas):
                return self._joined(word, [self.said(one, bound) for one in formulas])

    def _atomic(self, distance: Array, *, is_strict: bool = False) -> Said:
        kept = self._xp.clip(distance / self._rules.margin, 0, 1)
        return Said(SHAPES[self._rules.shape](kept), distance, distance > 0 if is_strict else distance >= 0)

    def _joined(self, word: str, parts: list[Said]) -> Said:
        if word == "implies":
            condition, then = parts
            return self._any([Said(negation(condition.satisfaction), -condition.distance, ~condition.holds), then])
        if word == "iff":
            return reduce(
                lambda a, b: self._all([self._joined("implies", [a, b]), self._joined("implies", [b, a])]), parts
            )
        return self._all(parts) if word == "and" else self._any(parts)

    def _all(self, parts: list[Said]) -> Said:
        values = self._stacked([one.satisfaction for one in parts])
        return Said(
            conjunction(values, self._rules.p, self._rules.connectives),
            reduce(self._xp.minimum, [one.distance for one in parts]),
            reduce(self._xp.logical_and, [one.holds for one in parts]),
        )

    def _any(self, parts: list[Said]) -> Said:
        values = self._stacked([one.satisfaction for one in parts])
        return Said(
            disjunction(values, self._rules.p, self._rules.connectives),
            reduce(self._xp.maximum, [one.distance for one in parts]),
            reduce(self._xp.logical_or, [one.holds for one in parts]),
        )

    def _stacked(self, arrays: list[Array]) -> Array:
        if any(one.shape != arrays[0].shape for one in arrays):
            broadcast = np.broadcast_arrays if self._xp is np else self._xp.broadcast_tensors
            arrays = list(broadcast(*arrays))
        return self._xp.stack(arrays, -1)

    def _quantified(self, formula: Quantified, bound: tuple[str, ...]) -> Said:
        one = self.said(formula.formula, (*bound, formula.kind))
        points = self._state[formula.kind]
        there = self._once(("there", formula.kind), lambda: is_there(points)).reshape(
            len(points), *(1,) * len(bound), points.shape[1]
        )
        is_all = formula.word == "forall"
        where, far = self._xp.where, np.inf if is_all else -np.inf
        satisfaction = where(there, one.satisfaction, float(is_all))
        distance = where(there, one.distance, far)
        holds = one.holds | ~there if is_all else one.holds & there
        if is_all:
            joined = conjunction(satisfaction, self._rules.p, self._rules.connectives)
            return Said(joined, folded("minimum", distance), folded("logical_and", holds))
        joined = disjunction(satisfaction, self._rules.p, self._rules.connectives)
        return Said(joined, folded("maximum", distance), folded("logical_or", holds))

    def _sum(self, one: Sum, bound: tuple[str, ...]) -> Any:
        atoms = ((weight, self._atom(atom, bound)) for weight, atom in one.parts)
        values = [atom if weight == 1 else weight * atom for weight, atom in atoms]
        if one.constant or not values:
            values.append(one.constant)
        return sum(values[1:], start=values[0])

    def _atom(self, atom: Atom, bound: tuple[str, ...]) -> Array:
        match atom:
            case Name(name):
                found = self._state[name]
                return found.reshape(len(found), *(1,) * len(bound)) if bound else found
            case Distance(one, other):
                return self._distance(one, other, bound)
            case Norm(of):
                return p_norm(self._point(of, bound), self._rules.p)
            case Magnitude(of):
                return self._xp.abs(self._sum(of, bound))

    def _weight(self, parts: tuple[tuple[float, Atom], ...]) -> float:
        """What a change of the features by 1, in the p-norm, can move a sum by at most."""
        weights = [
            abs(weight) * (self._weight(atom.of.parts) if isinstance(atom, Magnitude) else 1) for weight, atom in parts
        ]
        return weights[0] if len(weights) == 1 else float(np.linalg.norm(weights, dual(self._rules.p)))

    def _distance(self, one: Point, other: Point, bound: tuple[str, ...]) -> Array:
        p = self._rules.p
        key = ("distance", one, other, bound, p)
        return self._once(key, lambda: p_norm(self._point(one, bound) - self._point(other, bound), p))

    def _once(self, key: tuple[Any, ...], measure: Callable[[], Array]) -> Array:
        if key not in self._measured:
            self._measured[key] = measure()
        return self._measured[key]

    def _box(self, box: Box, bound: tuple[str, ...]) -> Array:
        xp, point = self._xp, self._point(box.point, bound)
        low, high = self._point(box.low, bound), self._point(box.high, bound)
        within = folded("minimum", xp.minimum(point - low, high - point))
        if box.is_inside:
            return within
        beyond = p_norm(xp.clip(xp.maximum(low - point, point - high), 0, None), self._rules.p)
        return xp.where(within >= 0, -within, beyond)

    def _point(self, point: Point, bound: tuple[str, ...]) -> Array:
        if isinstance(point, Place):
            like = next(iter(self._state.values()))
            if self._xp is np:
                return np.asarray(point.coordinates, like.dtype)
            return self._xp.tensor(point.coordinates, dtype=like.dtype, device=like.device)
        found = self._state[point.name]
        if point.name not in bound:
            return found.reshape(len(found), *(1,) * len(bound), found.shape[1])
        # Who is not there is at the origin here, and left out by the quantifier: NaN would go into gradients.
        found, before = self._xp.nan_to_num(found), bound.index(point.name)
        after = len(bound) - 1 - before
        return found.reshape(len(found), *(1,) * before, found.shape[1], *(1,) * after, found.shape[2])
