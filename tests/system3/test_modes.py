"""Modes by hand; each one's trap: what takes nothing, what ends with its episode, what never reaches the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import pytest
import torch

from tracebank_models.reinforcement_learning.actor_critic import ActorCritic
from tracebank_models.reinforcement_learning.objectives import Objective, Reward
from tracebank_models.reinforcement_learning.proximal_policy import ProximalPolicy, flat
from tracebank_models.reinforcement_learning.rollout import Rollout
from tracebank_models.system3.modes import Deficit, Joining, KnownLagrangian, Multiplied, Penalty, Released, Shuffled

Made = Callable[..., Rollout]
NO = torch.tensor([[False]] * 4)


def _critic(critics: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda seen: seen[..., :critics]


def _column(*numbers: float) -> torch.Tensor:
    return torch.tensor([[number] for number in numbers])


def _small(rollout: Made, rewards: torch.Tensor, kept: torch.Tensor, ends: torch.Tensor) -> Rollout:
    """One environment, one constraint, critics that say 0, a last step that ends."""
    return rollout(
        steps=len(rewards),
        rows=1,
        rewards=rewards,
        satisfactions=kept.unsqueeze(-1),
        terminations=ends,
        truncations=torch.zeros_like(ends),
        values=torch.zeros(len(rewards), 1, 2),
    )


def _zero(seen: torch.Tensor) -> torch.Tensor:
    return torch.zeros(*seen.shape[:-1], 2)


def test_what_is_multiplied_is_the_return(rollout: Made) -> None:
    told = _small(rollout, _column(1, 1, 1, 1), _column(1, 0.5, 1, 0), _column(0, 0, 0, 1).bool())
    found = Multiplied(discount=0.5, trace_decay=1.0).advantages(told, _zero)
    returns = torch.tensor([1.875, 1.75, 1.5, 1.0])
    assert found.returns[:, 0, 0].tolist() == returns.tolist()
    assert found.policy[:, 0].tolist() == pytest.approx([1.875, 0.875, 1.5, 0.0])


def test_a_deficit_is_carried_back_to_what_led_there_and_no_further_than_its_episode(rollout: Made) -> None:
    told = _small(rollout, _column(1, 1, 1, 1), _column(1, 1, 1, 0), _column(0, 1, 0, 1).bool())
    found = Deficit(discount=0.5, trace_decay=1.0).advantages(told, _zero)
    assert found.returns[:, 0, 0].tolist() == [1.5, 1.0, 1.5, 1.0]
    assert found.returns[:, 0, 1].tolist() == [0.0, 0.0, 0.5, 1.0]
    assert found.policy[:, 0].tolist() == [1.5, 1.0, 1.0, 0.0]


def test_a_penalty_is_of_the_next_state(rollout: Made) -> None:
    told = _small(rollout, _column(1, 1, -1, 2), _column(1, 0.5, 1, 0), NO)
    assert Penalty(weight=3.0).rewards(told)[:, 0].tolist() == pytest.approx([0.25, -0.125, -0.25, -0.25])


@pytest.mark.parametrize("kind", [Multiplied, Deficit])
def test_of_negative_returns_nothing_can_be_taken(rollout: Made, kind: type[Multiplied]) -> None:
    """min(R, satisfaction * R) is R where R is negative: these modes know nothing there, the penalty does."""
    told = rollout(rewards=-torch.rand(12, 4) - 10)
    blind = replace(told, satisfactions=torch.zeros_like(told.satisfactions))
    mode, penalty = kind(), Penalty()
    found = [mode.advantages(one, lambda seen: -seen[..., :2].abs()) for one in (told, blind)]
    assert torch.equal(found[0].policy, found[1].policy)
    assert not found[0].returns[..., 1].any()
    assert not torch.equal(penalty.advantages(told, _critic(1)).policy, penalty.advantages(blind, _critic(1)).policy)


@pytest.mark.parametrize("kind", [Multiplied, Deficit, Penalty, KnownLagrangian])
def test_what_is_satisfied_in_full_is_the_reward_alone(rollout: Made, kind: Callable[[], Any]) -> None:
    told = rollout(satisfactions=torch.ones(12, 4, 2), values=torch.zeros(12, 4, 2))
    mode = kind()
    policy = mode.advantages(told, _zero).policy
    scale = 1 + getattr(mode, "weight", 0) + getattr(mode, "price", 0)
    assert torch.allclose(policy * scale, Reward().advantages(told, _zero).policy, atol=1e-6)


@pytest.mark.parametrize("kind", [Multiplied, Deficit, Penalty, KnownLagrangian])
def test_nothing_goes_on_behind_an_episode_s_end(rollout: Made, kind: Callable[[], Any]) -> None:
    ends = torch.zeros(12, 4, dtype=torch.bool)
    ends[5, :2], cuts = True, torch.zeros_like(ends)
    cuts[5, 2:] = True
    told = rollout(terminations=ends, truncations=cuts)
    other = rollout(seed=9, terminations=ends, truncations=cuts)
    fields = ("rewards", "satisfactions", "values", "next_observations")
    joined = {name: torch.cat([getattr(told, name)[:6], getattr(other, name)[6:]]) for name in fields}
    found, changed = (kind().advantages(one, _critic(2)) for one in (told, replace(told, **joined)))
    assert torch.allclose(found.returns[:6], changed.returns[:6])
    # Costs are centred over the whole rollout: the first step takes the constant away.
    assert torch.allclose(found.policy[:6] - found.policy[:1], changed.policy[:6] - changed.policy[:1], atol=1e-6)
    assert not torch.allclose(found.returns[6:], changed.returns[6:])


def test_soft_and_crisp_costs_have_their_limit(rollout: Made) -> None:
    told = rollout()
    soft, crisp = KnownLagrangian(kind="soft", limit=1.0), KnownLagrangian(kind="crisp", limit=1.0)
    assert torch.allclose(soft.costs(told), 1 - Joining().satisfaction(told))
    assert torch.equal(crisp.costs(told), told.violated.any(-1).float())
    assert soft.episode_cost(told) == pytest.approx(20 * float(soft.costs(told).mean()))
    before = soft.price
    assert soft.updated(told)["price"] > before


def test_constraints_are_joined_by_norm_or_product(rollout: Made) -> None:
    told = rollout(satisfactions=torch.tensor([0.6, 0.7]).expand(12, 4, 2))
    assert float(Joining(1.0).satisfaction(told)[0, 0]) == pytest.approx(0.3)
    assert float(Joining(2.0).satisfaction(told)[0, 0]) == pytest.approx(0.5)
    assert float(Joining(connectives="product").satisfaction(told)[0, 0]) == pytest.approx(0.42)


def _gradient(mode: Objective, told: Rollout) -> torch.Tensor:
    policy = ActorCritic(4, gymnasium.spaces.Discrete(2), 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        learner = ProximalPolicy(policy, torch.Generator())
        learner.differentiate(flat(told, mode.advantages(told, _critic(1))))
    return policy.gradient.clone()


def test_what_was_released_never_sees_its_constraint(rollout: Made) -> None:
    """Bit for bit the gradients of the reward alone, whatever is satisfied; a penalty's are others."""
    told = rollout(critics=1)
    broken = replace(told, satisfactions=torch.zeros_like(told.satisfactions), violated=torch.ones_like(told.violated))
    plain = _gradient(Reward(), told)
    assert torch.equal(_gradient(Released(), told), plain)
    assert torch.equal(_gradient(Released(), broken), plain)
    assert not torch.equal(_gradient(Penalty(), told), plain)
    assert Released().updated(broken) == {"told_cost": 1.0}


@pytest.mark.parametrize("kind", [Multiplied, Deficit, Penalty, lambda: KnownLagrangian(price=1.0)])
def test_what_is_known_of_other_steps_says_nothing_of_an_action(rollout: Made, kind: Callable[[], Any]) -> None:
    """Action 1 is unsafe: who sees it holds it against the action, who sees it of other steps does not."""
    steps, rows = 64, 64
    chance = torch.Generator().manual_seed(1)
    actions = torch.randint(0, 2, (steps, rows), generator=chance)
    told = rollout(
        steps=steps,
        rows=rows,
        actions=actions,
        rewards=torch.ones(steps, rows),
        satisfactions=(1 - actions.float()).unsqueeze(-1),
        values=torch.zeros(steps, rows, 2),
    )

    def against(mode: Objective) -> float:
        policy = mode.advantages(told, _zero).policy
        gap = policy[actions == 1].mean() - policy[actions == 0].mean()
        return float(gap / policy.std())

    chances = [against(Shuffled(kind(), torch.Generator().manual_seed(seed))) for seed in range(20)]
    assert against(kind()) < -0.3
    assert abs(sum(chances) / 20 - against(Reward())) < 0.05
