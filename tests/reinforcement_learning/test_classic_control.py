"""Classic control: gymnasium's own environments step for step, and what their API asks of vector environments."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tracebank_models.reinforcement_learning import classic_control
from tracebank_models.reinforcement_learning.environments import ENVIRONMENTS, make

NAMES = ["CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1", "Acrobot-v1"]
assert classic_control


def _drawn(name: str, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """States all over the place, and actions."""
    chance = np.random.default_rng(seed)
    spread = {
        "CartPole-v1": [2.5, 3, 0.25, 3],
        "MountainCar-v0": [0.9, 0.07],
        "MountainCarContinuous-v0": [0.9, 0.07],
        "Pendulum-v1": [7, 8],
        "Acrobot-v1": [np.pi, np.pi, 4 * np.pi, 9 * np.pi],
    }[name]
    states = chance.uniform(-1, 1, (count, len(spread))) * spread
    space = gymnasium.make(name).action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return states, chance.integers(0, space.n, count)
    return states, chance.uniform(1.2 * space.low, 1.2 * space.high, (count, 1)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_gymnasium_s(name: str) -> None:
    states, actions = _drawn(name, 10_000)
    ours = make(name, len(states))
    ours.states[:] = states
    observations, rewards, terminated, truncated, infos = ours.step(actions)
    observations = infos.get("final_obs", observations)
    theirs = gymnasium.make(name).unwrapped
    theirs.reset(seed=0)
    for row in range(len(states)):
        theirs.state = states[row].copy()
        if name == "CartPole-v1":
            theirs.steps_beyond_terminated = None
        seen, reward, ended, _, _ = theirs.step(actions[row])
        assert np.allclose(observations[row], seen, rtol=1e-6, atol=1e-6), states[row]
        assert rewards[row] == pytest.approx(float(np.squeeze(reward)), rel=1e-5, abs=1e-6)
        assert terminated[row] == ended
    assert not truncated.any()


@pytest.mark.parametrize("name", NAMES)
def test_episodes_are_cut_and_begin_again_in_the_same_step(name: str) -> None:
    ours = ENVIRONMENTS[name](3, max_episode_steps=5)
    first, _ = ours.reset(seed=1)
    again, _ = ours.reset(seed=1)
    assert (first == again).all()
    action = ours.action_space.sample() * 0
    for step in range(1, 6):
        seen, _, terminated, truncated, infos = ours.step(action)
        assert truncated.all() == (step == 5)
    assert not terminated.any()
    assert infos["_final_obs"].all()
    assert not np.allclose(infos["final_obs"], seen)
    assert ours.elapsed.tolist() == [0, 0, 0]
    space = gymnasium.make(name).spec
    assert space is not None
    assert ENVIRONMENTS[name](1).max_episode_steps == space.max_episode_steps


@pytest.mark.parametrize("name", NAMES)
def test_gymnasium_takes_them_by_name(name: str) -> None:
    check_env(gymnasium.make(f"tracebank/{name}").unwrapped, skip_render_check=True)
    many = gymnasium.make_vec(f"tracebank/{name}", num_envs=4, vectorization_mode="vector_entry_point")
    seen, _ = many.reset(seed=3)
    assert seen in many.observation_space
    seen, rewards, *_ = many.step(many.action_space.sample())
    assert seen in many.observation_space
    assert rewards.shape == (4,)


@pytest.mark.parametrize("name", NAMES)
def test_states_know_what_is_safe(name: str) -> None:
    ours = make(name, 64, seed=0)
    states, actions = _drawn(name, 64, seed=1)
    ours.states[:] = states
    seen, *_, infos = ours.step(actions)
    said = ours.knowledge.evaluate(ours.features(infos.get("final_obs", seen)))
    assert said.satisfaction.shape == (64, len(ours.knowledge))
    assert 0 < said.violated.any(-1).mean() < 1


def test_what_is_no_action_is_one_line() -> None:
    ours = make("CartPole-v1", 2)
    with pytest.raises(ValueError, match=r"actions: shape \[3\] is not allowed; allowed: \[2\]"):
        ours.step(np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="allowed: whole numbers below 2"):
        ours.step(np.array([0, 2]))
    with pytest.raises(ValueError, match="NaN or infinity is not allowed"):
        make("Pendulum-v1", 1).step(np.full((1, 1), np.nan))
    with pytest.raises(ValueError, match="call reset first"):
        ENVIRONMENTS["CartPole-v1"](1).step(np.zeros(1, np.int64))
    with pytest.raises(ValueError, match=r"environment: 'Tetris' is not allowed; allowed: .*CartPole-v1"):
        make("Tetris", 1)
    with pytest.raises(ValueError, match="num_envs: 0"):
        ENVIRONMENTS["CartPole-v1"](0)
