"""Keys of the assets of safe reinforcement learning, and the partitions of their runs."""

from typing import Final

import dagster as dg

GROUP: Final = "safe_rl"
RUNS: Final = dg.AssetKey([GROUP, "runs"])
COMPARISONS: Final = dg.AssetKey([GROUP, "comparisons"])
ENVIRONMENTS: Final = (
    "CartPole-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "Acrobot-v1",
    "PointGoal1-v0",
    "PointGoal2-v0",
    "CarGoal1-v0",
    "CarGoal2-v0",
)
"""As the rooms of models register them; named here, since definitions load without these."""
SEEDS: Final = 10
PARTITIONS: Final = dg.StaticPartitionsDefinition(
    [f"{environment}/{seed}" for environment in ENVIRONMENTS for seed in range(SEEDS)]
)
"""A partition for each environment and seed: `CartPole-v1/3`."""
