"""What a robot sees: its sensors, then a lidar each for the goal, hazards and vases, in Safety-Gymnasium's order.

A lidar has 16 bins of angle; a bin reads how near the nearest object in it is, and spills over into its neighbours the
more the nearer the object is to their edge. `points` goes the other way: it finds objects in readings.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tracebank_models.constraint_logic.arrays import Array, namespace

from .geometry import AHEAD, ASIDE, BALL, BINS, COSINE, DRIFT, PULL, REACH, SINE, TURNING, X, Y
from .layouts import Rows
from .robots import ball_rates

SENSORS: Final = 12
"""Accelerometer, velocimeter, gyro, magnetometer: three numbers each."""
CAR_SENSORS: Final = SENSORS + 12
"""The same, how the rear ball turns, and how it lies: a matrix."""
_GRAVITY, _MAGNET = 9.81, 0.5
_ARC: Final = tuple(
    float(number)
    for number in np.polynomial.Chebyshev.interpolate(
        lambda square: np.arctan(np.sqrt(square)) / np.sqrt(square), 8, domain=[0, 1]
    )
    .convert(domain=[-1, 1], kind=np.polynomial.Polynomial)
    .coef
)
"""The arc tangent of t in [0, 1] is t times this polynomial of t², within 1e-7: half the time of `math.atan2`."""


@njit(cache=True)
def bearing(ahead: float, aside: float) -> float:
    """Angle of a point, in bins from 0 to 16."""
    a, b = abs(ahead), abs(aside)
    if a + b == 0.0:
        return 0.0
    share = min(a, b) / max(a, b)
    square = share * share
    total = _ARC[8]
    for power in range(7, -1, -1):
        total = total * square + _ARC[power]
    angle = share * total * (BINS / (2 * math.pi))
    if b > a:
        angle = BINS / 4 - angle
    if ahead < 0:
        angle = BINS / 2 - angle
    if aside < 0:
        angle = BINS - angle
    return angle if angle < BINS else 0.0


@njit(cache=True)
def observe(body: Rows, places: Rows, hazards: int, seen: NDArray[np.float32], around: NDArray[np.float32]) -> None:
    """Write what one robot sees, and where the objects are in its frame."""
    first = len(seen) - 3 * BINS
    _feel(body, seen, first == CAR_SENSORS)
    seen[first:] = 0.0
    cosine, sine = body[COSINE], body[SINE]
    for index in range(len(places)):
        east, north = places[index, 0] - body[X], places[index, 1] - body[Y]
        ahead, aside = cosine * east + sine * north, cosine * north - sine * east
        around[index, 0], around[index, 1] = ahead, aside
        near = 1 - math.sqrt(ahead * ahead + aside * aside) / REACH
        if near > 0:
            lidar = first + BINS * (0 if index == 0 else 1 if index <= hazards else 2)
            place = bearing(ahead, aside)
            at = int(place)
            spill = place - at
            after, before = lidar + (at + 1) % BINS, lidar + (at - 1) % BINS
            seen[lidar + at] = max(seen[lidar + at], near)
            seen[after] = max(seen[after], spill * near)
            seen[before] = max(seen[before], (1 - spill) * near)


@njit(cache=True)
def _feel(body: Rows, seen: NDArray[np.float32], is_car: bool) -> None:
    seen[0], seen[1], seen[2] = body[PULL], body[DRIFT], _GRAVITY
    seen[3], seen[4], seen[5] = body[AHEAD], body[ASIDE], 0.0
    seen[6], seen[7], seen[8] = 0.0, 0.0, body[TURNING]
    seen[9], seen[10], seen[11] = -_MAGNET * body[SINE], -_MAGNET * body[COSINE], 0.0
    if is_car:
        seen[12], seen[13] = ball_rates(body)
        seen[14] = 0.0
        w, x, y, z = body[BALL], body[BALL + 1], body[BALL + 2], body[BALL + 3]
        seen[15], seen[16], seen[17] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
        seen[18], seen[19], seen[20] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
        seen[21], seen[22], seen[23] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)


def points(lidar: Array) -> Array:
    """Objects in the readings of a lidar `[n, 16]`, in the robot's frame: `[n, 16, 2]`, NaN where a bin has none.

    A bin that reads at least as much as both its neighbours has an object, whose distance is exact. So the nearest
    object is always found; one in a bin beside a nearer one may not be. Its direction within the bin is exact where
    nothing else spills into the bins beside.
    """
    xp: Any = namespace(lidar)
    before, after = xp.roll(lidar, 1, -1), xp.roll(lidar, -1, -1)
    is_there = (lidar > 0) & (lidar >= before) & (lidar > after)
    safe = xp.where(is_there, lidar, xp.ones_like(lidar))
    # It spills at least its share on either side: between these bounds, and at both where nothing else does.
    spill = xp.clip((after / safe + 1 - before / safe) / 2, 0, 1)
    bins = np.arange(BINS, dtype=np.float32) if xp is np else xp.arange(BINS, device=lidar.device)
    angle = (bins + spill) * (2 * math.pi / BINS)
    far = REACH * (1 - safe)
    found = xp.stack((far * xp.cos(angle), far * xp.sin(angle)), -1)
    return xp.where(is_there[..., None], found, xp.full_like(found, math.nan))
