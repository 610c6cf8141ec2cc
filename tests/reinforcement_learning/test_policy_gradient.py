"""The formulas of PPO and DPO against closed forms: gradients known on paper, and optima known on paper."""

from __future__ import annotations

import math

import pytest
import torch

from tracebank_models.language_model.direct_preference import preference_loss
from tracebank_models.reinforcement_learning.policy_gradient import (
    KLController,
    centred,
    clipped_surrogate,
    clipped_value_loss,
    exact_kl,
    generalized_advantages,
    masked_mean,
    sampled_kl,
    shaped_rewards,
)

LOGITS = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64)
ACTIONS = torch.tensor([0, 2, 2, 1, 3])
ADVANTAGES = torch.tensor([1.0, -0.5, 2.0, 0.7, -1.2], dtype=torch.float64)
ONES = torch.ones(5, 1)


def _gradient(old: torch.Tensor, clip: float) -> tuple[torch.Tensor, float]:
    logits = LOGITS.clone().requires_grad_()
    chosen = torch.log_softmax(logits, 0)[ACTIONS]
    loss, share = clipped_surrogate(chosen[:, None], old[:, None], ADVANTAGES[:, None], ONES, clip)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    return logits.grad, float(share)


def test_the_gradient_of_a_one_step_softmax_policy_is_the_policy_gradient() -> None:
    probabilities = torch.softmax(LOGITS, 0)
    gradient, share = _gradient(torch.log(probabilities)[ACTIONS], clip=0.2)
    scores = torch.nn.functional.one_hot(ACTIONS, 4) - probabilities
    assert gradient.tolist() == pytest.approx((-(ADVANTAGES[:, None] * scores).mean(dim=0)).tolist())
    assert share == 0


def test_clipping_stops_just_the_samples_that_have_gone_far_enough() -> None:
    probabilities = torch.softmax(LOGITS, 0)
    ratios = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1], dtype=torch.float64)
    gradient, share = _gradient(torch.log(probabilities)[ACTIONS] - torch.log(ratios), clip=0.2)
    scores = torch.nn.functional.one_hot(ACTIONS, 4) - probabilities
    # Sample 0 is better than expected and already likelier by more than the clip; the others still count.
    counts = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    expected = -((counts * ratios * ADVANTAGES)[:, None] * scores).mean(dim=0)
    assert gradient.tolist() == pytest.approx(expected.tolist())
    assert share == pytest.approx(0.2)


def test_ppo_on_a_bandit_finds_the_optimum_of_reward_minus_kl() -> None:
    """The optimum is known: reference * exp(reward / coefficient), normalised."""
    rewards, coefficient = torch.tensor([1.0, 0.0, -1.0, 0.5]), 0.8
    reference = torch.log_softmax(torch.tensor([-1.0, 1.0, 0.5, 0.0]), 0)
    optimum = torch.softmax(reference + rewards / coefficient, 0)
    logits = reference.clone().requires_grad_()
    optimizer, chance = torch.optim.Adam([logits], lr=0.05), torch.Generator().manual_seed(0)
    mask = torch.ones(4096, 1)
    for _ in range(60):
        with torch.no_grad():
            actions = torch.multinomial(torch.softmax(logits, 0), 4096, replacement=True, generator=chance)
            old = torch.log_softmax(logits, 0)[actions][:, None]
            advantages, scale = centred(rewards[actions][:, None], mask)
        for _ in range(4):
            policy = torch.log_softmax(logits, 0)
            loss = clipped_surrogate(policy[actions][:, None], old, advantages, mask, 0.2)[0]
            optimizer.zero_grad()
            ((loss + coefficient * exact_kl(policy, reference)) / scale).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    assert torch.softmax(logits, 0).tolist() == pytest.approx(optimum.tolist(), abs=0.02)
    assert float(exact_kl(reference, torch.log(optimum))) > 0.1


def test_the_two_places_of_the_kl_are_the_gradient_of_reward_minus_kl() -> None:
    """Two tokens of three: every response enumerated, weighted by its probability, against autograd of the sum."""
    generator, beta = torch.Generator().manual_seed(3), 0.7
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    reference = torch.log_softmax(torch.randn(4, 3, generator=generator, dtype=torch.float64), -1)
    scores = torch.randn(9, generator=generator, dtype=torch.float64)
    first, second = torch.arange(3).repeat_interleave(3), torch.arange(3).repeat(3)
    # Row 0 is the distribution of the first token, row 1 + i that of the second after token i.
    places, tokens = torch.stack((torch.zeros(9).long(), 1 + first), 1), torch.stack((first, second), 1)

    def parts() -> tuple[torch.Tensor, torch.Tensor]:
        policy = torch.log_softmax(logits, -1)
        return policy[places, tokens], exact_kl(policy, reference)[places]

    chosen, kl = parts()
    probability = chosen.sum(dim=1).exp()
    (probability * (scores - beta * kl.sum(dim=1))).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    expected = logits.grad.clone()
    logits.grad = None
    chosen, kl = parts()
    weights = (chosen.sum(dim=1).exp().detach() * 9)[:, None]
    mask = torch.ones(9, 2)
    advantages = generalized_advantages(
        shaped_rewards(scores, kl.detach(), mask, beta), torch.zeros(9, 2).double(), mask, 1.0, 1.0
    )[0]
    surrogate = clipped_surrogate(chosen, chosen.detach(), weights * advantages, mask, 0.2)[0]
    (surrogate + beta * masked_mean(weights * kl, mask)).backward()  # type: ignore[no-untyped-call]
    # The loss is a mean over 18 tokens, the objective a mean over 9 responses.
    assert (-2 * logits.grad).flatten().tolist() == pytest.approx(expected.flatten().tolist())


