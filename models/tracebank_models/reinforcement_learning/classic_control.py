"""Classic control with knowledge: the equations of gymnasium's environments, step for step, for thousands at once.

Barto, Sutton and Anderson 1983 (CartPole); Moore 1990 (MountainCar); Sutton 1996 (Acrobot); Pendulum as gymnasium has
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from tracebank_models.constraint_logic.constraints import Knowledge, parse
from tracebank_models.constraint_logic.vocabulary import Feature, Vocabulary

from .environments import Floats, KnownVectorEnv, register

_POLE: Final = 12 * 2 * math.pi / 360
_TRACK: Final = 2.4


class _ClassicControl(KnownVectorEnv):
    """Numbers of the state in columns; a kernel moves all by a step."""

    low: ClassVar[tuple[float, ...]]
    high: ClassVar[tuple[float, ...]]
    """Where an episode's first state is drawn from."""

    def __init__(self, num_envs: int = 1, max_episode_steps: int | None = None) -> None:
        super().__init__(num_envs, max_episode_steps)
        self.states = np.zeros((num_envs, len(self.low)))
        self._rewards, self._ended = np.zeros(num_envs), np.zeros(num_envs, np.bool_)

    def _begin(self, rows: NDArray[np.bool_]) -> None:
        drawn = self.np_random.uniform(self.low, self.high, (int(rows.sum()), len(self.low)))
        self.states[rows] = drawn

    def _advance(self, actions: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_], dict[str, Any]]:
        self._move(actions)
        return self._rewards.astype(np.float32), self._ended.copy(), {}

    def _move(self, actions: NDArray[Any]) -> None:
        raise NotImplementedError

    def _observed(self) -> Floats:
        return self.states.astype(np.float32)


class CartPole(_ClassicControl):
    """A pole on a cart, held upright by pushes; known: how far it leans, and where the track ends."""

    limit = 500
    threshold = 475.0
    low, high = (-0.05,) * 4, (0.05,) * 4
    _bounds: ClassVar = np.array([2 * _TRACK, np.inf, 2 * _POLE, np.inf], np.float32)
    observation = spaces.Box(-_bounds, _bounds, dtype=np.float32)
    action = spaces.Discrete(2)
    vocabulary = Vocabulary(
        [Feature("position", "m"), Feature("speed", "m/s"), Feature("angle", "rad"), Feature("turning", "rad/s")]
    )
    knowledge = Knowledge(
        [
            parse("abs(angle) <= 0.2095 rad", vocabulary, margin=0.1),
            parse("abs(position) <= 2.4 m", vocabulary, margin=0.5),
        ]
    )

    @staticmethod
    def features(observations: Any) -> Mapping[str, Any]:
        """The four columns."""
        return {name: observations[:, at] for at, name in enumerate(("position", "speed", "angle", "turning"))}

    def _move(self, actions: NDArray[Any]) -> None:
        _cart_pole(self.states, actions, self._ended)
        self._rewards[:] = 1.0


@njit(cache=True)
def _cart_pole(states: Floats, actions: NDArray[Any], ended: NDArray[np.bool_]) -> None:
    for row in range(len(states)):
        x, speed, angle, turning = states[row]
        force = 10.0 if actions[row] == 1 else -10.0
        cosine, sine = math.cos(angle), math.sin(angle)
        pushed = (force + 0.05 * turning * turning * sine) / 1.1
        turned = (9.8 * sine - cosine * pushed) / (0.5 * (4.0 / 3.0 - 0.1 * cosine * cosine / 1.1))
        moved = pushed - 0.05 * turned * cosine / 1.1
        x, speed = x + 0.02 * speed, speed + 0.02 * moved
        angle, turning = angle + 0.02 * turning, turning + 0.02 * turned
        states[row] = x, speed, angle, turning
        ended[row] = x < -_TRACK or x > _TRACK or angle < -_POLE or angle > _POLE


