"""Planar navigation: layouts, lidar, rewards, costs, and the APIs that it answers to."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from tracebank_models.navigation import environments, safety_gymnasium
from tracebank_models.navigation.environments import CarGoal1, CarGoal2, Navigation, PointGoal1, PointGoal2
from tracebank_models.navigation.geometry import COSINE, GAP, SINE, TURNING, X, Y
from tracebank_models.navigation.lidar import bearing, points
from tracebank_models.reinforcement_learning.environments import make

KINDS = [PointGoal1, PointGoal2, CarGoal1, CarGoal2]


def _actions(count: int, seed: int = 0, steps: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, count, 2)).astype(np.float32)


def _apart(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.hypot(*np.moveaxis(others - one[:, None], -1, 0))


@pytest.mark.parametrize("kind", [PointGoal1, CarGoal2])
def test_layouts_keep_their_distances_over_10_000_resets(kind: type[Navigation]) -> None:
    worlds = kind(10_000)
    worlds.reset(seed=0)
    robots = worlds.bodies[:, [X, Y]]
    keepouts = worlds.level.keepouts
    everything = np.concatenate([robots[:, None], worlds.places], axis=1)
    radii = np.array([0.4, *keepouts])
    for index, radius in enumerate(radii):
        assert (np.abs(everything[:, index]) <= worlds.level.extent - radius).all()
        gaps = _apart(everything[:, index], everything[:, index + 1 :])
        assert (gaps >= radius + radii[index + 1 :]).all()
    assert len(np.unique(robots, axis=0)) == 10_000
    heading = np.arctan2(worlds.bodies[:, SINE], worlds.bodies[:, COSINE])
    assert np.abs(np.histogram(heading, 8)[0] - 1250).max() < 150
    # Nobody begins in a hazard, nor in touch with a vase.
    assert not worlds.knowledge.evaluate(worlds.state()).violated.any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_happens_depends_on_the_seed_and_not_on_how_many_there_are(kind: type[Navigation]) -> None:
    few, many = kind(3, max_episode_steps=40), kind(50, max_episode_steps=40)
    first, _ = few.reset(seed=7)
    all_, _ = many.reset(seed=7)
    assert (first == all_[:3]).all()
    for actions in _actions(50, steps=90):
        one, other = few.step(actions[:3]), many.step(actions)
        for some, more in zip(one[:4], other[:4], strict=True):
            assert (some == more[:3]).all()
    assert not (few.reset()[0] == first).all(axis=1).any()
    assert (few.reset(seed=7)[0] == first).all()
    assert not (few.reset(seed=8)[0] == first).all()


def _lidar(places: np.ndarray) -> np.ndarray:
    """Safety-Gym's definition, one object after the other: places `[m, 2]` in the robot's frame."""
    bins = np.zeros(16)
    for ahead, aside in places:
        angle = np.arctan2(aside, ahead) % (2 * np.pi) / (np.pi / 8)
        near = max(0.0, 3 - np.hypot(ahead, aside)) / 3
        at = int(angle) % 16
        bins[at] = max(bins[at], near)
        bins[(at + 1) % 16] = max(bins[(at + 1) % 16], (angle - at) * near)
        bins[(at - 1) % 16] = max(bins[(at - 1) % 16], (1 - angle + at) * near)
    return bins


@pytest.mark.parametrize("kind", [PointGoal1, CarGoal2])
def test_the_lidars_read_what_safety_gym_s_would(kind: type[Navigation]) -> None:
    worlds = make(f"{kind.__name__}-v0", 200, seed=1)
    assert isinstance(worlds, Navigation)
    for actions in _actions(200, steps=30):
        seen = worlds.step(actions)[0]
    cosine, sine = worlds.bodies[:, COSINE], worlds.bodies[:, SINE]
    frame = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], 1)
    ego = np.einsum("nij,nmj->nmi", frame, worlds.places - worlds.bodies[:, None, [X, Y]])
    state = worlds.state()
    assert np.allclose(np.concatenate([state["goal"], state["hazard"], state["vase"]], axis=1), ego, atol=1e-6)
    for row in range(200):
        parts = ego[row, :1], ego[row, 1 : 1 + worlds.level.hazards], ego[row, 1 + worlds.level.hazards :]
        wanted = np.concatenate([_lidar(part) for part in parts])
        assert np.allclose(seen[row, -48:], wanted, atol=2e-6)
    assert seen.shape[1] == {"Point": 60, "Car": 72}[worlds.robot]


def test_angles_are_within_a_millionth_of_a_bin() -> None:
    for angle in np.linspace(0, 2 * np.pi, 999, endpoint=False):
        assert bearing(np.cos(angle), np.sin(angle)) == pytest.approx(angle / (np.pi / 8), abs=1e-6)
    assert [bearing(*place) for place in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))] == [
        0, 0, 4, 8, 12,
    ]  # fmt: skip


def test_features_find_the_nearest_object_in_what_a_lidar_reads() -> None:
    worlds = make("PointGoal2-v0", 500, seed=2)
    seen = worlds.step(_actions(500)[0])[0]
    found, true = worlds.features(seen), worlds.state()
    for name in ("goal", "hazard", "vase"):
        gaps = np.hypot(*np.moveaxis(true[name], -1, 0)).min(axis=1)
        read = np.hypot(*np.moveaxis(found[name], -1, 0))
        within = gaps < 3
        assert np.allclose(np.nanmin(read[within], axis=1), gaps[within], atol=1e-4)
        assert np.isnan(read[~within]).all()
    shown = ~np.isnan(found["goal"]).any(-1)
    assert (shown.sum(axis=1) <= 1).all()
    assert np.allclose(found["goal"][shown], true["goal"][shown.any(axis=1), 0], atol=1e-4)
    # What is found lies near something that is there.
    rows, slots = np.nonzero(~np.isnan(found["hazard"]).any(-1))
    misses = _apart(found["hazard"][rows, slots], true["hazard"][rows]).min(axis=1)
    assert (misses / np.hypot(*found["hazard"][rows, slots].T)).max() < np.pi / 8
    said = worlds.knowledge.evaluate(found)
    assert (said.violated[:, 0] == worlds.knowledge.evaluate(true).violated[:, 0]).all()


def test_features_of_tensors_have_gradients() -> None:
    worlds = make("CarGoal2-v0", 20, seed=0)
    seen = torch.tensor(worlds.step(_actions(20)[0])[0], requires_grad=True)
    for name, value in worlds.features(seen).items():
        wanted = worlds.features(seen.detach().numpy())[name]
        assert np.allclose(value.detach().numpy(), wanted, atol=1e-5, equal_nan=True), name
    said = worlds.knowledge.evaluate(worlds.features(seen))
    said.satisfaction.sum().backward()  # type: ignore[no-untyped-call]
    assert seen.grad is not None
    assert torch.isfinite(seen.grad).all()
    assert points(torch.zeros(2, 16)).isnan().all()


@pytest.mark.parametrize("kind", KINDS)
def test_rewards_and_costs_are_those_of_the_task(kind: type[Navigation]) -> None:
    worlds = kind(300)
    worlds.reset(seed=3)
    totals = np.zeros(3)
    for actions in _actions(300, steps=150):
        goals, before = worlds.places[:, 0].copy(), worlds.bodies[:, GAP].copy()
        _, rewards, terminated, _, infos = worlds.step(np.where(actions > -0.4, 1, actions))
        gaps = np.hypot(*(goals - worlds.bodies[:, [X, Y]]).T)
        reached = infos["goal_met"]
        assert (reached == (gaps <= 0.3)).all()
        assert np.allclose(rewards, before - gaps + reached, atol=1e-6)
        assert ((worlds.places[:, 0] != goals).any(axis=1) == reached).all()
        violated = worlds.knowledge.evaluate(infos["state"]).violated
        assert (infos["cost_hazards"] == violated[:, 0]).all()
        assert set(np.unique(infos["cost"])) <= {0, 1}
        assert (infos["cost"] == np.delete(violated, 1, axis=1).any(axis=1)).all()
        assert not terminated.any()
        totals += reached.sum(), infos["cost_hazards"].sum(), infos["cost_vases"].sum()
    assert (totals[:2] > 0).all()
    assert (totals[2] > 0) == worlds.level.are_vases_costly


def test_a_vase_is_pushed_and_a_robot_is_as_fast_as_it_may_be() -> None:
    worlds = PointGoal2(1)
    worlds.reset(seed=0)
    worlds.places[:] = 9
    worlds.bodies[0, :4] = 0, 0, 1, 0
    worlds.places[0, -1] = 0.5, 0.0
    costs = [worlds.step(np.array([[1.0, 0.0]]))[4]["cost_vases"][0] for _ in range(200)]
    assert costs[0] == 0
    assert costs[-1] == 1
    assert worlds.places[0, -1] == pytest.approx([worlds.bodies[0, X] + 0.199, 0.0])
    assert worlds.state()["speed"][0] == pytest.approx(1.5, rel=0.01)
    worlds.step(np.array([[0.0, 1.0]]))
    assert worlds.bodies[0, TURNING] == pytest.approx(3.0, rel=0.05)
    car = CarGoal1(1)
    car.reset(seed=0)
    car.bodies[0, :4] = 0, 0, 1, 0
    for _ in range(50):
        car.step(np.array([[1.0, 1.0]]))
    assert car.state()["speed"][0] == pytest.approx(1.0, rel=0.01)
    assert car.bodies[0, X] == pytest.approx(0, abs=1e-9)
    assert car.bodies[0, Y] < -1.5


@pytest.mark.parametrize("kind", KINDS)
def test_gymnasium_and_users_of_safety_gymnasium_are_served(kind: type[Navigation]) -> None:
    one = gymnasium.make(f"tracebank/{kind.__name__}-v0", render_mode="rgb_array")
    check_env(one.unwrapped, skip_render_check=True)
    one.reset(seed=0)
    image = one.render()
    assert isinstance(image, np.ndarray)
    assert image.shape == (256, 256, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 6
    many = gymnasium.make_vec(f"tracebank/{kind.__name__}-v0", num_envs=4, vectorization_mode="vector_entry_point")
    seen, _ = many.reset(seed=0)
    assert seen in many.observation_space
    theirs = safety_gymnasium.make(f"Safety{kind.__name__}-v0")
    first, _ = theirs.reset(seed=0)
    assert (first == seen[0]).all()
    for step in range(1, 1001):
        seen, _, cost, terminated, truncated, info = theirs.step(theirs.action_space.sample())
        assert (cost, terminated, truncated) == (info["cost_sum"], False, step == 1000)
    assert seen in theirs.observation_space


def test_an_image_shows_where_the_robot_was() -> None:
    worlds = make("PointGoal1-v0", 2, seed=0)
    assert isinstance(worlds, Navigation)
    trail = []
    for _ in range(60):
        worlds.step(np.ones((2, 2)))
        trail.append(worlds.bodies[1, [X, Y]].copy())
    plain, drawn = worlds.picture(1, size=200), worlds.picture(1, size=200, trail=np.array(trail))
    assert 10 < (plain != drawn).any(-1).sum() <= 60
    with pytest.raises(ValueError, match="size: 0 is not allowed"):
        worlds.picture(size=0)


def test_what_is_not_allowed_is_one_line() -> None:
    worlds = make("PointGoal1-v0", 2)
    with pytest.raises(ValueError, match="actions: NaN or infinity is not allowed"):
        worlds.step(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match=r"actions: shape \[2\] is not allowed; allowed: \[2, 2\]"):
        worlds.step(np.zeros(2))
    with pytest.raises(ValueError, match="seed: a list is not allowed"):
        worlds.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="allowed: SafetyPointGoal1-v0, SafetyPointGoal2-v0"):
        safety_gymnasium.make("SafetyDoggoGoal1-v0")
    with pytest.raises(ValueError, match="render_mode: 'human' is not allowed; allowed: rgb_array"):
        environments.NavigationEnv(PointGoal1(1), "human")
