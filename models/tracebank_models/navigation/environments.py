"""The goal tasks as vector environments that know what is safe: `PointGoal1-v0` … `CarGoal2-v0`.

A step moves the robot, pays by how much nearer the goal is, and 1 where it is reached; the goal is then put elsewhere.
It costs 1 in a hazard and, on level 2, in touch with a vase, and never more. A vase is a disc that a robot pushes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from tracebank_models.constraint_logic.arrays import Array, namespace
from tracebank_models.constraint_logic.constraints import Knowledge, parse
from tracebank_models.constraint_logic.vocabulary import Feature, Objects, Vocabulary
from tracebank_models.reinforcement_learning.environments import ENVIRONMENTS, Floats, KnownVectorEnv, SingleEnv

from .geometry import (
    BINS,
    CONTACT,
    COSINE,
    EPISODE,
    GAP,
    GOAL_RADIUS,
    HAZARD_RADIUS,
    LEVELS,
    SINE,
    SLACK,
    WIDTH,
    Level,
    X,
    Y,
)
from .layouts import Rows, Streams, draw_goal, draw_layouts, streams
from .lidar import CAR_SENSORS, SENSORS, observe, points
from .rendering import picture
from .robots import move_car, move_point

Robot = Literal["Point", "Car"]
VOCABULARY = Vocabulary(
    [
        Feature("agent", "m", 2),
        Feature("speed", "m/s"),
        Feature("turning", "rad/s"),
        Objects("goal", "m"),
        Objects("hazard", "m"),
        Objects("vase", "m"),
    ]
)
"""Places are in the robot's frame, so that the agent is at 0; what a lidar does not show is not there."""
_CLEAR = parse("forall hazard: distance(agent, hazard) >= 0.2 m", VOCABULARY, margin=0.2)
_SLOW = parse("forall hazard: near(hazard, 0.5 m) implies speed <= 0.5 m/s", VOCABULARY, margin=0.2)
_WHOLE = parse("forall vase: distance(agent, vase) >= 0.2 m", VOCABULARY, margin=0.2)


class Navigation(KnownVectorEnv):
    """Robots on their way to goals, each in a world of its own.

    What an environment draws depends on the seed and its number, not on how many there are.
    """

    limit = EPISODE
    vocabulary = VOCABULARY
    action = spaces.Box(-1.0, 1.0, (2,), np.float32)
    robot: ClassVar[Robot]
    level: ClassVar[Level]

    def __init_subclass__(cls, robot: Robot, level: int) -> None:
        """Fill in what follows from robot and level."""
        cls.robot, cls.level = robot, LEVELS[level]
        high = np.full(cls.sensors() + 3 * BINS, np.inf, np.float32)
        low = -high
        low[cls.sensors() :], high[cls.sensors() :] = 0, 1
        cls.observation = spaces.Box(low, high, dtype=np.float32)
        cls.knowledge = Knowledge([_CLEAR, _SLOW, *([_WHOLE] if cls.level.are_vases_costly else [])])

    @classmethod
    def sensors(cls) -> int:
        """Numbers of an observation before the lidars."""
        return CAR_SENSORS if cls.robot == "Car" else SENSORS

    def __init__(self, num_envs: int = 1, max_episode_steps: int | None = None) -> None:
        super().__init__(num_envs, max_episode_steps)
        self._keepouts = self.level.keepouts
        self.bodies = np.zeros((num_envs, WIDTH))
        self.places = np.zeros((num_envs, len(self._keepouts), 2))
        self._streams: Streams | None = None
        self._blank()

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Start all episodes anew; without a seed each environment goes on with its stream.

        Raises:
            ValueError: The seed is a list: each environment has a stream of its own from one number.
        """
        if isinstance(seed, list):
            raise ValueError("seed: a list is not allowed; allowed: one number, of which each environment has its own")
        if seed is not None or self._streams is None:
            self._streams = streams(seed, self.num_envs)
        return super().reset(seed=seed, options=options)

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Features as they are at present, objects out of the lidars' reach too."""
        hazards = self.level.hazards
        return {
            "agent": np.zeros((self.num_envs, 2), np.float32),
            "speed": np.hypot(self._seen[:, 3], self._seen[:, 4]),
            "turning": self._seen[:, 8],
            "goal": self._around[:, :1],
            "hazard": self._around[:, 1 : 1 + hazards],
            "vase": self._around[:, 1 + hazards :],
        }

    @staticmethod
    def features(observations: Array) -> Mapping[str, Array]:
        """What the sensors and lidars tell of the state; see `lidar.points` for what they cannot."""
        xp = namespace(observations)
        goal, hazard, vase = (
            points(observations[:, observations.shape[1] + BINS * at :][:, :BINS]) for at in (-3, -2, -1)
        )
        ahead, aside = observations[:, 3], observations[:, 4]
        return {
            "agent": xp.zeros_like(observations[:, :2]),
            "speed": xp.sqrt(ahead * ahead + aside * aside + 1e-12),
            "turning": observations[:, 8],
            "goal": goal,
            "hazard": hazard,
            "vase": vase,
        }

    def picture(self, row: int = 0, size: int = 256, trail: Rows | None = None) -> NDArray[np.uint8]:
        """One environment from above, `[size, size, 3]`.

        Args:
            row: Which.
            size: Pixels along a side.
            trail: Places where the robot was, `[t, 2]`, m.
        """
        body, where, hazards = self.bodies[row], self.places[row], 1 + self.level.hazards
        front = body[[SINE, COSINE]] * [1, -1] if self.robot == "Car" else body[[COSINE, SINE]]
        level = where[0], where[1:hazards], where[hazards:], self.level.extent
        return picture(body[[X, Y]], front, *level, size, trail)

    def _blank(self) -> None:
        """Arrays of their own for what is seen next: those before stay as they were given away."""
        self._seen = np.empty((self.num_envs, *(self.observation.shape or ())), np.float32)
        self._around = np.empty((self.num_envs, len(self._keepouts), 2), np.float32)

    def _begin(self, rows: NDArray[np.bool_]) -> None:
        assert self._streams is not None
        self._seen, self._around = self._seen.copy(), self._around.copy()
        draw_layouts(rows, self._streams, self.level.extent, self.bodies, self.places, self._keepouts)
        _look(rows, self.bodies, self.places, self.level.hazards, self._seen, self._around)

    def _advance(self, actions: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_], dict[str, Any]]:
        assert self._streams is not None
        rewards, costs = np.empty(self.num_envs, np.float32), np.empty((2, self.num_envs), np.float32)
        reached, ended = np.empty(self.num_envs, np.bool_), np.empty(self.num_envs, np.bool_)
        self._blank()
        _step(
            self.robot == "Car",
            actions.astype(np.float64),
            self.bodies,
            self.places,
            self.level.hazards,
            self._streams,
            self.level.extent,
            self._keepouts,
            rewards,
            costs,
            reached,
            ended,
            self._seen,
            self._around,
        )
        if not self.level.are_vases_costly:
            costs[1] = 0
        told = {"cost_hazards": costs[0], "cost_vases": costs[1], "goal_met": reached}
        return rewards, ended, {"cost": np.maximum(costs[0], costs[1]), "state": self.state(), **told}

    def _observed(self) -> Floats:
        return self._seen


