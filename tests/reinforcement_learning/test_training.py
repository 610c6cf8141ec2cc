"""Training: CartPole is learned, seeds repeat themselves, limits are held, what knows nothing gains nothing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from tracebank_models.reinforcement_learning import classic_control
from tracebank_models.reinforcement_learning.environments import make
from tracebank_models.reinforcement_learning.evaluation import DO_NOTHING, RANDOM, evaluate
from tracebank_models.reinforcement_learning.objectives import CostPenalty, Lagrangian, PIDLagrangian, Reward
from tracebank_models.reinforcement_learning.training import PPOSettings, TrainedPolicy, train

assert classic_control
QUICK: dict[str, Any] = {"environments": 32, "rollout": 32, "minibatch": 256, "learning_rate": 2e-3, "discount": 0.98}


def _trained(objective: Any, seed: int = 0, steps: int = 20_000, **more: Any) -> TrainedPolicy:
    settings = PPOSettings(steps=steps, **{**QUICK, **more})
    return train(make("CartPole-v1", settings.environments), settings, objective, seed)


def test_training_takes_one_thread_and_gives_back_the_others() -> None:
    before, seen = torch.get_num_threads(), list[int]()
    settings = PPOSettings(steps=100, **QUICK)
    train(make("CartPole-v1", 32), settings, Reward(), 0, on_rollout=lambda _: seen.append(torch.get_num_threads()))
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_cart_pole_is_learned_and_beats_chance_and_doing_nothing() -> None:
    trained = _trained(Reward(0.98, 0.8), steps=30_000)
    means = {
        name: evaluate(who, make("CartPole-v1", 8), 16, seed=5)["episode_return"].mean()
        for name, who in (("ppo", trained.policy), ("random", RANDOM), ("nothing", DO_NOTHING))
    }
    assert means["ppo"] > 300
    assert max(means["random"], means["nothing"]) < 40
    curves = trained.curves
    assert curves["violations_per_1000"].tail(5).mean() < curves["violations_per_1000"].head(5).mean() / 3
    assert (curves["violations"] >= curves.select(pl.max_horizontal("violations_0", "violations_1")).to_series()).all()


@pytest.mark.parametrize("rule", ["ppo", "trpo", "cpo"])
def test_a_seed_repeats_itself_and_another_does_not(rule: Any) -> None:
    def curve(seed: int) -> pl.DataFrame:
        found = _trained(Lagrangian(limit=1.0), seed, steps=3_000, rule=rule, epochs=2).curves
        return found.drop("seconds")

    assert curve(1).equals(curve(1))
    assert not curve(1).equals(curve(2))


@pytest.mark.parametrize("rule", ["trpo", "cpo"])
def test_a_trust_region_learns_within_its_size(rule: Any) -> None:
    trained = _trained(Lagrangian(0.98, 0.9, limit=1.0, rate=0.0, price=0.0), rule=rule, minibatch=128)
    curves = trained.curves
    assert curves["kl"].max() <= 0.015 + 1e-6
    assert curves["episode_return"].tail(3).mean() > 3 * curves["episode_return"].head(3).mean()


def test_a_price_rises_while_the_limit_is_broken_and_falls_when_it_is_held() -> None:
    high, low = Lagrangian(limit=0.0, rate=0.1), Lagrangian(limit=100.0, rate=0.1, price=0.5)
    prices = [_trained(one, steps=4_000, epochs=1).curves["price"].to_list() for one in (high, low)]
    assert prices[0] == sorted(prices[0])
    assert prices[0][-1] > 0.2
    assert prices[1][-1] == 0
    steered = PIDLagrangian(limit=0.0)
    assert _trained(steered, steps=4_000, epochs=1).curves["price"].tail(1).item() > 0.05


def test_what_costs_is_avoided() -> None:
    """Pushes to the left cost: who pays for them pushes left less, who does not pay does not."""

    class Paid(CostPenalty):
        def rewards(self, rollout: Any) -> Any:
            return -self.price * (rollout.actions == 0).float()

    shares = []
    for objective in (Reward(), Paid(price=1.0)):
        taken: list[float] = []
        settings = PPOSettings(steps=6_000, **QUICK)
        train(
            make("CartPole-v1", 32), settings, objective, 0,
            on_rollout=lambda one, taken=taken: taken.append(float((one.actions == 0).float().mean())),
        )  # fmt: skip
        shares.append(np.mean(taken[-2:]))
    assert shares[1] < 0.2 < 0.35 < shares[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "PPOSettings.steps: 0 is not allowed"),
        ({"discount": 1.5}, "PPOSettings.discount: 1.5 is not allowed"),
        ({"rule": "dqn"}, "PPOSettings.rule: 'dqn' is not allowed"),
        ({"learning_rate": -1.0}, "PPOSettings.learning_rate: -1.0 is not allowed"),
    ],
)
def test_settings_out_of_range_are_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        PPOSettings(**change)


def test_what_cannot_be_trained_or_evaluated_is_one_line() -> None:
    with pytest.raises(ValueError, match="environments: 4 is not allowed; allowed: 8"):
        train(make("CartPole-v1", 4), PPOSettings(), Reward(), 0)
    with pytest.raises(ValueError, match="rule: cpo is not allowed with this objective"):
        _trained(Reward(), steps=1_000, rule="cpo")
    with pytest.raises(ValueError, match="policy: 'lucky' is not allowed; allowed: random, do_nothing"):
        evaluate("lucky", make("CartPole-v1", 1), 1, 0)
    with pytest.raises(ValueError, match="episodes: 0"):
        evaluate(RANDOM, make("CartPole-v1", 1), 0, 0)
    with pytest.raises(ValueError, match="policy: it says NaN"):
        _trained(Reward(), steps=5_000, learning_rate=1e30)
