"""The best small step within a trust region and a limit on costs, to first order (Achiam et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

Product = Callable[[torch.Tensor], torch.Tensor]
"""A positive definite matrix times a vector."""


def constrained_step(
    gain: torch.Tensor,
    cost: torch.Tensor | None,
    excess: float,
    fisher: Product,
    size: float,
    iterations: int = 10,
) -> torch.Tensor:
    """The step x that gains most, `gain @ x`, within `x @ F x / 2 <= size` and, with costs, `excess + cost @ x <= 0`.

    Where no step of that size holds the limit on costs, it is the one that lowers them fastest.

    Args:
        gain: Gradient of what is to be had.
        cost: Of costs; None: there is no limit.
        excess: Costs over the limit before the step; negative where it is held.
        fisher: Product of F with a vector.
        size: Of the region.
        iterations: Of conjugate gradients.
    """
    towards = conjugate_gradients(fisher, gain, iterations)
    q = float(gain @ towards)
    free = towards * math.sqrt(2 * size / max(q, 1e-12))
    if cost is None or excess + float(cost @ free) <= 0 or (slope := float(cost.norm())) < 1e-8:
        return free
    cost, excess = cost / slope, excess / slope
    away = conjugate_gradients(fisher, cost, iterations)
    r, s = float(gain @ away), float(cost @ away)
    reachable = 2 * size - excess**2 / s
    if reachable <= 0:
        return -away * math.sqrt(2 * size / s)
    scale = math.sqrt(max(q - r * r / s, 1e-12) / reachable)
    return (towards - (r + scale * excess) / s * away) / scale


def conjugate_gradients(product: Product, right: torch.Tensor, iterations: int) -> torch.Tensor:
    """The vector that a positive definite matrix, known by its products, takes to `right`."""
    found, rest = torch.zeros_like(right), right.clone()
    way, size = right.clone(), right @ right
    for _ in range(iterations):
        if float(size) < 1e-12:
            break
        along = product(way)
        share = size / (way @ along)
        found += share * way
        rest -= share * along
        smaller = rest @ rest
        way = rest + (smaller / size) * way
        size = smaller
    return found
