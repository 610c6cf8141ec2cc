"""A rollout as lines that can be drawn again: where things were, step by step, as the policy saw them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracebank_models.navigation.geometry import BINS
from tracebank_models.navigation.lidar import points
from tracebank_models.navigation.robots import CAR_SECONDS, POINT_SECONDS

Floats = NDArray[np.float64]
_PARTS: Final[dict[str, dict[str, int]]] = {
    "CartPole": {"position": 0, "angle": 2},
    "MountainCar": {"position": 0},
    "Pendulum": {"up": 0, "aside": 1},
    "Acrobot": {"up": 0, "aside": 1, "bent up": 2, "bent aside": 3},
}
"""Numbers of an observation by the beginning of the environment's name, with what they are."""
_THINGS: Final = {"goal": -3, "hazard": -2, "vase": -1}
"""Lidars, from the end of an observation."""


def lines_of(environment: str, observations: NDArray[np.float32]) -> dict[str, Floats]:
    """What is drawn of an episode.

    Args:
        environment: its name.
        observations: `[t, n]`, of its steps in order.

    Returns:
        Lines `[t]` by name; none of an environment that is not known. Of navigation in metres from where the robot
        began: `x`, `y`, `heading` (radians), and the nearest goal, hazard and vase as the lidars show them, NaN where
        they show none. The way is reckoned from the robot's own speed and compass.
    """
    seen = np.asarray(observations, np.float64)
    if environment.startswith(("Point", "Car")) and "Goal" in environment:
        return _navigated(seen, environment.startswith("Car"))
    named = next((parts for name, parts in _PARTS.items() if environment.startswith(name)), {})
    return {name: seen[:, at] for name, at in named.items()}


def _navigated(seen: Floats, is_car: bool) -> dict[str, Floats]:
    seconds = CAR_SECONDS if is_car else POINT_SECONDS
    sine, cosine = -2 * seen[:, 9], -2 * seen[:, 10]
    east = seen[:, 3] * cosine - seen[:, 4] * sine
    north = seen[:, 3] * sine + seen[:, 4] * cosine
    x, y = _travelled(east, seconds), _travelled(north, seconds)
    front = np.arctan2(-cosine, sine) if is_car else np.arctan2(sine, cosine)  # a car drives to its right
    lines = {"x": x, "y": y, "heading": front}
    for name, at in _THINGS.items():
        start = seen.shape[1] + at * BINS
        found = points(seen[:, start : start + BINS])
        far = np.where(np.isnan(found[..., 0]), np.inf, np.hypot(found[..., 0], found[..., 1]))
        near = found[np.arange(len(found)), far.argmin(1)]
        lines[f"{name} x"] = x + cosine * near[:, 0] - sine * near[:, 1]
        lines[f"{name} y"] = y + sine * near[:, 0] + cosine * near[:, 1]
    return lines


def _travelled(speed: Floats, seconds: float) -> Floats:
    """Way from the first step on; the mean of two speeds holds between them."""
    return np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * seconds)])
