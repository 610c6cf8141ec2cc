"""Attention: units of inspection over sites, where what is not looked at grows. Sites are the groups.

A vector environment: many runs of one length are stepped at once. After google/ml-fairness-gym: incidents are Poisson,
a site discovers as many as it has units, rates fall where units are and rise where none is.
"""

from __future__ import annotations

from typing import Any, Final

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from .group_figures import Ints
from .score_tables import Floats

RATES: Final = (8.0, 6.0, 4.0, 3.0, 1.5)
UNITS: Final = 6


class AttentionWorld(VectorEnv[Floats, Ints, Any]):
    """Runs of inspection; the action is how many units each site has, (runs, sites), at most `units` together.

    Observations are incidents discovered, (runs, sites). `info["incidents"]` are all, for metrics alone.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012
    name = "attention"

    def __init__(
        self,
        num_envs: int = 1,
        periods: int = 1_000,
        rates: tuple[float, ...] = RATES,
        units: int = UNITS,
        drift: float = 0.01,
        equal: bool = False,
    ) -> None:
        """Make the world.

        Args:
            num_envs: Runs.
            periods: After which all are cut.
            rates: Incidents of each site in a period, at the start.
            units: Of inspection, in every period.
            drift: By how much a rate rises where no unit is, and falls for each unit.
            equal: Whether all sites begin with the mean rate.
        """
        self.num_envs, self.periods, self.units, self.drift = num_envs, periods, units, drift
        self.first = np.full(len(rates), np.mean(rates)) if equal else np.array(rates, np.float64)
        self.group_names = tuple(f"site {number + 1}" for number in range(len(rates)))
        shape = (len(rates),)
        self.single_observation_space = gym.spaces.Box(0.0, np.inf, shape, np.float64)
        self.single_action_space = gym.spaces.MultiDiscrete([units + 1] * len(rates))
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self.rates: Floats
        self.period = 0

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin all runs again, with the rates of the start."""
        if seed is not None or self._np_random is None:
            self._np_random = np.random.default_rng(seed)  # type: ignore[arg-type]
        del options
        self.period = 0
        self.rates = np.tile(self.first, (self.num_envs, 1))
        return np.zeros_like(self.rates), {}

    def step(self, actions: Ints) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Inspect for one period.

        Raises:
            ValueError: The shape is another, units are negative, or a run places more than there are.
        """
        placed = self._checked(actions)
        incidents = self.np_random.poisson(self.rates)
        discovered = np.minimum(placed, incidents).astype(np.float64)
        self.rates = np.maximum(np.where(placed > 0, self.rates - self.drift * placed, self.rates + self.drift), 0.0)
        self.period += 1
        ended = np.full(self.num_envs, self.period >= self.periods)
        return discovered, discovered.sum(1), np.zeros_like(ended), ended, {"incidents": incidents}

    def _checked(self, actions: Ints) -> Ints:
        placed = np.asarray(actions)
        if placed.shape != self.rates.shape:
            raise ValueError(
                f"action: shape {placed.shape} is not allowed; allowed: {self.rates.shape}, runs and sites"
            )
        wrong = np.flatnonzero((placed < 0).any(1) | (placed.sum(1) > self.units))
        if len(wrong):
            raise ValueError(
                f"action: {placed[wrong[0]].tolist()} of run {wrong[0]} is not allowed;"
                f" allowed: at most {self.units} units"
            )
        return placed
