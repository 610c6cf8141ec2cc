"""The predictor learns what comes next, and what sees its predictions sees nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tracebank_models.constraint_logic.constraints import Knowledge, parse
from tracebank_models.constraint_logic.vocabulary import Feature, Vocabulary
from tracebank_models.reinforcement_learning.objectives import Reward
from tracebank_models.reinforcement_learning.rollout import Rollout
from tracebank_models.system3.modes import Deficit, Penalty
from tracebank_models.system3.prediction import NextState, OnPredictions

WORDS = Vocabulary([Feature("x")])
KNOWN = Knowledge([parse("x <= 0", WORDS, margin=1.0), parse("x >= -3", WORDS)])


def _features(observations: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"x": observations[:, 0]}


def _critic(seen: torch.Tensor) -> torch.Tensor:
    return seen[..., :2]


def test_at_first_all_stays_as_it_is(rollout: Callable[..., Rollout]) -> None:
    told = rollout()
    predictor = NextState(4, 2, 0, is_discrete=True)
    assert torch.equal(predictor.predicted(told.observations, told.actions), told.observations)


@pytest.mark.parametrize("is_discrete", [True, False])
def test_what_actions_do_is_learned(rollout: Callable[..., Rollout], is_discrete: bool) -> None:
    def made(seed: int) -> Rollout:
        told = rollout(steps=64, rows=16, seed=seed)
        push = 2.0 * told.actions - 1 if is_discrete else torch.sin(told.observations[..., 1])
        actions = told.actions if is_discrete else push.unsqueeze(-1)
        after = told.observations + torch.stack([push, -0.5 * push, 0 * push, 0.3 * told.observations[..., 0]], -1)
        return rollout(steps=64, rows=16, seed=seed, actions=actions, next_observations=after)

    predictor = NextState(4, 2 if is_discrete else 1, 0, is_discrete=is_discrete)
    before = predictor.error(made(100))
    for seed in range(25):
        predictor.fit(made(seed))
    assert predictor.error(made(100)) < before / 10


def test_a_seed_repeats_itself_and_leaves_chance_alone(rollout: Callable[..., Rollout]) -> None:
    def error(seed: int) -> float:
        predictor = NextState(4, 2, seed, is_discrete=True)
        predictor.fit(rollout())
        return predictor.error(rollout())

    state = torch.get_rng_state()
    assert error(3) == error(3) != error(4)
    assert torch.equal(torch.get_rng_state(), state)


class _Told(NextState):
    """A predictor that says what it was told to."""

    def __init__(self, said: torch.Tensor) -> None:
        super().__init__(4, 2, 0, is_discrete=True)
        self.said = said

    def predicted(self, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return self.said


@pytest.mark.parametrize("mode", [Deficit, Penalty])
def test_who_predicts_what_comes_learns_as_from_what_came(rollout: Callable[..., Rollout], mode: Any) -> None:
    states = rollout().next_observations
    kept = KNOWN.evaluate(_features(states.flatten(0, 1))).satisfaction.reshape(12, 4, 2)
    told = rollout(satisfactions=kept)
    seen = mode().advantages(told, _critic)
    judged = OnPredictions(mode(), _Told(states), _features, KNOWN)
    assert judged.critics == mode().critics
    assert torch.allclose(judged.advantages(rollout(), _critic).policy, seen.policy, atol=1e-5)
    wrong = OnPredictions(mode(), _Told(states + 1), _features, KNOWN).advantages(told, _critic)
    assert not torch.allclose(wrong.policy, seen.policy)


def test_satisfaction_stays_that_of_true_states_unless_it_is_judged(rollout: Callable[..., Rollout]) -> None:
    told = rollout()
    found = OnPredictions(Penalty(), _Told(told.next_observations), _features).advantages(told, _critic)
    assert torch.allclose(found.policy, Penalty().advantages(told, _critic).policy, atol=1e-5)


def test_returns_end_in_what_is_predicted_and_go_on_through_what_came(rollout: Callable[..., Rollout]) -> None:
    """A step's return is r + g * ((1 - l) * V(predicted) + l * the next return); V(predicted) where a trace ends."""
    ends, cuts = torch.zeros(3, 1, dtype=torch.bool), torch.tensor([[False], [True], [False]])
    told = rollout(steps=3, rows=1, rewards=torch.ones(3, 1), terminations=ends, truncations=cuts)
    said = torch.zeros(3, 1, 4)
    said[..., 0] = torch.tensor([[10.0], [20.0], [30.0]])
    mode = OnPredictions(Reward(0.9, 0.5), _Told(said), _features, trace_decay=0.5)
    second, third = 1 + 0.9 * 20, 1 + 0.9 * 30
    first = 1 + 0.9 * (0.5 * 10 + 0.5 * second)
    found = mode.advantages(told, _critic).returns[..., 0]
    assert found[:, 0].tolist() == pytest.approx([first, second, third], rel=1e-5)


def test_the_error_is_of_steps_that_were_not_learned_from(rollout: Callable[..., Rollout]) -> None:
    told, predictor = rollout(), NextState(4, 2, 0, is_discrete=True)
    before = predictor.error(told)
    assert OnPredictions(Penalty(), predictor, _features).updated(told) == {"prediction_error": before}
    assert predictor.error(told) < before


def test_satisfaction_of_a_prediction_has_a_gradient(rollout: Callable[..., Rollout]) -> None:
    predictor = NextState(4, 2, 0, is_discrete=True)
    predicted = predictor.predicted(rollout().observations, rollout().actions)
    (KNOWN.evaluate(_features(predicted.flatten(0, 1))).satisfaction.mean()).backward()
    gradient = predictor.network[-1].weight.grad
    assert gradient[0].abs().sum() > 0
    assert torch.isfinite(gradient).all()
