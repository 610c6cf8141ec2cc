"""Kendall's tau-b with its p-value (scipy's), on tensors: how far two orders of the same things agree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class KendallTau:
    """Agreement of two orders."""

    tau: float
    """From -1 to 1; NaN where one of the two is constant."""
    p_value: float
    """Two-sided, of independence: exact for a few values without ties, else by the normal approximation."""
    count: int


def kendall_tau(first: Tensor, second: Tensor) -> KendallTau:
    """Kendall's tau-b of two lists of values.

    Args:
        first: Shape (n,).
        second: Shape (n,).

    Raises:
        ValueError: The lengths differ, or a value is not finite.
    """
    from scipy.stats import kendalltau

    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"values: {tuple(first.shape)} and {tuple(second.shape)}: allowed are two equal lengths")
    if not bool(torch.isfinite(first).all() & torch.isfinite(second).all()):
        raise ValueError("values: one is not finite: allowed are finite numbers")
    count = len(first)
    if count < 2:
        return KendallTau(math.nan, math.nan, count)
    found = kendalltau(first.double().cpu().numpy(), second.double().cpu().numpy())
    return KendallTau(float(found.statistic), float(found.pvalue), count)
