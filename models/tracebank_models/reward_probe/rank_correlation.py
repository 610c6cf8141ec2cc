"""Kendall's tau-b with its p-value: how far two orders of the same things agree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tracebank_models.reward_probe.error import RewardProbeError

_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class KendallTau:
    """Agreement of two orders."""

    tau: float
    """From -1 to 1; NaN where one of the two is constant."""
    p_value: float
    """Two-sided, of independence, by the normal approximation with Kendall's variance under ties."""
    count: int


def kendall_tau(first: Tensor, second: Tensor) -> KendallTau:
    """Kendall's tau-b of two lists of values.

    Every pair is looked at, a block of rows at a time: exact, and quick up to some ten thousand values.

    Args:
        first: Shape (n,).
        second: Shape (n,).

    Raises:
        RewardProbeError: The lengths differ, or a value is not finite.
    """
    if first.ndim != 1 or first.shape != second.shape:
        raise RewardProbeError(f"values: {tuple(first.shape)} and {tuple(second.shape)}: allowed are two equal lengths")
    if not bool(torch.isfinite(first).all() & torch.isfinite(second).all()):
        raise RewardProbeError("values: one is not finite: allowed are finite numbers")
    x, y, count = _ranks(first), _ranks(second), len(first)
    agreement = sum(
        int(((xs[:, None] - x).sign() * (ys[:, None] - y).sign()).sum())
        for xs, ys in zip(torch.split(x, _ROWS_AT_ONCE), torch.split(y, _ROWS_AT_ONCE), strict=True)
    )
    pairs = count * (count - 1) / 2
    ties_x, ties_y = _Ties.of(x), _Ties.of(y)
    scale = math.sqrt((pairs - ties_x.pairs) * (pairs - ties_y.pairs))
    if scale == 0:
        return KendallTau(math.nan, math.nan, count)
    score = agreement / 2
    z = score / math.sqrt(_variance(count, ties_x, ties_y))
    return KendallTau(score / scale, math.erfc(abs(z) / math.sqrt(2)), count)


def _ranks(values: Tensor) -> Tensor:
    ranks: Tensor = torch.unique(values, return_inverse=True)[1].to(torch.int32)
    return ranks


@dataclass(frozen=True, slots=True)
class _Ties:
    pairs: float
    """Pairs that are tied."""
    triples: float
    """Sum of t (t - 1) (t - 2) over the groups of ties."""
    weighted: float
    """Sum of t (t - 1) (2 t + 5)."""

    @classmethod
    def of(cls, ranks: Tensor) -> _Ties:
        t = torch.bincount(ranks).double()
        two = t * (t - 1)
        return cls(float(two.sum() / 2), float((two * (t - 2)).sum()), float((two * (2 * t + 5)).sum()))


def _variance(count: int, x: _Ties, y: _Ties) -> float:
    """Variance of the number of agreements less disagreements (Kendall, Rank Correlation Methods, 1970)."""
    n = float(count)
    plain = (n * (n - 1) * (2 * n + 5) - x.weighted - y.weighted) / 18
    twos = 2 * x.pairs * y.pairs / (n * (n - 1))
    threes = x.triples * y.triples / (9 * n * (n - 1) * (n - 2)) if count > 2 else 0.0
    return plain + twos + threes
