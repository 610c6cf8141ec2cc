"""How policies learn in each environment, where nobody says otherwise: found by trying on seeds that no table is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from tracebank_models.reinforcement_learning.training import PPOSettings

_MANY: Final = PPOSettings(environments=64, rollout=32, minibatch=512, learning_rate=2e-3, cost_limit=0.0)
LEARNERS: Final[Mapping[str, PPOSettings]] = {
    "CartPole-v1": replace(_MANY, steps=100_000),
    "Acrobot-v1": replace(_MANY, steps=200_000, entropy_weight=0.01),
    "MountainCar-v0": replace(_MANY, steps=500_000, learning_rate=5e-3, trace_decay=0.98, scaled_observations=True),
    "MountainCarContinuous-v0": replace(_MANY, steps=300_000),
    "Pendulum-v1": replace(_MANY, steps=300_000, discount=0.9),
    **{
        f"{robot}Goal{level}-v0": PPOSettings(
            steps=1_000_000, environments=64, rollout=128, minibatch=1024, learning_rate=1e-3
        )
        for robot in ("Point", "Car")
        for level in (1, 2)
    },
}
"""Settings by environment. Their limit on costs is that of the methods that hold one, for an episode."""
WEIGHTS: Final[Mapping[str, float]] = {name: 0.02 if "Goal" in name else 1.0 for name in LEARNERS}
"""Of what is lacking, and the price of a cost, by environment: rewards of a step of navigation are of hundredths."""