class MountainCar(_ClassicControl):
    """A car that swings out of a valley; known: the valley's far end, and how fast it may go."""

    limit = 200
    threshold = -110.0
    low, high = (-0.6, 0.0), (-0.4, 0.0)
    observation = spaces.Box(np.array([-1.2, -0.07], np.float32), np.array([0.6, 0.07], np.float32))
    action: ClassVar[spaces.Box | spaces.Discrete] = spaces.Discrete(3)
    vocabulary = Vocabulary([Feature("position", "m"), Feature("speed", "m/s")])
    knowledge = Knowledge(
        [
            parse("not position < -1.1 m", vocabulary, margin=0.1),
            parse("abs(speed) <= 0.06 m/s", vocabulary, margin=0.01),
        ]
    )

    @staticmethod
    def features(observations: Any) -> Mapping[str, Any]:
        """The two columns."""
        return {"position": observations[:, 0], "speed": observations[:, 1]}

    def _move(self, actions: NDArray[Any]) -> None:
        _mountain_car(self.states, (actions.astype(np.float64) - 1) * 0.001, 0.5, self._ended)
        self._rewards[:] = -1.0


class MountainCarContinuous(MountainCar):
    """The same with a motor that pulls as hard as it is told."""

    limit = 999
    threshold = 90.0
    action = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def _move(self, actions: NDArray[Any]) -> None:
        pull = np.clip(actions[:, 0].astype(np.float64), -1, 1)
        _mountain_car(self.states, pull * 0.0015, 0.45, self._ended)
        self._rewards[:] = 100.0 * self._ended - 0.1 * actions[:, 0].astype(np.float64) ** 2


@njit(cache=True)
def _mountain_car(states: Floats, pulls: Floats, goal: float, ended: NDArray[np.bool_]) -> None:
    for row in range(len(states)):
        x, speed = states[row]
        speed = min(max(speed + pulls[row] + math.cos(3 * x) * -0.0025, -0.07), 0.07)
        x = min(max(x + speed, -1.2), 0.6)
        if x == -1.2 and speed < 0:
            speed = 0.0
        states[row] = x, speed
        ended[row] = x >= goal and speed >= 0


class Pendulum(_ClassicControl):
    """A pendulum that is swung up and held; known: how fast it may turn."""

    limit = 200
    threshold = -200.0
    low, high = (-math.pi, -1.0), (math.pi, 1.0)
    observation = spaces.Box(-np.array([1, 1, 8], np.float32), np.array([1, 1, 8], np.float32))
    action = spaces.Box(-2.0, 2.0, (1,), np.float32)
    vocabulary = Vocabulary([Feature("up", "", 2), Feature("turning", "rad/s")])
    knowledge = Knowledge([parse("abs(turning) <= 6 rad/s", vocabulary, margin=1.0)])

    @staticmethod
    def features(observations: Any) -> Mapping[str, Any]:
        """Where its end is, and how fast it turns."""
        return {"up": observations[:, :2], "turning": observations[:, 2]}

    def _move(self, actions: NDArray[Any]) -> None:
        torque = np.clip(actions[:, 0], -2, 2).astype(np.float64)
        angle, turning = self.states[:, 0], self.states[:, 1]
        wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
        self._rewards[:] = -(wrapped**2 + 0.1 * turning**2 + 0.001 * torque**2)
        turned = np.clip(turning + (15.0 * np.sin(angle) + 3.0 * torque) * 0.05, -8, 8)
        self.states[:, 0] = angle + turned * 0.05
        self.states[:, 1] = turned

    def _observed(self) -> Floats:
        angle = self.states[:, 0]
        return np.stack((np.cos(angle), np.sin(angle), self.states[:, 1]), axis=1).astype(np.float32)


