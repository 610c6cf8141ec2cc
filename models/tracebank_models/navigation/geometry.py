"""The numbers of the goal tasks: how many objects, how large, how far apart, and what the robots weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 16
"""Of a lidar, around the robot."""
REACH: Final = 3.0
"""From where on a lidar reads 0, m."""
GOAL_RADIUS: Final = 0.3
HAZARD_RADIUS: Final = 0.2
CONTACT: Final = 0.2
"""Distance of the centres below which robot and vase touch: 0.1 m of each."""
SLACK: Final = 1e-3
"""How deep a pushed vase stays in touch, m: contacts are soft."""
ROBOT_KEEPOUT: Final = 0.4
GOAL_KEEPOUT: Final = 0.305
HAZARD_KEEPOUT: Final = 0.18
VASE_KEEPOUT: Final = 0.15
EPISODE: Final = 1000
"""Steps."""
SUBSTEPS: Final = 10
"""Of the physics in a step."""


@dataclass(frozen=True, slots=True)
class Level:
    """What lies around."""

    extent: float
    """Objects lie within this far of the middle along each axis, m."""
    hazards: int
    vases: int
    are_vases_costly: bool

    @property
    def keepouts(self) -> NDArray[np.float64]:
        """Of the objects in their order: the goal, hazards, vases."""
        return np.array([GOAL_KEEPOUT, *[HAZARD_KEEPOUT] * self.hazards, *[VASE_KEEPOUT] * self.vases])


LEVELS: Final = {1: Level(1.5, 8, 1, False), 2: Level(2.0, 10, 10, True)}

# Of a robot, by place in its row: where it is, cosine and sine of its heading, velocity and turning in its own frame,
# acceleration there, how far the goal is, and the car's rear ball as a quaternion.
X, Y, COSINE, SINE, AHEAD, ASIDE, TURNING, PULL, DRIFT, GAP, BALL = range(11)
WIDTH: Final = BALL + 4
