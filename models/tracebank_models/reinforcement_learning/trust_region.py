"""Trust regions: TRPO, and CPO, which holds a limit on costs in the step itself.

Schulman et al. 2015; Achiam et al. 2017. The Fisher matrix is never made: its products come of the gradient of KL.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from .actor_critic import ActorCritic
from .constrained_step import constrained_step
from .objectives import Advantages
from .proximal_policy import Batch, Learned, flat
from .rollout import Rollout

Scalar = Callable[[torch.Tensor], torch.Tensor]
"""A number, of parameters."""


@dataclass(slots=True)
class TrustRegion:
    """The update rule."""

    policy: ActorCritic
    generator: torch.Generator
    size: float = 0.01
    """KL(old || new) of a step, in nats."""
    minibatch: int = 128
    epochs: int = 10
    """Of the critics."""
    learning_rate: float = 1e-3
    """Of the critics."""
    cost_limit: float | None = None
    """Cost of an episode that CPO holds; None: TRPO."""
    damping: float = 0.1
    iterations: int = 10
    halvings: int = 10
    _optimizer: torch.optim.Optimizer = field(init=False)
    _of_policy: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Tell parameters of the policy from those of critics."""
        policy = self.policy
        self._optimizer = torch.optim.Adam([policy.parameters], lr=self.learning_rate, eps=1e-5, fused=True)
        policy.parameters.grad = policy.gradient
        marks = torch.zeros_like(policy.parameters)
        *layers, head, head_bias, _, _, deviations = policy.views(marks)
        for stack in layers:
            stack[0] = 1
        for own in (head, head_bias, deviations):
            own.fill_(1)
        self._of_policy = marks.bool()

    def update(self, rollout: Rollout, advantages: Advantages) -> Learned:
        """Learn from a rollout.

        Raises:
            ValueError: A limit on costs is to be held, and the objective tells no advantages in cost.
        """
        batch = flat(rollout, advantages)
        gains = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        costs = None
        if self.cost_limit is not None:
            if advantages.costs is None:
                raise ValueError("rule: cpo is not allowed with this objective; allowed: one with a cost critic")
            costs = advantages.costs.flatten()
        loss, kl = self._move(batch, gains, costs, self._excess(rollout))
        value_loss, steps = self._fit(batch)
        passed = self.policy.forward(batch.observations)
        return Learned(loss, value_loss, float(self._entropy(passed.heads)), kl, steps)

    def _excess(self, rollout: Rollout) -> float:
        """Mean cost of episodes less the limit, per step; 0 where no episode ended."""
        episodes = rollout.episodes
        if self.cost_limit is None or not len(episodes.costs):
            return 0.0
        return float(episodes.costs.mean() - self.cost_limit) / max(float(episodes.lengths.mean()), 1.0)

    def _entropy(self, heads: torch.Tensor) -> torch.Tensor:
        if self.policy.is_discrete:
            logs = heads.log_softmax(-1)
            return -(logs.exp() * logs).sum(-1).mean()
        return self.policy.log_deviations.sum() + 0.5 * self.policy.actions * (1 + math.log(2 * math.pi))

    def _move(
        self, batch: Batch, gains: torch.Tensor, costs: torch.Tensor | None, excess: float
    ) -> tuple[float, float]:
        """Move the policy within the region; surrogate loss and KL."""
        policy, old = self.policy, self.policy.parameters.clone()
        before = policy.forward(batch.observations).heads

        def surrogate(flat_parameters: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            heads = policy.forward(batch.observations, flat_parameters).heads
            ratio = (policy.log_probabilities(heads, batch.actions, flat_parameters) - batch.log_probabilities).exp()
            return (ratio * weights).mean()

        def divergence(flat_parameters: torch.Tensor) -> torch.Tensor:
            return policy.kl(before, policy.forward(batch.observations, flat_parameters).heads, old, flat_parameters)

        def slope(of: torch.Tensor) -> torch.Tensor:
            return self._gradient(lambda at: surrogate(at, of), old)

        def fisher(vector: torch.Tensor) -> torch.Tensor:
            return self._hessian_product(divergence, old, vector) + self.damping * vector

        direction = constrained_step(
            slope(gains), None if costs is None else slope(costs), excess, fisher, self.size, self.iterations
        )
        for halving in range(self.halvings):
            new = old + direction * 0.5**halving
            gain, kl = float(surrogate(new, gains)), float(divergence(new))
            cost = 0.0 if costs is None else float(surrogate(new, costs))
            holds = costs is None or cost <= max(-excess, 0.0)
            better = gain >= float(gains.mean()) or (costs is not None and excess > 0)
            if math.isfinite(gain) and kl <= 1.5 * self.size and better and holds:
                policy.parameters.copy_(new)
                return -gain, kl
        return 0.0, 0.0

    def _gradient(self, function: Scalar, at: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            point = at.detach().requires_grad_()
            (found,) = torch.autograd.grad(function(point), point)
        return torch.where(self._of_policy, found, 0.0)

    def _hessian_product(self, function: Scalar, at: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            point = at.detach().requires_grad_()
            (first,) = torch.autograd.grad(function(point), point, create_graph=True)
            (found,) = torch.autograd.grad((first * vector).sum(), point)
        return torch.where(self._of_policy, found, 0.0)

    def _fit(self, batch: Batch) -> tuple[float, int]:
        """Fit the critics; the policy, whose gradient is 0, stays."""
        policy, size, steps = self.policy, len(batch.actions), 0
        loss = torch.zeros(())
        for _ in range(self.epochs):
            order = torch.randperm(size, generator=self.generator, device=policy.parameters.device)
            for part in torch.split(order, self.minibatch):
                passed = policy.forward(batch.observations[part])
                errors = passed.values - batch.returns[part]
                policy.backward(passed, torch.zeros_like(passed.heads), errors * (2 / len(part)), None)
                self._optimizer.step()
                loss, steps = (errors * errors).mean(), steps + 1
        return float(loss), steps
