"""The formulas of policy gradients, on tensors alone: shaped rewards, advantages, clipped losses, KL.

Schulman et al. 2017 (clipped surrogate) and 2016 (generalised advantages); Ziegler et al. 2019 (KL in the reward, and
its coefficient's controller). Tensors of responses are [rows, response length] with a mask of the same shape, those of
rollouts [steps, environments, …].

The KL to the reference is the exact one of the next token, never the sampled log-ratio. It stands in two places, which
together are the gradient of reward - coefficient * KL: in the loss, for what a token's own distribution costs, and in
the reward of the tokens before it, for the places that they lead to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the places where the mask is 1; a scalar."""
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum()


def shaped_rewards(scores: torch.Tensor, kl: torch.Tensor, mask: torch.Tensor, kl_coefficient: float) -> torch.Tensor:
    """Reward of each token: minus the price of the KL everywhere, plus the response's score at its last token.

    Args:
        scores: Reward of each response, shape [rows].
        kl: Exact KL to the reference at each token's place.
        mask: 1 where there is a token; every row has at least one.
        kl_coefficient: Weight of the KL, in reward per nat.
    """
    rewards = -kl_coefficient * kl * mask
    last = mask.long().sum(dim=1) - 1
    rewards[torch.arange(len(rewards), device=rewards.device), last] += scores.to(rewards.dtype)
    return rewards


def generalized_advantages(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, discount: float, trace_decay: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalised advantage estimates and the returns that the value head learns.

    Args:
        rewards: Reward of each token.
        values: Value head's estimate at each token.
        mask: 1 where there is a token; a row's tokens stand at its beginning.
        discount: Gamma.
        trace_decay: Lambda; 1 gives the discounted sum of rewards minus the value, 0 the one-step error.

    Returns:
        Advantages and returns, 0 where there is no token.
    """
    weights = mask.to(rewards.dtype)
    rewards, values = rewards * weights, values * weights
    following = torch.cat((values[:, 1:], torch.zeros_like(values[:, :1])), dim=1)
    errors = rewards + discount * following - values
    advantages = decayed_sums(errors.T, torch.ones_like(errors.T), discount * trace_decay).T
    return advantages * weights, (advantages + values) * weights


def decayed_sums(values: torch.Tensor, goes_on: torch.Tensor, decay: float) -> torch.Tensor:
    """At each step the sum of what follows, each further step weighing `decay` times as much, up to an episode's end.

    Args:
        values: [steps, …].
        goes_on: 1 where the episode goes on behind the step, else 0; of a shape that broadcasts.
        decay: From 0 to 1.
    """
    sums = torch.empty_like(values)
    total = torch.zeros_like(values[0])
    weights = decay * goes_on.to(values.dtype)
    for step in range(len(values) - 1, -1, -1):
        total = torch.addcmul(values[step], weights[step], total)
        sums[step] = total
    return sums


def bootstrapped_advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    next_values: torch.Tensor,
    terminations: torch.Tensor,
    truncations: torch.Tensor,
    discount: float,
    trace_decay: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalised advantage estimates of a rollout, and the returns that critics learn; [steps, environments].

    An episode that ends is worth nothing behind its end; one that is cut is worth what the critic says of the state
    that it was cut in, as is the last step of the rollout.

    Args:
        rewards: Of each step.
        values: Critic's estimate of the state before it.
        next_values: Of the state after it, before any reset.
        terminations: Where the episode ended.
        truncations: Where it was cut.
        discount: Gamma.
        trace_decay: Lambda.
    """
    errors = rewards + discount * next_values * (~terminations) - values
    advantages = decayed_sums(errors, ~(terminations | truncations), discount * trace_decay)
    return advantages, advantages + values


def centred(values: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Values minus their mean over the mask, 0 elsewhere, and their standard deviation."""
    moved = (values - masked_mean(values, mask)) * mask
    return moved, math.sqrt(float(masked_mean(moved**2, mask)))


def clipped_surrogate(
    log_probabilities: torch.Tensor,
    old_log_probabilities: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    clip: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's policy loss: minus the mean of min(ratio * A, clip(ratio, 1 - clip, 1 + clip) * A).

    Returns:
        The loss and the share of tokens at which the clipped branch was taken; scalars.
    """
    ratio = torch.exp(log_probabilities - old_log_probabilities)
    plain = ratio * advantages
    clipped = ratio.clamp(1 - clip, 1 + clip) * advantages
    return -masked_mean(torch.minimum(plain, clipped), mask), masked_mean((clipped < plain).float(), mask)


def clipped_value_loss(
    values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor, clip: float
) -> torch.Tensor:
    """Half the mean squared error of the values, of which a step may move each by no more than `clip`; a scalar."""
    moved = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * masked_mean(torch.maximum((values - returns) ** 2, (moved - returns) ** 2), mask)


def exact_kl(log_probabilities: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(policy || reference) of the next token at each place, in nats; input [..., vocabulary], output [...]."""
    return (log_probabilities.exp() * (log_probabilities - reference)).sum(dim=-1)


def sampled_kl(log_probabilities: torch.Tensor, old_log_probabilities: torch.Tensor) -> torch.Tensor:
    """KL(old || new) at each place from tokens that the old policy chose: never negative, and 0 for an equal policy.

    The estimate ratio - 1 - log ratio (Schulman 2020); its variance is small where the two policies are near.
    """
    log_ratio = log_probabilities - old_log_probabilities
    return torch.expm1(log_ratio) - log_ratio


@dataclass(slots=True)
class KLController:
    """The KL coefficient, held, or steered towards a target KL per response."""

    coefficient: float
    target: float | None = None
    """Nats per response; None holds the coefficient."""
    horizon: float = 5.0
    """Steps in which a KL of twice the target (or of none) multiplies (or divides) the coefficient by e."""

    def update(self, kl: float) -> None:
        """Take the mean KL per response of a step into account."""
        if self.target is not None:
            error = min(1.0, max(-1.0, kl / self.target - 1))
            self.coefficient *= math.exp(error / self.horizon)

    def state_dict(self) -> dict[str, float]:
        """State to keep in a checkpoint."""
        return {"coefficient": self.coefficient}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Take a state that was kept."""
        self.coefficient = state_dict["coefficient"]
