"""The equations of motion of classic control, compiled: states `[n, d]` are moved in place.

Barto, Sutton and Anderson 1983 (CartPole); Moore 1990 (MountainCar); Sutton 1996 (Acrobot). Constants and order of
operations are gymnasium's.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .environments import Floats

POLE: Final = 12 * 2 * math.pi / 360
"""Angle at which a pole has fallen, rad."""
TRACK: Final = 2.4
"""Half of the track, m."""


@njit(cache=True)
def cart_pole(states: Floats, actions: NDArray[Any], ended: NDArray[np.bool_]) -> None:
    """Push carts to the right (1) or the left (0); which poles fell, or carts left the track."""
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
        ended[row] = x < -TRACK or x > TRACK or angle < -POLE or angle > POLE


@njit(cache=True)
def mountain_car(states: Floats, pulls: Floats, goal: float, ended: NDArray[np.bool_]) -> None:
    """Pull cars by so much speed; which are at the goal."""
    for row in range(len(states)):
        x, speed = states[row]
        speed = min(max(speed + pulls[row] + math.cos(3 * x) * -0.0025, -0.07), 0.07)
        x = min(max(x + speed, -1.2), 0.6)
        if x == -1.2 and speed < 0:
            speed = 0.0
        states[row] = x, speed
        ended[row] = x >= goal and speed >= 0


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
def acrobot(states: Floats, torques: Floats, ended: NDArray[np.bool_]) -> None:
    """Drive joints by torques in N m, by a step of Runge and Kutta; which tips are high enough."""
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
