"""Lending worlds: who is accepted and repays has a better score, who defaults a worse one, and all others stay."""

from __future__ import annotations

from typing import Final

import numpy as np

from .group_figures import Bools, Decided, Ints
from .population import Observation, PopulationWorld
from .score_tables import CLUSTERS, FICO, Floats, ScoreTable

_GOLDEN: Final = (5**0.5 - 1) / 2


class LendingWorld(PopulationWorld):
    """People with a score, seen with noise, beside a feature that tells of the group and of nothing else."""

    name = "Lending"

    def __init__(
        self,
        table: ScoreTable,
        people: int,
        periods: int,
        *,
        up: float,
        down: float,
        width: float,
        noise: tuple[float, ...] | float,
        proxy: float,
    ) -> None:
        """Make the world.

        Args:
            table: Of scores and repayment.
            people: How many.
            periods: After which an episode is cut.
            up: Points that a repaid loan adds.
            down: Points that a default takes.
            width: Points from one score of the table to the next; 0 or less is not allowed.
            noise: Standard deviation of what is seen of a score, in points; one for each group, or for all.
            proxy: By how much groups differ in the second feature, in its standard deviations.
        """
        super().__init__(table.groups, table.weights, people, periods)
        self.table, self.up, self.down, self.width, self.proxy = table, up, down, width, proxy
        self.noise = np.broadcast_to(np.asarray(noise, np.float64), (len(table.groups),))
        self.lowest = float(table.scores[0])
        self.highest = float(table.scores[-1]) + self._within
        self._spread = (self.highest - self.lowest) / 4
        """Points that are one in the feature."""
        cumulative = np.cumsum(table.shares, axis=1)
        self._cumulative = cumulative / cumulative[:, -1:]

    @property
    def _within(self) -> float:
        """How far scores of one row of the table reach."""
        return 0.0

    def _begin(self) -> None:
        luck = self.np_random.random(self.people)
        rows = (luck[:, None] >= self._cumulative[self.groups]).sum(1)
        within = self.np_random.random(self.people) * self._within
        self.scores = self.table.scores[rows] + within
        self._see()

    def _see(self) -> None:
        seen = self.scores + self.noise[self.groups] * self.np_random.standard_normal(self.people)
        middle = (self.lowest + self.highest) / 2
        told = self.proxy * self.groups + self.np_random.standard_normal(self.people)
        self.features = np.column_stack([(seen - middle) / self._spread, told])

    def chances(self) -> Floats:
        """True probability of repayment of everyone."""
        found: Floats = self.table.repayment[self.groups, self.rows()]
        return found

    def rows(self) -> Ints:
        """Row of the table that everyone is in."""
        found: Ints = ((self.scores - self.lowest) // self.width).astype(np.int64)
        return np.clip(found, 0, len(self.table.scores) - 1)

    def _decide(self, accepted: Bools) -> Decided:
        chance = self.chances()
        qualified = self.np_random.random(self.people) < chance
        before = self.scores
        self.scores = self.moved(accepted, np.where(accepted, qualified, np.nan))
        change = self.scores - before
        self._see()
        utility = self._utility(accepted, qualified)
        none = np.zeros(self.people)
        return Decided(self.groups, accepted, qualified, before, change, chance, utility, none)

    def moved(self, accepted: Bools, labels: Floats) -> Floats:
        """Scores after loans; labels of those not accepted are not read."""
        step = np.where(labels == 1, self.up, -self.down)
        return np.clip(self.scores + np.where(accepted, step, 0.0), self.lowest, self.highest)

    def shock(self, feedback: float, unrest: float) -> Observation:
        """Lower every score, and what is seen of it; people stay on the scale."""
        before, lost = self.scores, self._lost(feedback * unrest * (self.highest - self.lowest))
        self.scores = np.clip(before - lost, self.lowest, self.highest)
        self.features[:, 0] -= (before - self.scores) / self._spread
        return self._observation()

    def _lost(self, points: float) -> Floats | float:
        """What a shock takes from each."""
        return points


class FicoWorld(LendingWorld):
    """Scores from 300 to 850, 75 points up or 150 down; a default costs four times what a loan brings."""

    name = "lending_fico"
    loss = -4.0

    def __init__(
        self,
        people: int = 10_000,
        periods: int = 200,
        table: ScoreTable = FICO,
        noise: tuple[float, ...] | float = 25.0,
        proxy: float = 1.0,
    ) -> None:
        super().__init__(table, people, periods, up=75.0, down=150.0, width=50.0, noise=noise, proxy=proxy)

    @property
    def _within(self) -> float:
        return 50.0


class ClusterWorld(LendingWorld):
    """Seven clusters of credit, one up or one down; at both ends one stays. A default costs what a loan brings."""

    name = "lending_7"

    def __init__(
        self,
        people: int = 10_000,
        periods: int = 200,
        table: ScoreTable = CLUSTERS,
        noise: tuple[float, ...] | float = 0.3,
        proxy: float = 1.0,
    ) -> None:
        super().__init__(table, people, periods, up=1.0, down=1.0, width=1.0, noise=noise, proxy=proxy)

    def _begin(self) -> None:
        super()._begin()
        self._debt = np.arange(self.people) * _GOLDEN % 1  # even over people, and no luck is drawn for it

    def _lost(self, points: float) -> Floats:
        """Whole clusters: what is less than one is owed, and taken when it has become one."""
        self._debt += points
        whole: Floats = np.floor(self._debt)
        self._debt -= whole
        return whole
