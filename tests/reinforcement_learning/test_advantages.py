"""Advantages of rollouts: closed forms, and episodes that end or are cut."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tracebank_models.constraint_logic.constraints import Knowledge, parse
from tracebank_models.constraint_logic.vocabulary import Feature, Vocabulary
from tracebank_models.reinforcement_learning.environments import KnownVectorEnv
from tracebank_models.reinforcement_learning.objectives import Reward
from tracebank_models.reinforcement_learning.policy_gradient import bootstrapped_advantages, decayed_sums
from tracebank_models.reinforcement_learning.rollout import Rollout
from tracebank_models.reinforcement_learning.training import PPOSettings, train, values_of

NO = torch.zeros(4, 1, dtype=torch.bool)


def _column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


def test_with_lambda_1_an_episode_s_advantages_are_its_returns_less_the_values() -> None:
    rewards, values = _column(1, 2, 3, 4), _column(0.5, -1, 2, 0)
    ended = NO.clone()
    ended[-1] = True
    found, returns = bootstrapped_advantages(rewards, values, _column(-1, 2, 0, 99), ended, NO, 0.9, 1.0)
    wanted = _column(1 + 0.9 * 2 + 0.81 * 3 + 0.729 * 4, 2 + 0.9 * 3 + 0.81 * 4, 3 + 0.9 * 4, 4)
    assert torch.allclose(returns, wanted)
    assert torch.allclose(found, wanted - values)


def test_with_lambda_0_they_are_one_step_errors() -> None:
    rewards, values, following = _column(1, 2, 3, 4), _column(0.5, -1, 2, 0), _column(-1, 2, 0, 7)
    found, _ = bootstrapped_advantages(rewards, values, following, NO, NO, 0.9, 0.0)
    assert torch.allclose(found, rewards + 0.9 * following - values)


def test_an_end_is_worth_nothing_and_a_cut_what_the_critic_says() -> None:
    at = NO.clone()
    at[1] = True
    rewards, values, following = _column(1, 1, 1, 1), _column(0, 0, 0, 0), _column(0, 10, 0, 10)
    ended, _ = bootstrapped_advantages(rewards, values, following, at, NO, 0.5, 1.0)
    cut, _ = bootstrapped_advantages(rewards, values, following, NO, at, 0.5, 1.0)
    assert ended[:2].flatten().tolist() == [1.5, 1.0]
    assert cut[:2].flatten().tolist() == [1 + 0.5 * 6, 6.0]
    assert ended[2:].tolist() == cut[2:].tolist() == [[1 + 0.5 * 6], [6.0]], "what follows is another episode's"


def test_sums_decay_up_to_an_episode_s_end() -> None:
    goes_on = ~NO
    goes_on[1] = False
    assert decayed_sums(_column(1, 2, 4, 8), goes_on, 0.5).flatten().tolist() == [2.0, 2.0, 8.0, 8.0]


class Forever(KnownVectorEnv):
    """It pays 1 for ever; episodes are only ever cut."""

    limit = 10
    observation = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action = spaces.Discrete(2)
    vocabulary = Vocabulary([Feature("nothing")])
    knowledge: ClassVar[Knowledge] = Knowledge([parse("nothing <= 1", vocabulary)])

    @staticmethod
    def features(observations: Any) -> dict[str, Any]:
        return {"nothing": observations[:, 0]}

    def _begin(self, rows: np.ndarray) -> None:
        pass

    def _advance(self, actions: np.ndarray) -> tuple[Any, Any, dict[str, Any]]:
        return np.ones(self.num_envs, np.float32), np.zeros(self.num_envs, np.bool_), {}

    def _observed(self) -> Any:
        return np.zeros((self.num_envs, 1), np.float32)


def test_what_is_cut_goes_on_in_value() -> None:
    """As stable-baselines3 tests it: where 1 is paid for ever, a state is worth 1 / (1 - gamma)."""
    settings = PPOSettings(
        steps=12_000, environments=4, rollout=50, minibatch=50, learning_rate=0.01, discount=0.9, hidden=(8,)
    )
    trained = train(Forever(4), settings, Reward(discount=0.9), seed=0)
    assert float(values_of(trained.policy, torch.zeros(1, 1, 1))) == pytest.approx(10, rel=0.05)


def test_every_episode_s_sums_are_its_own() -> None:
    rollouts: list[Rollout] = []
    settings = PPOSettings(steps=84, environments=4, rollout=7, epochs=1)
    trained = train(Forever(4), settings, Reward(), seed=0, on_rollout=rollouts.append)
    lengths = np.concatenate([one.episodes.lengths for one in rollouts])
    returns = np.concatenate([one.episodes.returns for one in rollouts])
    assert lengths.tolist() == returns.tolist() == [10] * 8
    assert trained.curves["episodes"].to_list() == [0, 4, 4]