class Acrobot(_ClassicControl):
    """Two links, the joint between them driven; the tip is to reach a height. Known: how fast the first may turn."""

    limit = 500
    threshold = -100.0
    low, high = (-0.1,) * 4, (0.1,) * 4
    _bounds: ClassVar = np.array([1, 1, 1, 1, 4 * math.pi, 9 * math.pi], np.float32)
    observation = spaces.Box(-_bounds, _bounds, dtype=np.float32)
    action = spaces.Discrete(3)
    vocabulary = Vocabulary([Feature("turning", "rad/s"), Feature("bending", "rad/s"), Feature("height", "m")])
    knowledge = Knowledge([parse("abs(turning) <= 9 rad/s", vocabulary, margin=1.0)])

    @staticmethod
    def features(observations: Any) -> Mapping[str, Any]:
        """Speeds of both joints, and the height of the tip over the first."""
        one, sine, two, bent = (observations[:, at] for at in range(4))
        height = -one - (one * two - sine * bent)
        return {"turning": observations[:, 4], "bending": observations[:, 5], "height": height}

    def _move(self, actions: NDArray[Any]) -> None:
        _acrobot(self.states, actions.astype(np.float64) - 1, self._ended)
        self._rewards[:] = np.where(self._ended, 0.0, -1.0)

    def _observed(self) -> Floats:
        one, two = self.states[:, 0], self.states[:, 1]
        parts = (np.cos(one), np.sin(one), np.cos(two), np.sin(two), self.states[:, 2], self.states[:, 3])
        return np.stack(parts, axis=1).astype(np.float32)


@njit(cache=True)
def _wrapped(angle: float) -> float:
    while angle > math.pi:
        angle -= 2 * math.pi
    while angle < -math.pi:
        angle += 2 * math.pi
    return angle


@njit(cache=True)
def _acrobot_slope(state: Floats, torque: float, slope: Floats) -> None:
    one, two, turning, bending = state[0], state[1], state[2], state[3]
    d1 = 0.25 + (1.0 + 0.25 + 2 * 0.5 * math.cos(two)) + 2.0
    d2 = 0.25 + 0.5 * math.cos(two) + 1.0
    phi2 = 0.5 * 9.8 * math.cos(one + two - math.pi / 2.0)
    phi1 = (
        -0.5 * bending**2 * math.sin(two)
        - bending * turning * math.sin(two)
        + 1.5 * 9.8 * math.cos(one - math.pi / 2)
        + phi2
    )
    bent = (torque + d2 / d1 * phi1 - 0.5 * turning**2 * math.sin(two) - phi2) / (0.25 + 1.0 - d2**2 / d1)
    slope[0], slope[1], slope[2], slope[3] = turning, bending, -(d2 * bent + phi1) / d1, bent


@njit(cache=True)
def _acrobot(states: Floats, torques: Floats, ended: NDArray[np.bool_]) -> None:
    slopes, step = np.zeros((4, 4)), 0.2
    for row in range(len(states)):
        start = states[row].copy()
        _acrobot_slope(start, torques[row], slopes[0])
        _acrobot_slope(start + step / 2 * slopes[0], torques[row], slopes[1])
        _acrobot_slope(start + step / 2 * slopes[1], torques[row], slopes[2])
        _acrobot_slope(start + step * slopes[2], torques[row], slopes[3])
        moved = start + step / 6 * (slopes[0] + 2 * slopes[1] + 2 * slopes[2] + slopes[3])
        states[row, 0], states[row, 1] = _wrapped(moved[0]), _wrapped(moved[1])
        states[row, 2] = min(max(moved[2], -4 * math.pi), 4 * math.pi)
        states[row, 3] = min(max(moved[3], -9 * math.pi), 9 * math.pi)
        ended[row] = -math.cos(states[row, 0]) - math.cos(states[row, 1] + states[row, 0]) > 1.0


for _name, _kind in {
    "CartPole-v1": CartPole,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "Pendulum-v1": Pendulum,
    "Acrobot-v1": Acrobot,
}.items():
    register(_name, _kind)
