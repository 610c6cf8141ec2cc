"""How the robots move, in the plane: ours, with the masses, forces and damping of Safety-Gym's point and car.

Both motors give their full force from a small part of the action on, as there: the point's at 0.05, the car's at 0.02.
"""

from __future__ import annotations

import math
from typing import Final

from numba import njit

from .geometry import AHEAD, ASIDE, BALL, COSINE, DRIFT, PULL, SINE, SUBSTEPS, TURNING, X, Y
from .layouts import Rows

POINT_SECONDS: Final = 0.002 * SUBSTEPS
CAR_SECONDS: Final = 0.004 * SUBSTEPS
"""Of a step."""
_POINT_MASS, _POINT_DAMPING, _POINT_FORCE = 0.00519, 0.01, 0.3
"""kg; N s/m; N for an action of 1, before the limit."""
_CAR_MASS, _CAR_INERTIA, _WHEEL, _TRACK = 0.0304, 3.2e-4, 0.05, 0.1
"""kg; kg m²; radius, and distance from the middle, m."""
_TORQUE, _WHEEL_DAMPING, _GRIP = 0.02, 0.001, 0.1
"""N m; N m s; N that a wheel's contact bears."""


@njit(cache=True)
def _turn(body: Rows, angle: float) -> None:
    """By a small angle; `_settle` takes the error of length away."""
    cosine, sine = 1 - angle * angle / 2, angle - angle * angle * angle / 6
    body[COSINE], body[SINE] = body[COSINE] * cosine - body[SINE] * sine, body[SINE] * cosine + body[COSINE] * sine


@njit(cache=True)
def _settle(body: Rows) -> None:
    length = math.sqrt(body[COSINE] ** 2 + body[SINE] ** 2)
    body[COSINE] /= length
    body[SINE] /= length


@njit(cache=True)
def move_point(body: Rows, push: float, turn: float) -> None:
    """A force ahead, and a rate of turning that is reached within a step: at most 1.5 m/s and 3 rad/s."""
    step = POINT_SECONDS / SUBSTEPS
    force = _POINT_FORCE * min(max(push, -0.05), 0.05)
    rate = min(max(3.16 * min(max(turn, -1.0), 1.0), -3.0), 3.0)
    cosine, sine = body[COSINE], body[SINE]
    east, north = cosine * body[AHEAD] - sine * body[ASIDE], sine * body[AHEAD] + cosine * body[ASIDE]
    slowed = 1 / (_POINT_MASS + step * _POINT_DAMPING)
    for _ in range(SUBSTEPS):
        body[TURNING] += 0.3 * (rate - body[TURNING])
        _turn(body, step * body[TURNING])
        east = (_POINT_MASS * east + step * force * body[COSINE]) * slowed
        north = (_POINT_MASS * north + step * force * body[SINE]) * slowed
        body[X] += step * east
        body[Y] += step * north
    _settle(body)
    cosine, sine = body[COSINE], body[SINE]
    body[AHEAD], body[ASIDE] = cosine * east + sine * north, cosine * north - sine * east
    body[PULL] = (force - _POINT_DAMPING * body[AHEAD]) / _POINT_MASS
    body[DRIFT] = -_POINT_DAMPING * body[ASIDE] / _POINT_MASS


@njit(cache=True)
def _grip(torque: float, speed: float) -> float:
    force = (_TORQUE * min(max(torque / _TORQUE, -1.0), 1.0) - _WHEEL_DAMPING * speed / _WHEEL) / _WHEEL
    return min(max(force, -_GRIP), _GRIP)


@njit(cache=True)
def move_car(body: Rows, left: float, right: float) -> None:
    """Two driven wheels that do not slip sideways: at most 1 m/s; its front looks along -y of its frame."""
    step, speed, pull = CAR_SECONDS / SUBSTEPS, -body[ASIDE], 0.0
    for _ in range(SUBSTEPS):
        one = _grip(left, speed + _TRACK * body[TURNING])
        other = _grip(right, speed - _TRACK * body[TURNING])
        pull = (one + other) / _CAR_MASS
        speed += step * pull
        body[TURNING] += step * _TRACK * (one - other) / _CAR_INERTIA
        _turn(body, step * body[TURNING])
        body[X] += step * speed * body[SINE]
        body[Y] -= step * speed * body[COSINE]
    _settle(body)
    body[AHEAD], body[ASIDE] = 0.0, -speed
    body[PULL], body[DRIFT] = body[TURNING] * speed, -pull
    _roll(body)


@njit(cache=True)
def ball_rates(body: Rows) -> tuple[float, float]:
    """How the car's rear ball rolls, about the two level axes of its frame, rad/s."""
    return -body[ASIDE] / _WHEEL, _TRACK * body[TURNING] / _WHEEL


@njit(cache=True)
def _roll(body: Rows) -> None:
    one, other = ball_rates(body)
    rate = math.sqrt(one * one + other * other)
    if rate == 0.0:
        return
    half = rate * CAR_SECONDS / 2
    a, share = math.cos(half), math.sin(half) / rate
    b, c = one * share, other * share
    w, x, y, z = body[BALL], body[BALL + 1], body[BALL + 2], body[BALL + 3]
    body[BALL] = a * w - b * x - c * y
    body[BALL + 1] = a * x + b * w + c * z
    body[BALL + 2] = a * y + c * w - b * z
    body[BALL + 3] = a * z + b * y - c * x
