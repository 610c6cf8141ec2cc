"""Limits on costs where the best that holds them is known: what pays 1 costs 1, so that return and limit are one."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from gymnasium import spaces

from tracebank_models.constraint_logic.constraints import Knowledge, parse
from tracebank_models.constraint_logic.vocabulary import Feature, Vocabulary
from tracebank_models.reinforcement_learning.environments import KnownVectorEnv
from tracebank_models.reinforcement_learning.objectives import (
    CostPenalty,
    Lagrangian,
    Objective,
    PIDLagrangian,
    Reward,
)
from tracebank_models.reinforcement_learning.training import PPOSettings, train


class Tempting(KnownVectorEnv):
    """Ten times, what is chosen pays and costs 1, or nothing."""

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
        gained = actions.astype(np.float32)
        return gained, np.zeros(self.num_envs, np.bool_), {"cost": gained}

    def _observed(self) -> Any:
        return np.zeros((self.num_envs, 1), np.float32)


def _costs(rule: Any, objective: Objective, seed: int = 0) -> np.ndarray:
    """Mean cost of episodes, by update."""
    settings = PPOSettings(
        steps=16_000, environments=16, rollout=20, epochs=4, minibatch=80, learning_rate=5e-3, hidden=(8,), rule=rule,
        cost_limit=3.0,
    )  # fmt: skip
    return train(Tempting(16), settings, objective, seed).curves["episode_cost"].to_numpy()


def test_no_limit_takes_all_and_too_high_a_price_nothing() -> None:
    assert _costs("ppo", Reward(0.9, 0.9))[-5:].mean() > 9.5
    assert _costs("ppo", CostPenalty(0.9, 0.9, price=2.0))[-5:].mean() < 0.5


def test_cpo_holds_the_limit_and_takes_all_within_it() -> None:
    costs = _costs("cpo", Lagrangian(0.9, 0.9, rate=0.0, price=0.0))[6:]
    assert costs.mean() == pytest.approx(3.0, abs=0.3)
    assert costs.max() < 4.5


@pytest.mark.parametrize("rule", ["ppo", "trpo"])
def test_prices_find_the_limit_and_their_rise_damps_them(rule: Any) -> None:
    """The policy is indifferent at a price of 1: what only sums up the excess swings around the limit."""
    plain = _costs(rule, Lagrangian(0.9, 0.9, limit=3.0, rate=0.1))
    assert plain.max() > 6 > 3 > plain.min(), "it swings"
    steered = _costs(rule, PIDLagrangian(0.9, 0.9, limit=3.0, proportional=0.1, integral=0.02, derivative=0.3))[-25:]
    assert steered.mean() == pytest.approx(3.0, abs=0.7)
    assert steered.std() < plain.std() / 2
