"""Rollouts that are drawn again: where a robot was, reckoned from what it sensed, against where it was."""

from __future__ import annotations

import numpy as np
import pytest

from tracebank_models.navigation.environments import CarGoal1, Navigation, PointGoal1
from tracebank_models.navigation.geometry import X, Y
from tracebank_models.system3.playback import lines_of


@pytest.mark.parametrize("kind", [PointGoal1, CarGoal1])
def test_a_way_is_reckoned_from_speed_and_compass(kind: type[Navigation]) -> None:
    environment = kind(1)
    seen, _ = environment.reset(seed=3)
    chance = np.random.default_rng(0)
    observations, places, goals = [seen[0].copy()], [environment.bodies[0, [X, Y]].copy()], [environment.places[0, 0]]
    for _ in range(300):
        seen, *_ = environment.step(np.clip([[0.7, chance.normal() * 0.6]], -1, 1).astype(np.float32))
        observations.append(seen[0].copy())
        places.append(environment.bodies[0, [X, Y]].copy())
        goals.append(environment.places[0, 0].copy())
    lines = lines_of(f"{kind.__name__}-v0", np.array(observations))
    way, goal = np.array(places) - places[0], np.array(goals) - places[0]
    assert np.hypot(*np.diff(way, axis=0).T).sum() > 1.0, "it went somewhere"
    off = np.hypot(lines["x"] - way[:, 0], lines["y"] - way[:, 1])
    assert off.max() < 0.02
    known = ~np.isnan(lines["goal x"])
    assert known.any()
    assert np.hypot(lines["goal x"] - goal[:, 0], lines["goal y"] - goal[:, 1])[known].max() < 0.1
    assert np.abs(lines["heading"]).max() <= np.pi


def test_a_car_drives_where_it_heads() -> None:
    environment = CarGoal1(1)
    seen, _ = environment.reset(seed=1)
    observations = [seen[0].copy()]
    for _ in range(30):
        seen, *_ = environment.step(np.ones((1, 2), np.float32))
        observations.append(seen[0].copy())
    lines = lines_of("CarGoal1-v0", np.array(observations))
    step = np.array([lines["x"][-1] - lines["x"][-2], lines["y"][-1] - lines["y"][-2]])
    front = np.array([np.cos(lines["heading"][-1]), np.sin(lines["heading"][-1])])
    assert step @ front == pytest.approx(np.hypot(*step), rel=0.01)


def test_other_environments_have_what_is_drawn_of_them() -> None:
    seen = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert {name: list(line) for name, line in lines_of("CartPole-v1", seen).items()} == {
        "position": [0, 4, 8],
        "angle": [2, 6, 10],
    }
    assert set(lines_of("MountainCarContinuous-v0", seen)) == {"position"}
    assert set(lines_of("Acrobot-v1", seen)) == {"up", "aside", "bent up", "bent aside"}
    assert lines_of("Unheard-v0", seen) == {}
