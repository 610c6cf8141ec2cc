"""How satisfaction enters what a policy is pushed towards: each mode is an objective of `reinforcement_learning`.

M0 is `Reward`, which knows nothing. M1 and M2 take from the return what an unsafe next state is not worth: of a
negative return that is nothing, so there they do nothing at all, and M3 is the one to take. What is taken has a critic
of its own: the critic of the return stays that of the reward. Nothing goes on behind an episode's end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from tracebank_models.constraint_logic.connectives import Family, conjunction
from tracebank_models.reinforcement_learning.objectives import Advantages, Critic, Lagrangian, Objective, Reward
from tracebank_models.reinforcement_learning.rollout import Rollout

CostKind = Literal["soft", "crisp"]


@dataclass(frozen=True, slots=True)
class Joining:
    """How satisfactions of several constraints become one."""

    p: float = 2.0
    connectives: Family = "yager"

    def satisfaction(self, rollout: Rollout) -> torch.Tensor:
        """Of each step's next state, `[t, n]`."""
        joined: torch.Tensor = conjunction(rollout.satisfactions, self.p, self.connectives)
        return joined


@dataclass(slots=True)
class Multiplied(Reward):
    """M1: a return R counts as min(R, satisfaction * R)."""

    joining: Joining = field(default_factory=Joining)
    critics: int = field(default=2, init=False)

    def advantages(self, rollout: Rollout, critic: Critic) -> Advantages:
        """Advantages of the reward less those of what is taken from it."""
        gain, returns = self.estimated(rollout, self.rewards(rollout), critic(rollout.next_observations), 0)
        taken = self.taken(rollout, returns)
        return Advantages(gain - (taken - rollout.values[..., 1]), torch.stack([returns, taken], -1))

    def taken(self, rollout: Rollout, returns: torch.Tensor) -> torch.Tensor:
        """What each step's return loses, `[t, n]`; never below 0."""
        return (returns * (1 - self.joining.satisfaction(rollout))).clamp(min=0)


@dataclass(slots=True)
class Deficit(Multiplied):
    """M2: what an unsafe state takes, the steps that led to it lose too, by the discount less each step back.

    It goes back as far as the rollout does.
    """

    def taken(self, rollout: Rollout, returns: torch.Tensor) -> torch.Tensor:
        """The larger of a step's own loss and the discounted one of the step after it."""
        own = Multiplied.taken(self, rollout, returns)
        taken, following = torch.empty_like(own), torch.zeros_like(own[0])
        kept = self.discount * ~rollout.done
        for step in range(len(own) - 1, -1, -1):
            following = torch.maximum(own[step], kept[step] * following)
            taken[step] = following
        return taken


@dataclass(slots=True)
class Penalty(Reward):
    """M3: the reward becomes (r - weight * (1 - satisfaction)) / (1 + weight)."""

    joining: Joining = field(default_factory=Joining)
    weight: float = 1.0

    def rewards(self, rollout: Rollout) -> torch.Tensor:
        """The reward less what is not satisfied."""
        lacking = 1 - self.joining.satisfaction(rollout)
        return (rollout.rewards - self.weight * lacking) / (1 + self.weight)


@dataclass(slots=True)
class KnownLagrangian(Lagrangian):
    """M4: the reward within a limit on an episode's sum of 1 - satisfaction, or of steps that break a constraint."""

    joining: Joining = field(default_factory=Joining)
    kind: CostKind = "soft"

    def costs(self, rollout: Rollout) -> torch.Tensor:
        """What is not satisfied, or whether anything is broken."""
        if self.kind == "crisp":
            return rollout.violated.any(-1).to(rollout.rewards.dtype)
        return 1 - self.joining.satisfaction(rollout)

    def episode_cost(self, rollout: Rollout) -> float | None:
        """Mean cost of a step times the mean length of the episodes that ended; None where none did."""
        lengths = rollout.episodes.lengths
        return float(self.costs(rollout).mean()) * float(lengths.mean()) if len(lengths) else None


@dataclass(slots=True)
class Released(Reward):
    """What the authors' last public code does: it tells the cost, and the cost never reaches the loss.

    Its gradients are those of M0 (a test); it stands here to show what its figures are worth.
    """

    joining: Joining = field(default_factory=Joining)

    def updated(self, rollout: Rollout) -> dict[str, float]:
        """The mean of what is not satisfied."""
        return {"told_cost": float(1 - self.joining.satisfaction(rollout).mean())}


@dataclass(slots=True)
class Shuffled:
    """The control: an objective that sees satisfactions and costs of other steps. What it gains is not knowledge."""

    objective: Objective
    generator: torch.Generator
    critics: int = field(init=False)

    def __post_init__(self) -> None:
        """Take over the objective's critics."""
        self.critics = self.objective.critics

    def advantages(self, rollout: Rollout, critic: Critic) -> Advantages:
        """The objective's, of the rollout with what is known in another order."""
        order = torch.randperm(rollout.size, generator=self.generator, device=rollout.rewards.device)
        known = {
            name: getattr(rollout, name).flatten(0, 1)[order].unflatten(0, rollout.rewards.shape)
            for name in ("satisfactions", "violated", "costs")
        }
        return self.objective.advantages(replace(rollout, **known), critic)

    def updated(self, rollout: Rollout) -> dict[str, float]:
        """The objective's: how often something is broken is no secret."""
        return self.objective.updated(rollout)
