"""The names that formulas may use: features of a state with their units, and kinds of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from .arrays import Array, folded, namespace

KEYWORDS: Final = frozenset(
    "forall exists not and or implies iff true false abs norm distance near inside outside".split()  # noqa: SIM905
)
"""Words that are no names."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A number, or a point, of a state."""

    name: str
    unit: str = ""
    """Such as `m`, `rad/s`; empty: it has none."""
    dimensions: int = 0
    """0: a number, `[n]` over environments; k: a point, `[n, k]`."""

    @property
    def axes(self) -> int:
        """Axes of its array."""
        return 2 if self.dimensions else 1


@dataclass(frozen=True, slots=True)
class Objects(Feature):
    """Objects of one kind, `[n, m, k]`: points of which rows of NaN are not there."""

    dimensions: int = 2

    @property
    def axes(self) -> int:
        """Axes of its array."""
        return 3


class Vocabulary:
    """Features by name.

    Args:
        features: Of one environment.

    Raises:
        ValueError: A name is a keyword, is no name, or stands twice.
    """

    def __init__(self, features: Iterable[Feature]) -> None:
        self.features: dict[str, Feature] = {}
        for one in features:
            if not one.name.isidentifier() or one.name in KEYWORDS:
                raise ValueError(
                    f"name: {one.name!r} is not allowed: a word that is none of {', '.join(sorted(KEYWORDS))}"
                )
            if one.name in self.features:
                raise ValueError(f"name: {one.name!r} is not allowed a second time")
            self.features[one.name] = one

    def check(self, state: Mapping[str, Array]) -> None:
        """Refuse a state that has not the features.

        Raises:
            ValueError: One is missing, or its shape is another.
        """
        rows = None
        for name, one in self.features.items():
            if name not in state:
                raise ValueError(f"state: feature {name!r} is missing; it has {', '.join(sorted(state)) or 'none'}")
            shape = tuple(state[name].shape)
            rows = shape[0] if rows is None and shape else rows
            wanted = {1: "[n]", 2: f"[n, {one.dimensions}]", 3: f"[n, m, {one.dimensions}]"}[one.axes]
            if len(shape) != one.axes or shape[0] != rows or (one.dimensions and shape[-1] != one.dimensions):
                raise ValueError(f"state: feature {name!r} has shape {list(shape)}; allowed: {wanted} with n = {rows}")


def is_there(points: Array) -> Array:
    """Which objects are there, `[n, m]` of `[n, m, k]`."""
    return folded("logical_and", ~namespace(points).isnan(points))
