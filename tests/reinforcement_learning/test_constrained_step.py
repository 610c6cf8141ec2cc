"""The step of a trust region against a solver that knows nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from tracebank_models.reinforcement_learning.constrained_step import conjugate_gradients, constrained_step

SIZE = 0.02


def _drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A matrix, and gradients of gain and cost."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    gain, cost = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    return root @ root.T + 0.1 * torch.eye(5), gain, cost


def test_conjugate_gradients_solve() -> None:
    matrix, right, _ = _drawn(0)
    assert torch.allclose(matrix @ conjugate_gradients(matrix.mv, right, 20), right, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [-2.0, -0.5, 0.0, 0.5])
def test_the_step_is_the_best_that_holds_the_limit(seed: int, share: float) -> None:
    matrix, gain, cost = _drawn(seed)
    furthest = float((2 * SIZE * cost @ torch.linalg.solve(matrix, cost)).sqrt())
    excess = share * furthest
    found = constrained_step(gain, cost, excess, matrix.mv, SIZE, 20)
    m, g, c = (one.numpy() for one in (matrix, gain, cost))
    limits = [
        {"type": "ineq", "fun": lambda x: SIZE - 0.5 * x @ m @ x},
        {"type": "ineq", "fun": lambda x: -excess - c @ x},
    ]
    best = minimize(lambda x: -g @ x, np.zeros(5), constraints=limits, method="SLSQP", options={"ftol": 1e-12})
    assert best.success
    assert float(gain @ found) == pytest.approx(-best.fun, rel=1e-3)
    assert float(found @ matrix @ found) / 2 <= SIZE * 1.001
    assert excess + float(cost @ found) <= 1e-5


def test_where_no_step_holds_the_limit_costs_fall_as_fast_as_they_can() -> None:
    matrix, gain, cost = _drawn(1)
    furthest = float((2 * SIZE * cost @ torch.linalg.solve(matrix, cost)).sqrt())
    found = constrained_step(gain, cost, 1.5 * furthest, matrix.mv, SIZE, 20)
    assert float(cost @ found) == pytest.approx(-furthest, rel=1e-4)


@pytest.mark.parametrize("unit", [1e-7, 1e-3, 1e5])
def test_the_unit_that_costs_are_counted_in_changes_no_step(unit: float) -> None:
    matrix, gain, cost = _drawn(3)
    free = constrained_step(gain, None, 0.0, matrix.mv, SIZE, 20)
    excess = -0.5 * float(cost @ free)
    wanted = constrained_step(gain, cost, excess, matrix.mv, SIZE, 20)
    found = constrained_step(gain, unit * cost, unit * excess, matrix.mv, SIZE, 20)
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-5)
    hopeless = constrained_step(gain, unit * cost, unit * 1e3, matrix.mv, SIZE, 20)
    assert torch.allclose(hopeless, constrained_step(gain, cost, 1e3, matrix.mv, SIZE, 20), rtol=1e-3, atol=1e-5)
