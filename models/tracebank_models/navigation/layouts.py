"""Where things lie: drawn by rejection, each object at its distances from those before, a stream for each environment.

The streams are SplitMix64's: what an environment draws depends on the seed and its number, not on how many there are.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .geometry import BALL, COSINE, GOAL_KEEPOUT, ROBOT_KEEPOUT, SINE, X, Y

Rows: TypeAlias = NDArray[np.float64]
Streams: TypeAlias = NDArray[np.uint64]
_TRIES: Final = 100
_GOAL_TRIES: Final = 10_000


def streams(seed: int | None, count: int) -> Streams:
    """A stream for each environment; the first of few are the first of many."""
    return np.random.SeedSequence(seed).generate_state(count, np.uint64).astype(np.uint64)


@njit(cache=True)
def uniform(states: Streams, row: int, low: float, high: float) -> float:
    """The next number of a row's stream."""
    states[row] += np.uint64(0x9E3779B97F4A7C15)
    word = states[row]
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    share = float((word ^ (word >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    return low + (high - low) * share


@njit(cache=True)
def _is_free(x: float, y: float, keepout: float, body: Rows, places: Rows, keepouts: Rows, those: Any) -> bool:
    if (x - body[X]) ** 2 + (y - body[Y]) ** 2 < (ROBOT_KEEPOUT + keepout) ** 2:
        return False
    for other in range(those[0], those[1]):
        if (x - places[other, 0]) ** 2 + (y - places[other, 1]) ** 2 < (keepouts[other] + keepout) ** 2:
            return False
    return True


@njit(cache=True)
def _laid(states: Streams, row: int, extent: float, body: Rows, places: Rows, keepouts: Rows) -> bool:
    far = extent - ROBOT_KEEPOUT
    body[X], body[Y] = uniform(states, row, -far, far), uniform(states, row, -far, far)
    for index in range(len(places)):
        far, is_free = extent - keepouts[index], False
        for _ in range(_TRIES):
            x, y = uniform(states, row, -far, far), uniform(states, row, -far, far)
            is_free = _is_free(x, y, keepouts[index], body, places, keepouts, (0, index))
            if is_free:
                places[index, 0], places[index, 1] = x, y
                break
        if not is_free:
            return False
    return True


@njit(cache=True)
def draw_goal(states: Streams, row: int, extent: float, body: Rows, places: Rows, keepouts: Rows) -> bool:
    """Put the goal elsewhere, away from all others; false where no place was found."""
    far = extent - GOAL_KEEPOUT
    for _ in range(_GOAL_TRIES):
        x, y = uniform(states, row, -far, far), uniform(states, row, -far, far)
        if _is_free(x, y, GOAL_KEEPOUT, body, places, keepouts, (1, len(places))):
            places[0, 0], places[0, 1] = x, y
            return True
    return False


@njit(cache=True)
def draw_layouts(
    rows: NDArray[np.bool_], states: Streams, extent: float, bodies: Rows, places: Rows, keepouts: Rows
) -> None:
    """Put robots, goals and objects of some rows anew; robots stand still, with any heading."""
    for row in range(len(rows)):
        if rows[row]:
            body = bodies[row]
            body[:] = 0.0
            # Safety-Gym draws its goal twice: with the rest, and then as it does where one is reached.
            while not (
                _laid(states, row, extent, body, places[row], keepouts)
                and draw_goal(states, row, extent, body, places[row], keepouts)
            ):
                pass
            heading = uniform(states, row, 0.0, 2 * math.pi)
            body[COSINE], body[SINE], body[BALL] = math.cos(heading), math.sin(heading), 1.0
