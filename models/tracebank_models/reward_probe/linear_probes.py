"""Linear probes in closed form or by Newton's kind of steps: ridge, logistic, and one of chance as a control.

Objectives are scikit-learn's (`Ridge`, `LogisticRegression`), so that figures compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tracebank_models.reward_probe.error import RewardProbeError


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A weight a feature and an intercept."""

    weights: Tensor
    """float64, shape (features,)."""
    intercept: float

    def predict(self, codes: Tensor) -> Tensor:
        """Predictions of codes (rows, features), as float64 of shape (rows,).

        Raises:
            RewardProbeError: There are more or fewer features.
        """
        if codes.ndim != 2 or codes.shape[1] != len(self.weights):
            raise RewardProbeError(
                f"codes: shape {tuple(codes.shape)} is not allowed: (rows, {len(self.weights)}), the probe's features"
            )
        return codes.double() @ self.weights + self.intercept


def _checked(codes: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if codes.ndim != 2 or targets.shape != codes.shape[:1] or len(codes) == 0:
        raise RewardProbeError(
            f"codes: {tuple(codes.shape)} with targets {tuple(targets.shape)}: allowed are (rows, features) and (rows,)"
        )
    x, y = codes.double(), targets.double()
    if not bool(torch.isfinite(x).all() & torch.isfinite(y).all()):
        raise RewardProbeError("codes: a code or a target is not finite: allowed are finite numbers")
    return x, y


def fit_ridge(codes: Tensor, targets: Tensor, *, alpha: float = 1.0) -> LinearProbe:
    """Least squares with a penalty `alpha` on the squared weights and none on the intercept, in closed form.

    Args:
        codes: Shape (rows, features).
        targets: Shape (rows,).
        alpha: Penalty; scikit-learn's default is 1.

    Raises:
        RewardProbeError: Shapes do not fit, a number is not finite, or `alpha` is not positive.
    """
    if alpha <= 0:
        raise RewardProbeError(f"alpha: {alpha} is not allowed: more than 0")
    x, y = _checked(codes, targets)
    mean_x, mean_y = x.mean(0), y.mean()
    centred, left = x - mean_x, y - mean_y
    rows, features = x.shape
    if rows < features:  # the smaller of the two systems has the same solution
        gram = centred @ centred.T + alpha * torch.eye(rows, dtype=x.dtype)
        weights = centred.T @ torch.cholesky_solve(left[:, None], torch.linalg.cholesky(gram))[:, 0]
    else:
        gram = centred.T @ centred + alpha * torch.eye(features, dtype=x.dtype)
        weights = torch.cholesky_solve((centred.T @ left)[:, None], torch.linalg.cholesky(gram))[:, 0]
    return LinearProbe(weights, float(mean_y - mean_x @ weights))


def random_probe(features: int, *, seed: int) -> LinearProbe:
    """A probe that has learned nothing: weights and intercept uniform within 1 / sqrt(features), like a new layer."""
    chance = torch.Generator().manual_seed(seed)
    drawn = (torch.rand(features + 1, generator=chance, dtype=torch.float64) * 2 - 1) / features**0.5
    return LinearProbe(drawn[:features], float(drawn[features]))


def fit_logistic(codes: Tensor, labels: Tensor, *, c: float = 1.0, max_iterations: int = 500) -> LinearProbe:
    """Logistic regression: half the squared weights plus `c` times the sum of the log losses, by L-BFGS.

    Args:
        codes: Shape (rows, features).
        labels: True or 1 for the positive class, shape (rows,).
        c: Weight of the losses; scikit-learn's default is 1.
        max_iterations: Steps of L-BFGS at most.

    Returns:
        A probe whose prediction is the log odds of the positive class.

    Raises:
        RewardProbeError: Shapes do not fit, a number is not finite, or there is one class only.
    """
    x, y = _checked(codes, labels)
    if not bool(((y == 0) | (y == 1)).all()) or bool((y == y[0]).all()):
        raise RewardProbeError("labels: allowed are 0 and 1, and both must be there")
    signs = 2 * y - 1
    weights = torch.zeros(x.shape[1] + 1, dtype=x.dtype, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights], max_iter=max_iterations, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        margins = signs * (x @ weights[:-1] + weights[-1])
        value = 0.5 * weights[:-1].square().sum() + c * torch.nn.functional.softplus(-margins).sum()
        torch.autograd.backward(value)
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    solution = weights.detach()
    return LinearProbe(solution[:-1].clone(), float(solution[-1]))