def test_kl_is_that_of_torch_distributions_and_so_is_its_estimate() -> None:
    logits = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    policy, reference = torch.log_softmax(logits, -1)
    categorical = torch.distributions.Categorical
    theirs = torch.distributions.kl_divergence(categorical(logits=policy), categorical(logits=reference))
    assert torch.allclose(exact_kl(policy, reference), theirs)
    estimates = sampled_kl(reference, policy)
    assert bool((estimates >= 0).all())
    # Weighted by the probability of the token that was sampled, the estimate is the KL.
    assert torch.allclose((policy.exp() * estimates).sum(-1), theirs)


def test_advantages_at_the_two_ends_of_lambda() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    values = torch.tensor([[0.5, 0.25, 1.0]])
    mask = torch.ones(1, 3)
    all_of_it, returns = generalized_advantages(rewards, values, mask, 0.5, 1.0)
    assert returns.tolist() == [[1 + 1 + 1, 2 + 2, 4]]
    assert all_of_it.tolist() == (returns - values).tolist()
    one_step = generalized_advantages(rewards, values, mask, 0.5, 0.0)[0]
    assert one_step.tolist() == [[1 + 0.125 - 0.5, 2 + 0.5 - 0.25, 4 - 1]]


def test_what_is_masked_has_no_say() -> None:
    generator = torch.Generator().manual_seed(1)
    rewards, values = torch.randn(2, 5, generator=generator), torch.randn(2, 5, generator=generator)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    short = generalized_advantages(rewards[:1, :3], values[:1, :3], mask[:1, :3], 0.9, 0.8)
    padded = generalized_advantages(rewards, values, mask, 0.9, 0.8)
    for one, two in zip(short, padded, strict=True):
        assert two[:1, :3].tolist() == one.tolist()
        assert two[0, 3:].tolist() == [0, 0]
    shaped = shaped_rewards(torch.tensor([7.0, 9.0]), rewards, mask, 2.0)
    expected = -2 * rewards * mask
    expected[0, 2] += 7
    expected[1, 4] += 9
    assert shaped.tolist() == expected.tolist()
    moved, scale = centred(rewards, mask)
    assert moved[0, 3:].tolist() == [0, 0]
    assert moved[mask.bool()].mean().item() == pytest.approx(0, abs=1e-6)
    assert moved[mask.bool()].std(correction=0).item() == pytest.approx(scale, rel=1e-5)


def test_the_value_loss_moves_no_further_than_its_clip() -> None:
    values = torch.tensor([[0.1, 0.5]], requires_grad=True)
    loss = clipped_value_loss(values, torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2), 0.2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(0.5 * (0.9**2 + 0.8**2) / 2)
    assert values.grad is not None
    assert values.grad.tolist() == [[pytest.approx(-0.45), 0]]


def test_the_kl_coefficient_is_steered_in_a_few_steps() -> None:
    """A policy that follows its optimum half-way each step: the KL comes to its target, whatever price it began at."""
    rewards, reference = torch.tensor([1.0, 0.0, -1.0, 0.5]), torch.log_softmax(torch.tensor([-1.0, 1.0, 0.5, 0.0]), 0)
    target = 0.3
    for first in (0.02, 5.0):
        controller, policy = KLController(first, target), reference
        for _ in range(60):
            best = torch.log_softmax(reference + rewards / controller.coefficient, 0)
            policy = torch.log_softmax((policy + best) / 2, 0)
            controller.update(float(exact_kl(policy, reference)))
        assert float(exact_kl(policy, reference)) == pytest.approx(target, rel=0.02)
        assert controller.state_dict() == {"coefficient": controller.coefficient}
    held = KLController(0.5)
    held.update(3.0)
    assert held.coefficient == 0.5


def test_dpo_is_its_formula_with_its_gradient() -> None:
    chosen = torch.tensor([-3.0, -5.0], dtype=torch.float64, requires_grad=True)
    rejected, reference = torch.tensor([-4.0, -2.0]).double(), torch.tensor([-3.5, -3.5]).double()
    loss, margins = preference_loss(chosen, rejected, reference, reference - 1, beta=0.3)
    expected = [0.3 * ((-3 + 3.5) - (-4 + 4.5)), 0.3 * ((-5 + 3.5) - (-2 + 4.5))]
    assert margins.tolist() == pytest.approx(expected)
    assert loss.item() == pytest.approx(sum(math.log1p(math.exp(-margin)) for margin in expected) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert chosen.grad is not None
    assert chosen.grad.tolist() == pytest.approx([-0.3 / (1 + math.exp(margin)) / 2 for margin in expected])


def test_dpo_recovers_the_reward_behind_the_preferences() -> None:
    """The first is preferred in 3 of 4 pairs: the optimum's log-ratio is ln(3) / beta, whatever the reference."""
    reference, beta = torch.log_softmax(torch.tensor([0.2, -0.9], dtype=torch.float64), 0), 0.5
    logits = reference.clone().requires_grad_()
    winners, losers = torch.tensor([0, 0, 0, 1]), torch.tensor([1, 1, 1, 0])
    optimizer = torch.optim.LBFGS([logits], max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        policy = torch.log_softmax(logits, 0)
        loss = preference_loss(policy[winners], policy[losers], reference[winners], reference[losers], beta)[0]
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    shift = (logits - reference).detach()
    assert (shift[0] - shift[1]).item() == pytest.approx(math.log(3) / beta, rel=1e-4)
