"""Repeated risk minimisation (Perdomo et al. 2020) in three variants, which do not say the same of convergence.

Every round fits a logistic model to features that have moved by -epsilon * theta in the strategic ones. All move alike,
so that where the bias is free the exact minimiser moves the bias alone and one round is enough, whatever epsilon is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .performative import STRATEGIC
from .score_tables import Floats

VARIANTS: Final = ("free_bias", "regularised_bias", "released")
"""Exact minimiser, bias free; exact minimiser, bias regularised too; bias free, gradient descent that stops where the
loss changes by less than 1e-7, as released."""
_STOP: Final = 1e-7


@dataclass(frozen=True)
class Minimised:
    """What the rounds gave."""

    gaps: Floats
    """Norm of the change of theta in each round, over the norm of the first theta; (rounds,)."""
    accuracy: float
    """Of the first model, on people who have not moved."""
    loss: float
    """Its mean loss."""
    thetas: Floats
    """Of each model, the bias last; (rounds + 1, d + 1)."""


def repeated_minimisation(
    features: Floats,
    labels: Floats,
    epsilon: float,
    variant: str,
    rounds: int,
    strategic: Sequence[int] = STRATEGIC,
) -> Minimised:
    """Fit, let people move, and fit again.

    Args:
        features: (people, d).
        labels: 0 or 1, (people,).
        epsilon: How far people move.
        variant: One of `VARIANTS`.
        rounds: Of moving and fitting again.
        strategic: Features that move.

    Raises:
        ValueError: The variant is not known.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant: {variant!r} is not allowed; allowed: {', '.join(VARIANTS)}")
    design = np.column_stack([features, np.ones(len(features))])
    penalty = np.full(design.shape[1], 1 / len(features))
    penalty[-1] = 0.0 if variant != "regularised_bias" else penalty[-1]
    fit: Callable[..., Floats] = _descended if variant == "released" else newton
    thetas = [fit(design, labels, penalty, np.zeros(design.shape[1]))]
    moving = list(strategic)
    for _ in range(rounds):
        moved = design.copy()
        moved[:, moving] -= epsilon * thetas[-1][moving]
        thetas.append(fit(moved, labels, penalty, thetas[-1] if variant == "released" else thetas[0] * 0))
    found = np.array(thetas)
    gaps = np.linalg.norm(np.diff(found, axis=0), axis=1) / np.linalg.norm(found[0])
    margin = design @ found[0]
    return Minimised(gaps, float(((margin > 0) == labels).mean()), _loss(margin, labels), found)


def newton(design: Floats, labels: Floats, penalty: Floats, start: Floats, weights: Floats | None = None) -> Floats:
    """Minimiser of mean logistic loss + half the penalty times theta squared; steps that overshoot are halved.

    Args:
        design: Features with a column of ones, (rows, d).
        labels: 0 or 1, or between.
        penalty: Of each coefficient.
        start: First theta.
        weights: Of rows.
    """
    theta, share = start, np.full(len(labels), 1 / len(labels)) if weights is None else weights / weights.sum()
    risk = _risk(design, labels, penalty, share, theta)
    for _ in range(100):
        chance = _sigmoid(design @ theta)
        slope = design.T @ (share * (chance - labels)) + penalty * theta
        curve = (design * (share * chance * (1 - chance))[:, None]).T @ design + np.diag(penalty + 1e-12)
        step, size = np.linalg.solve(curve, slope), 1.0
        while (lower := _risk(design, labels, penalty, share, theta - size * step)) > risk and size > 1e-9:
            size /= 2
        theta, risk, before = theta - size * step, lower, risk
        if np.abs(size * step).max() < 1e-12 or before - lower < 1e-15 * max(abs(before), 1e-9):
            break
    return theta


def _descended(design: Floats, labels: Floats, penalty: Floats, start: Floats) -> Floats:
    """Gradient descent of constant step."""
    share = np.full(len(labels), 1 / len(labels))
    theta, before = start, np.inf
    rate = 1 / (float(np.square(design).sum()) / (4 * len(design)) + float(penalty.max()))
    while before - (risk := _risk(design, labels, penalty, share, theta)) > _STOP:
        before = risk
        theta = theta - rate * (design.T @ (_sigmoid(design @ theta) - labels) / len(labels) + penalty * theta)
    return theta


def _risk(design: Floats, labels: Floats, penalty: Floats, share: Floats, theta: Floats) -> float:
    margin = design @ theta
    return float(share @ (np.logaddexp(0, margin) - labels * margin) + penalty @ theta**2 / 2)


def _loss(margin: Floats, labels: Floats) -> float:
    return float((np.logaddexp(0, margin) - labels * margin).mean())


def _sigmoid(margin: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(margin / 2))
