"""Proximal policy optimisation on tensors: minibatches of a rollout, clipped ratios, gradients written out.

Schulman et al. 2017. The loss is that of stable-baselines3: advantages normalised in each minibatch, squared errors of
the critics, entropy, the gradient's norm bounded. What autograd makes of it is the same (a test).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from .actor_critic import LOG_TAU, ActorCritic
from .objectives import Advantages
from .rollout import Rollout


class Learned(NamedTuple):
    """What an update did."""

    policy_loss: float
    value_loss: float
    entropy: float
    """Of the policy, in nats, mean over observations."""
    kl: float
    """Mean estimate of KL(old || new) over the last epoch, in nats."""
    gradient_steps: int


class Batch(NamedTuple):
    """Steps, `[b, …]`."""

    observations: torch.Tensor
    actions: torch.Tensor
    log_probabilities: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor


@dataclass(slots=True)
class ProximalPolicy:
    """The update rule."""

    policy: ActorCritic
    generator: torch.Generator
    """For the order of steps."""
    epochs: int = 10
    minibatch: int = 64
    clip: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    max_gradient_norm: float = 0.5
    learning_rate: float = 3e-4
    target_kl: float | None = None
    """Epochs stop once the policy is one and a half times this far from the old one."""
    _optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        """Make the optimiser."""
        self._optimizer = torch.optim.Adam([self.policy.parameters], lr=self.learning_rate, eps=1e-5, fused=True)
        self.policy.parameters.grad = self.policy.gradient

    def update(self, rollout: Rollout, advantages: Advantages) -> Learned:
        """Learn from a rollout."""
        batch = flat(rollout, advantages)
        size, steps, kl = rollout.size, 0, 0.0
        told = torch.zeros(4, device=batch.observations.device)
        for _ in range(self.epochs):
            order = torch.randperm(size, generator=self.generator, device=batch.observations.device)
            shuffled = Batch(*(one[order] for one in batch))
            told.zero_()
            for start in range(0, size, self.minibatch):
                part = Batch(*(one[start : start + self.minibatch] for one in shuffled))
                told += self.step(part)
                steps += 1
            told /= -(-size // self.minibatch)
            kl = float(told[3])
            if self.target_kl is not None and kl > 1.5 * self.target_kl:
                break
        return Learned(float(told[0]), float(told[1]), float(told[2]), kl, steps)

    def step(self, batch: Batch) -> torch.Tensor:
        """One step of the optimiser: policy loss, value loss, entropy, KL."""
        told = self.differentiate(batch)
        gradient = self.policy.gradient
        gradient.mul_((self.max_gradient_norm / (gradient.norm() + 1e-6)).clamp_(max=1.0))
        self._optimizer.step()
        return told

    def differentiate(self, batch: Batch) -> torch.Tensor:
        """Write the gradient of the loss to the policy's; policy loss, value loss, entropy, KL."""
        policy, size = self.policy, len(batch.actions)
        passed = policy.forward(batch.observations)
        gains = batch.advantages
        if size > 1:
            gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        if policy.is_discrete:
            logs = passed.heads.log_softmax(-1)
            chosen = batch.actions.unsqueeze(-1)
            likely = logs.gather(-1, chosen)[:, 0]
        else:
            likely = policy.log_probabilities(passed.heads, batch.actions)
        log_ratio = likely - batch.log_probabilities
        ratio = log_ratio.exp()
        plain, bounded = ratio * gains, ratio.clamp(1 - self.clip, 1 + self.clip) * gains
        slope = torch.where(plain <= bounded, plain, 0.0).div_(-size).unsqueeze(-1)
        deviations = None
        if policy.is_discrete:
            shares = logs.exp()
            entropies = -(shares * logs).sum(-1, keepdim=True)
            heads = (shares * -slope).scatter_add_(1, chosen, slope)
            if self.entropy_weight:
                heads += shares * (logs + entropies) * (self.entropy_weight / size)
            entropy = entropies.mean()
        else:
            narrow = (-policy.log_deviations).exp()
            standard = (batch.actions - passed.heads) * narrow
            heads = slope * standard * narrow
            deviations = (slope * (standard * standard - 1)).sum(0) - self.entropy_weight
            entropy = policy.log_deviations.sum() + 0.5 * policy.actions * (1 + LOG_TAU)
        errors = passed.values - batch.returns
        policy.backward(passed, heads, errors * (2 * self.value_weight / size), deviations)
        losses = -torch.minimum(plain, bounded).mean(), (errors * errors).mean(0).sum()
        return torch.stack([*losses, entropy, (ratio - 1 - log_ratio).mean()])


def flat(rollout: Rollout, advantages: Advantages) -> Batch:
    """All steps of a rollout, `[t * n, …]`."""
    told = rollout.observations, rollout.actions, rollout.log_probabilities, advantages.policy, advantages.returns
    return Batch(*(one.flatten(0, 1) for one in told))
