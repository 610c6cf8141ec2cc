"""Connectives on satisfactions in [0, 1]: Yager's family, which is a p-norm of what is lacking, and products.

Yager 1980. Exact on 0 and 1; for p to infinity minimum and maximum. `product` is what the System III code combines
kinds of objects with. Each takes `[..., k]` and gives `[...]`.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from .arrays import Array, folded, namespace, p_norm

Family = Literal["yager", "product"]
FAMILIES: Final[tuple[Family, ...]] = ("yager", "product")


def negation(values: Array) -> Array:
    """1 - a."""
    return 1 - values


def conjunction(values: Array, p: float = 2.0, family: Family = "yager") -> Array:
    """All of the last axis: max(0, 1 - ‖1 - a‖_p), or the product."""
    xp = namespace(values)
    if values.shape[-1] == 1:
        return values[..., 0]
    if family == "product":
        return folded("multiply", values)
    if math.isinf(p):
        return folded("minimum", values)
    return xp.clip(1 - p_norm(1 - values, p), 0, None)


def disjunction(values: Array, p: float = 2.0, family: Family = "yager") -> Array:
    """Any of the last axis: min(1, ‖a‖_p), or 1 less the product of what is lacking."""
    xp = namespace(values)
    if values.shape[-1] == 1:
        return values[..., 0]
    if family == "product":
        return 1 - folded("multiply", 1 - values)
    if math.isinf(p):
        return folded("maximum", values)
    return xp.clip(p_norm(values, p), None, 1)