@njit(cache=True)
def _look(
    rows: NDArray[np.bool_],
    bodies: Rows,
    places: Rows,
    hazards: int,
    seen: NDArray[np.float32],
    around: NDArray[np.float32],
) -> None:
    """Of rows whose episode begins."""
    for row in range(len(rows)):
        if rows[row]:
            bodies[row, GAP] = _distance(bodies[row], places[row, 0])
            observe(bodies[row], places[row], hazards, seen[row], around[row])


@njit(cache=True)
def _distance(body: Rows, place: Rows) -> float:
    return math.sqrt((place[0] - body[X]) ** 2 + (place[1] - body[Y]) ** 2)


@njit(cache=True)
def _touched(body: Rows, vases: Rows) -> bool:
    """Push the vases that the robot touches, straight away from it."""
    is_touched = False
    for index in range(len(vases)):
        gap = _distance(body, vases[index])
        if gap < CONTACT:
            is_touched = True
            if 0.0 < gap < CONTACT - SLACK:
                share = (CONTACT - SLACK) / gap
                vases[index, 0] = body[X] + share * (vases[index, 0] - body[X])
                vases[index, 1] = body[Y] + share * (vases[index, 1] - body[Y])
    return is_touched


@njit(cache=True)
def _step(
    is_car: bool,
    actions: Rows,
    bodies: Rows,
    places: Rows,
    hazards: int,
    states: Streams,
    extent: float,
    keepouts: Rows,
    rewards: NDArray[np.float32],
    costs: NDArray[np.float32],
    reached: NDArray[np.bool_],
    ended: NDArray[np.bool_],
    seen: NDArray[np.float32],
    around: NDArray[np.float32],
) -> None:
    for row in range(len(bodies)):
        body, where = bodies[row], places[row]
        if is_car:
            move_car(body, actions[row, 0], actions[row, 1])
        else:
            move_point(body, actions[row, 0], actions[row, 1])
        costs[1, row] = _touched(body, where[1 + hazards :])
        costs[0, row] = 0.0
        for index in range(1, 1 + hazards):
            if _distance(body, where[index]) <= HAZARD_RADIUS:
                costs[0, row] = 1.0
        gap = _distance(body, where[0])
        reached[row] = gap <= GOAL_RADIUS
        rewards[row] = body[GAP] - gap + reached[row]
        ended[row] = reached[row] and not draw_goal(states, row, extent, body, where, keepouts)
        body[GAP] = _distance(body, where[0]) if reached[row] else gap
        observe(body, where, hazards, seen[row], around[row])


class PointGoal1(Navigation, robot="Point", level=1):
    """A point among 8 hazards; a vase costs nothing."""


class PointGoal2(Navigation, robot="Point", level=2):
    """A point among 10 hazards and 10 vases."""


class CarGoal1(Navigation, robot="Car", level=1):
    """A car among 8 hazards; a vase costs nothing."""


class CarGoal2(Navigation, robot="Car", level=2):
    """A car among 10 hazards and 10 vases."""


class NavigationEnv(SingleEnv):
    """One environment, for gymnasium's API of single ones; its infos tell cost, cost_hazards, cost_vases, goal_met."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 30}  # type: ignore[misc]
    environments: Navigation

    def __init__(self, environments: Navigation, render_mode: str | None = None) -> None:
        super().__init__(environments)
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: {render_mode!r} is not allowed; allowed: rgb_array")
        self.render_mode = render_mode

    def render(self) -> NDArray[np.uint8] | None:
        """The present, from above, where the render mode is `rgb_array`."""
        return self.environments.picture() if self.render_mode else None


def _register(name: str, kind: type[Navigation]) -> None:
    def single(render_mode: str | None = None, **options: Any) -> NavigationEnv:
        return NavigationEnv(kind(1, **options), render_mode)

    ENVIRONMENTS[name] = kind
    gymnasium.register(
        f"tracebank/{name}",
        entry_point=single,
        vector_entry_point=lambda **options: kind(**options),
        disable_env_checker=True,
    )


for _kind in (PointGoal1, PointGoal2, CarGoal1, CarGoal2):
    _register(f"{_kind.__name__}-v0", _kind)
