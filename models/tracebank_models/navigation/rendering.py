"""A world from above as an image: goal, hazards, vases, the robot with its front, and where it was."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .geometry import GOAL_RADIUS, HAZARD_RADIUS
from .layouts import Rows

Image = NDArray[np.uint8]
_FLOOR, _GOAL, _HAZARD, _VASE = (245, 243, 238), (120, 190, 110), (105, 130, 215), (90, 190, 200)
_TRAIL, _ROBOT, _FRONT = (235, 160, 120), (190, 40, 50), (40, 40, 40)
_SMALL: Final = 0.1
"""Radius of robots and vases, m."""
_ROOM: Final = 0.5
"""Shown beyond where objects lie, m; more where the robot went further."""


def picture(
    robot: Rows, front: Rows, goal: Rows, hazards: Rows, vases: Rows, extent: float, size: int, trail: Rows | None
) -> Image:
    """One world, `[size, size, 3]`; x to the right, y up.

    Args:
        robot: Where it is, m; like the others.
        front: Where it looks, of length 1.
        goal: One place.
        hazards: `[m, 2]`.
        vases: `[m, 2]`.
        extent: Of the level, m.
        size: Pixels along a side.
        trail: Where the robot was, `[t, 2]`.

    Raises:
        ValueError: The image has less than a pixel.
    """
    if size < 1:
        raise ValueError(f"size: {size} is not allowed; allowed: 1 pixel or more")
    been = np.empty((0, 2)) if trail is None else np.asarray(trail, np.float64).reshape(-1, 2)
    half = max(extent + _ROOM, float(np.abs([*been, robot]).max()) + _SMALL)
    image = np.full((size, size, 3), _FLOOR, np.uint8)
    axis = (np.arange(size) + 0.5) / size * 2 * half - half
    for place in hazards:
        _disc(image, axis, place, HAZARD_RADIUS, _HAZARD)
    _disc(image, axis, goal, GOAL_RADIUS, _GOAL)
    for place in vases:
        _disc(image, axis, place, _SMALL, _VASE)
    at = np.clip(((been + half) / (2 * half) * size).astype(int), 0, size - 1)
    image[size - 1 - at[:, 1], at[:, 0]] = _TRAIL
    _disc(image, axis, robot, _SMALL, _ROBOT)
    _disc(image, axis, robot + _SMALL * front, _SMALL / 2, _FRONT)
    return image


def _disc(image: Image, axis: Rows, place: Rows, radius: float, colour: tuple[int, int, int]) -> None:
    inside = (axis[None, :] - place[0]) ** 2 + (axis[::-1, None] - place[1]) ** 2 <= radius * radius
    image[inside] = colour
