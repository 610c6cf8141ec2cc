"""Classic control with knowledge: gymnasium's environments, step for step, for thousands at once."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from tracebank_models.constraint_logic.constraints import Knowledge, parse
from tracebank_models.constraint_logic.vocabulary import Feature, Vocabulary

from . import mechanics
from .environments import Floats, KnownVectorEnv, register


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

    @abstractmethod
    def _move(self, actions: NDArray[Any]) -> None:
        """Move all states by a step; write rewards and which ended."""

    def _observed(self) -> Floats:
        return self.states.astype(np.float32)


class CartPole(_ClassicControl):
    """A pole on a cart, held upright by pushes; known: how far it leans, and where the track ends."""

    limit = 500
    threshold = 475.0
    low, high = (-0.05,) * 4, (0.05,) * 4
    _bounds: ClassVar = np.array([2 * mechanics.TRACK, np.inf, 2 * mechanics.POLE, np.inf], np.float32)
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
        mechanics.cart_pole(self.states, actions, self._ended)
        self._rewards[:] = 1.0


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
        mechanics.mountain_car(self.states, (actions.astype(np.float64) - 1) * 0.001, 0.5, self._ended)
        self._rewards[:] = -1.0


class MountainCarContinuous(MountainCar):
    """The same with a motor that pulls as hard as it is told."""

    limit = 999
    threshold = 90.0
    action = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def _move(self, actions: NDArray[Any]) -> None:
        pull = np.clip(actions[:, 0].astype(np.float64), -1, 1)
        mechanics.mountain_car(self.states, pull * 0.0015, 0.45, self._ended)
        self._rewards[:] = 100.0 * self._ended - 0.1 * actions[:, 0].astype(np.float64) ** 2


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
        mechanics.acrobot(self.states, actions.astype(np.float64) - 1, self._ended)
        self._rewards[:] = np.where(self._ended, 0.0, -1.0)

    def _observed(self) -> Floats:
        one, two = self.states[:, 0], self.states[:, 1]
        parts = (np.cos(one), np.sin(one), np.cos(two), np.sin(two), self.states[:, 2], self.states[:, 3])
        return np.stack(parts, axis=1).astype(np.float32)


for _name, _kind in {
    "CartPole-v1": CartPole,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "Pendulum-v1": Pendulum,
    "Acrobot-v1": Acrobot,
}.items():
    register(_name, _kind)
