"""What a policy is pushed towards: the reward, the reward less a price of costs, or a limit on costs.

Each turns a rollout into advantages and into what the critics learn. Ray, Achiam and Amodei 2019 (the Lagrangian);
Stooke, Achiam and Abbeel 2020 (its PID form). How knowledge enters is in `system3`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from .policy_gradient import bootstrapped_advantages
from .rollout import Rollout

Critic = Callable[[torch.Tensor], torch.Tensor]
"""Values `[…, k]` of observations `[…, d]`."""


class Advantages(NamedTuple):
    """What a rollout teaches."""

    policy: torch.Tensor
    """`[t, n]`."""
    returns: torch.Tensor
    """What each critic learns, `[t, n, k]`."""
    costs: torch.Tensor | None = None
    """Advantages in cost, of update rules that hold a limit themselves, `[t, n]`."""


class Objective(Protocol):
    """What turns rollouts into advantages."""

    critics: int
    """How many estimates of value it needs."""

    def advantages(self, rollout: Rollout, critic: Critic) -> Advantages:
        """What a rollout teaches."""

    def updated(self, rollout: Rollout) -> dict[str, float]:
        """Take a rollout into account in its own parameters, after the policy did; figures of its own."""


@dataclass(slots=True)
class Reward:
    """The reward alone: what knows nothing."""

    discount: float = 0.99
    trace_decay: float = 0.95
    critics: int = field(default=1, init=False)

    def advantages(self, rollout: Rollout, critic: Critic) -> Advantages:
        """Generalised advantages of the reward."""
        found, returns = self.estimated(rollout, self.rewards(rollout), critic(rollout.next_observations), 0)
        return Advantages(found, returns.unsqueeze(-1))

    def rewards(self, rollout: Rollout) -> torch.Tensor:
        """What is to be had, `[t, n]`."""
        return rollout.rewards

    def estimated(
        self, rollout: Rollout, rewards: torch.Tensor, following: torch.Tensor, at: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Advantages and returns of rewards by critic `at`, whose values of next states are in `following`."""
        values, ends = rollout.values[..., at], (rollout.terminations, rollout.truncations)
        return bootstrapped_advantages(rewards, values, following[..., at], *ends, self.discount, self.trace_decay)

    def updated(self, rollout: Rollout) -> dict[str, float]:  # noqa: ARG002 - it has no parameters
        """Nothing."""
        return {}


@dataclass(slots=True)
class CostPenalty(Reward):
    """The reward less a price of each cost."""

    price: float = 1.0

    def rewards(self, rollout: Rollout) -> torch.Tensor:
        """The reward less the price."""
        return rollout.rewards - self.price * rollout.costs


@dataclass(slots=True)
class Lagrangian(Reward):
    """The reward within a limit on an episode's costs: their price rises while it is broken."""

    limit: float = 25.0
    """Cost of an episode."""
    rate: float = 0.035
    """By which the price rises with each unit of mean cost above the limit."""
    price: float = 0.001
    critics: int = field(default=2, init=False)

    def advantages(self, rollout: Rollout, critic: Critic) -> Advantages:
        """Advantages of reward less price times those of cost, over 1 + price."""
        following = critic(rollout.next_observations)
        gain, returns = self.estimated(rollout, self.rewards(rollout), following, 0)
        costs, cost_returns = self.estimated(rollout, self.costs(rollout), following, 1)
        costs = costs - costs.mean()
        policy = (gain - self.price * costs) / (1 + self.price)
        return Advantages(policy, torch.stack([returns, cost_returns], -1), costs)

    def costs(self, rollout: Rollout) -> torch.Tensor:
        """What counts as cost, `[t, n]`."""
        return rollout.costs

    def episode_cost(self, rollout: Rollout) -> float | None:
        """Mean cost of the episodes that ended; None where none did."""
        return float(rollout.episodes.costs.mean()) if len(rollout.episodes.costs) else None

    def updated(self, rollout: Rollout) -> dict[str, float]:
        """Move the price."""
        cost = self.episode_cost(rollout)
        if cost is not None:
            self.price = max(0.0, self.price + self.rate * (cost - self.limit))
        return {"price": self.price}


@dataclass(slots=True)
class PIDLagrangian(Lagrangian):
    """The same with a price that answers to the excess, its sum and its rise."""

    proportional: float = 0.1
    integral: float = 0.01
    derivative: float = 0.01
    _sum: float = field(default=0.0, init=False)
    _before: float = field(default=0.0, init=False)

    def updated(self, rollout: Rollout) -> dict[str, float]:
        """Set the price."""
        cost = self.episode_cost(rollout)
        if cost is not None:
            excess = cost - self.limit
            self._sum = max(0.0, self._sum + self.integral * excess)
            rise = max(0.0, cost - self._before)
            self._before = cost
            self.price = max(0.0, self.proportional * excess + self._sum + self.derivative * rise)
        return {"price": self.price}
