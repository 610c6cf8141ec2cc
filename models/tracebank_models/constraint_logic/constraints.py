"""Constraints: a formula with the rules of its satisfaction; and the knowledge of one environment, which is several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from .arrays import Array, namespace
from .connectives import FAMILIES, Family
from .evaluation import SHAPES, Evaluation, Measured, Rules, Said, Shape
from .formula import Formula
from .parsing import parsed
from .vocabulary import Vocabulary

_BLOCK: Final = 32_768
"""States that are measured at once: what lies between stays in the cache, which is eight times as fast."""


class Satisfaction(NamedTuple):
    """What a state says of a constraint, each `[n]`; of knowledge `[n, c]`."""

    satisfaction: Array
    """In [0, 1]; 1 is safe."""
    distance: Array
    """Signed p-distance, in the unit of the formula; negative where it is broken."""
    violated: Array
    """Bool: the formula does not hold."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A formula over a vocabulary, and how its satisfaction is measured. Made by `parse`."""

    formula: Formula
    vocabulary: Vocabulary
    p: float = 2.0
    """Of the norm in distances and connectives, from 1 to infinity."""
    margin: float = 0.1
    """Distance from which on it is satisfied in full, in the unit of its distances."""
    shape: Shape = "linear"
    """Of satisfaction within the margin."""
    connectives: Family = "yager"

    def __post_init__(self) -> None:
        """Check the rules.

        Raises:
            ValueError: One is out of range; the line names it, its value and what is allowed.
        """
        if not self.p >= 1:
            raise ValueError(f"p: {self.p!r} is not allowed; allowed: a number from 1, or infinity")
        if not (self.margin > 0 and math.isfinite(self.margin)):
            raise ValueError(f"margin: {self.margin!r} is not allowed; allowed: a number above 0")
        for name, allowed in (("shape", tuple(SHAPES)), ("connectives", FAMILIES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not allowed; allowed: {', '.join(allowed)}")

    @property
    def text(self) -> str:
        """The formula, as it parses back."""
        return str(self.formula)

    def evaluate(self, state: Mapping[str, Array]) -> Satisfaction:
        """How satisfied states are.

        Args:
            state: Arrays by feature of the vocabulary, NumPy's or torch's, first axis environments.

        Raises:
            ValueError: A feature is missing, or has another shape.
        """
        self.vocabulary.check(state)
        return self.said(state, {})

    def said(self, state: Mapping[str, Array], measured: Measured) -> Satisfaction:
        """The same of a state that was checked, and what was measured of it."""
        rules = Rules(self.p, self.margin, self.shape, self.connectives)
        said: Said = Evaluation(state, rules, measured).said(self.formula)
        return Satisfaction(said.satisfaction, said.distance, ~said.holds)


def parse(
    text: str,
    vocabulary: Vocabulary,
    p: float = 2.0,
    margin: float = 0.1,
    shape: Shape = "linear",
    connectives: Family = "yager",
) -> Constraint:
    """Read a constraint.

    Args:
        text: Such as `forall hazard: distance(agent, hazard) >= 0.2`; see `parsing` for what may stand.
        vocabulary: The names that it may use.
        p: Of the norm.
        margin: In the unit of its distances.
        shape: Of satisfaction within the margin.
        connectives: Yager's, or products.

    Raises:
        FormulaError: The text is no formula over the vocabulary; it names position, fault and what is allowed.
        ValueError: Another argument is out of range.
    """
    return Constraint(parsed(text, vocabulary), vocabulary, p, margin, shape, connectives)


class Knowledge(tuple[Constraint, ...]):
    """What is known of one environment; every state is measured by all of it."""

    __slots__ = ()

    def __new__(cls, constraints: Iterable[Constraint]) -> Knowledge:
        """Knowledge of one constraint or more.

        Raises:
            ValueError: There is none.
        """
        made = super().__new__(cls, tuple(constraints))
        if not made:
            raise ValueError("constraints: none is not allowed; allowed: one or more")
        return made

    def evaluate(self, state: Mapping[str, Array]) -> Satisfaction:
        """How satisfied states are with each constraint, `[n, c]`.

        Raises:
            ValueError: A feature is missing, or has another shape.
        """
        vocabularies = {id(one.vocabulary): one.vocabulary for one in self}.values()
        for vocabulary in vocabularies:
            vocabulary.check(state)
        state = {name: state[name] for vocabulary in vocabularies for name in vocabulary.features}
        first = next(iter(state.values()))
        if namespace(first) is not np:
            measured: Measured = {}
            said = [one.said(state, measured) for one in self]
            return Satisfaction(*(namespace(first).stack(parts, -1) for parts in zip(*said, strict=True)))
        rows, kind = len(first), np.result_type(np.float32, *state.values())
        found = [np.empty((len(self), rows), one) for one in (kind, kind, np.bool_)]
        for start in range(0, rows, _BLOCK):
            block = slice(start, start + _BLOCK)
            part, measured = {name: array[block] for name, array in state.items()}, {}
            for at, one in enumerate(self):
                for whole, told in zip(found, one.said(part, measured), strict=True):
                    whole[at, block] = told
        return Satisfaction(*(whole.T for whole in found))

    def cost(self, state: Mapping[str, Array]) -> Array:
        """1.0 where any constraint is broken, else 0.0; `[n]`."""
        return self.evaluate(state).violated.any(-1) * 1.0
