"""Gradients that are written out are autograd's, and what is learned is what the formulas say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tracebank_models.reinforcement_learning.actor_critic import ActorCritic
from tracebank_models.reinforcement_learning.proximal_policy import Batch, ProximalPolicy

DISCRETE, BOX = spaces.Discrete(3), spaces.Box(-1.0, 1.0, (2,), np.float32)


def _batch(policy: ActorCritic, size: int, generator: torch.Generator) -> Batch:
    seen = torch.randn(size, policy.observations, generator=generator)
    heads = policy.forward(seen).heads
    actions = policy.sampled(heads, generator)
    old = policy.log_probabilities(heads, actions) + 0.3 * torch.randn(size, generator=generator)
    returns = torch.randn(size, policy.critics, generator=generator)
    return Batch(seen, actions, old, torch.randn(size, generator=generator), returns)


def _loss(policy: ActorCritic, flat: torch.Tensor, batch: Batch, rule: ProximalPolicy) -> torch.Tensor:
    passed = policy.forward(batch.observations, flat)
    gains = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
    likely = policy.log_probabilities(passed.heads, batch.actions, flat)
    ratio = (likely - batch.log_probabilities).exp()
    policy_loss = -torch.min(ratio * gains, ratio.clamp(1 - rule.clip, 1 + rule.clip) * gains).mean()
    if policy.is_discrete:
        entropy = torch.distributions.Categorical(logits=passed.heads).entropy().mean()
    else:
        deviations = policy.views(flat)[-1].exp().expand_as(passed.heads)
        entropy = torch.distributions.Normal(passed.heads, deviations).entropy().sum(-1).mean()
    value_loss = ((passed.values - batch.returns) ** 2).mean(0).sum()
    return policy_loss - rule.entropy_weight * entropy + rule.value_weight * value_loss


@pytest.mark.parametrize("action", [DISCRETE, BOX])
@pytest.mark.parametrize("critics", [1, 2])
@pytest.mark.parametrize("entropy_weight", [0.0, 0.1])
@pytest.mark.parametrize("bounds", [None, spaces.Box(-2.0, 5.0, (5,))])
def test_the_written_gradient_is_autograd_s(
    action: spaces.Space, critics: int, entropy_weight: float, bounds: spaces.Box | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    policy = ActorCritic(5, action, critics, (16, 8), generator, bounds=bounds)
    policy.parameters.add_(0.3 * torch.randn(policy.parameters.shape, generator=generator))
    rule = ProximalPolicy(policy, generator, entropy_weight=entropy_weight)
    batch = _batch(policy, 64, generator)
    rule.differentiate(batch)
    flat = policy.parameters.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(_loss(policy, flat, batch, rule), flat)
    assert wanted.abs().max() > 1e-3
    assert torch.allclose(policy.gradient, wanted, rtol=1e-4, atol=1e-6)


def test_networks_see_bounded_numbers_from_minus_one_to_one() -> None:
    bounds = spaces.Box(np.array([-1.2, -np.inf], np.float32), np.array([0.6, np.inf], np.float32))
    plain = ActorCritic(2, DISCRETE, 1, (8,), torch.Generator().manual_seed(0))
    scaled = ActorCritic(2, DISCRETE, 1, (8,), torch.Generator().manual_seed(0), bounds=bounds)
    seen = torch.tensor([[-1.2, 3.0], [-0.3, -4.0], [0.6, 0.0]])
    wanted = plain.forward(torch.tensor([[-1.0, 3.0], [0.0, -4.0], [1.0, 0.0]])).heads
    assert torch.allclose(scaled.forward(seen).heads, wanted, atol=1e-6)


@pytest.mark.parametrize("action", [DISCRETE, BOX])
def test_actions_are_drawn_as_likely_as_they_are_said_to_be(action: spaces.Space) -> None:
    generator = torch.Generator().manual_seed(1)
    policy = ActorCritic(2, action, 1, (8,), generator)
    policy.parameters.add_(0.5 * torch.randn(policy.parameters.shape, generator=generator))
    heads = policy.forward(torch.ones(1, 2)).heads
    drawn = policy.sampled(heads.expand(200_000, -1), generator)
    if policy.is_discrete:
        shares = torch.bincount(drawn, minlength=3) / len(drawn)
        assert torch.allclose(shares, heads[0].softmax(-1), atol=0.005)
    else:
        assert torch.allclose(drawn.mean(0), heads[0], atol=0.01)
        assert torch.allclose(drawn.std(0), policy.log_deviations.exp(), rtol=0.02)
        normal = torch.distributions.Normal(heads[0], policy.log_deviations.exp())
        wanted = normal.log_prob(drawn[:9]).sum(-1)
        assert torch.allclose(policy.log_probabilities(heads.expand(9, -1), drawn[:9]), wanted, atol=1e-5)


def test_kl_is_torch_s() -> None:
    generator = torch.Generator().manual_seed(2)
    for action, kind in ((DISCRETE, torch.distributions.Categorical), (BOX, torch.distributions.Normal)):
        policies = [ActorCritic(3, action, 1, (8,), generator) for _ in range(2)]
        for one in policies:
            one.parameters.add_(0.4 * torch.randn(one.parameters.shape, generator=generator))
        seen = torch.randn(50, 3, generator=generator)
        heads = [one.forward(seen).heads for one in policies]
        if action is DISCRETE:
            old, new = (kind(logits=one) for one in heads)
            wanted = torch.distributions.kl_divergence(old, new).mean()
        else:
            old, new = (kind(one, p.log_deviations.exp()) for one, p in zip(heads, policies, strict=True))
            wanted = torch.distributions.kl_divergence(old, new).sum(-1).mean()
        found = policies[0].kl(*heads, policies[0].parameters, policies[1].parameters)
        assert float(found) == pytest.approx(float(wanted), rel=1e-4)


def test_a_policy_that_says_nan_or_sees_another_shape_is_one_line() -> None:
    policy = ActorCritic(4, DISCRETE, 1)
    with pytest.raises(ValueError, match=r"observations: shape \[1, 3\] is not allowed; allowed: \[n, 4\]"):
        policy.act(np.zeros((1, 3), np.float32))
    policy.parameters.fill_(torch.nan)
    with pytest.raises(ValueError, match="policy: it says NaN or infinity"):
        policy.act(np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match=r"action space: .* is not allowed"):
        ActorCritic(4, spaces.MultiBinary(3), 1)
