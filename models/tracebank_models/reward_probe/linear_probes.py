"""Linear probes on tensors: scikit-learn's ridge and logistic regression, and one of chance as a control."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_GRADIENT = 1e-8
"""Largest gradient of the mean loss at which the logistic regression is at its optimum."""


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A weight a feature and an intercept."""

    weights: Tensor
    """float64, shape (features,)."""
    intercept: float

    def predict(self, codes: Tensor) -> Tensor:
        """Predictions of codes (rows, features), as float64 of shape (rows,).

        Raises:
            ValueError: There are more or fewer features.
        """
        if codes.ndim != 2 or codes.shape[1] != len(self.weights):
            raise ValueError(
                f"codes: shape {tuple(codes.shape)} is not allowed: (rows, {len(self.weights)}), the probe's features"
            )
        return codes.double() @ self.weights + self.intercept


def _checked(codes: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if codes.ndim != 2 or targets.shape != codes.shape[:1] or len(codes) == 0:
        raise ValueError(
            f"codes: {tuple(codes.shape)} with targets {tuple(targets.shape)}: allowed are (rows, features) and (rows,)"
        )
    x, y = codes.detach().double().cpu(), targets.detach().double().cpu()
    if not bool(torch.isfinite(x).all() & torch.isfinite(y).all()):
        raise ValueError("codes: a code or a target is not finite: allowed are finite numbers")
    return x, y


def fit_ridge(codes: Tensor, targets: Tensor, *, alpha: float = 1.0) -> LinearProbe:
    """Least squares with a penalty `alpha` on the squared weights and none on the intercept, in closed form.

    Args:
        codes: Shape (rows, features).
        targets: Shape (rows,).
        alpha: Penalty; scikit-learn's default is 1.

    Raises:
        ValueError: Shapes do not fit, a number is not finite, or `alpha` is not positive.
    """
    if alpha <= 0:
        raise ValueError(f"alpha: {alpha} is not allowed: more than 0")
    from sklearn.linear_model import Ridge

    x, y = _checked(codes, targets)
    # In closed form, on rows or on features, whichever are fewer.
    model = Ridge(alpha=alpha, solver="cholesky").fit(x.numpy(), y.numpy())
    return LinearProbe(torch.from_numpy(model.coef_), float(model.intercept_))


def random_probe(features: int, *, seed: int) -> LinearProbe:
    """A probe that has learned nothing: weights and intercept uniform within 1 / sqrt(features), like a new layer."""
    chance = torch.Generator().manual_seed(seed)
    drawn = (torch.rand(features + 1, generator=chance, dtype=torch.float64) * 2 - 1) / features**0.5
    return LinearProbe(drawn[:features], float(drawn[features]))


def fit_logistic(codes: Tensor, labels: Tensor, *, c: float = 1.0, max_iterations: int = 500) -> LinearProbe:
    """Logistic regression: half the squared weights plus `c` times the sum of the log losses, by Newton's method.

    Args:
        codes: Shape (rows, features).
        labels: True or 1 for the positive class, shape (rows,).
        c: Weight of the losses; scikit-learn's default is 1.
        max_iterations: Steps at most.

    Returns:
        A probe whose prediction is the log odds of the positive class.

    Raises:
        ValueError: Shapes do not fit, a number is not finite, or there is one class only.
    """
    from sklearn.linear_model import LogisticRegression

    x, y = _checked(codes, labels)
    if not bool(((y == 0) | (y == 1)).all()) or bool((y == y[0]).all()):
        raise ValueError("labels: allowed are 0 and 1, and both must be there")
    solver = LogisticRegression(C=c, solver="newton-cholesky", max_iter=max_iterations, tol=_GRADIENT)
    model = solver.fit(x.numpy(), y.numpy())
    return LinearProbe(torch.from_numpy(model.coef_[0]), float(model.intercept_[0]))
