"""Admission: applicants who can afford it raise their test score to what the college asks, at a price that differs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .group_figures import Bools, Decided
from .population import Observation, PopulationWorld, Rule
from .score_tables import Floats

_GRID: Final = np.linspace(0.0, 1.0, 201)
"""Scores that an applicant thinks of."""


class AdmissionWorld(PopulationWorld):
    """New applicants in every period; eligible is who truly scores above 1.1 times the mean of the own group.

    After Hu et al. 2019 as in google/ml-fairness-gym: raising a score by one costs the second group more.
    """

    name = "admission"

    def __init__(
        self,
        people: int = 10_000,
        periods: int = 200,
        mean: tuple[float, float] = (0.8, 0.6),
        spread: tuple[float, float] = (0.1, 0.3),
        cost: tuple[float, float] = (0.8, 1.2),
        subsidy: float = 1.0,
        worth: float = 0.25,
        proxy: float = 1.0,
    ) -> None:
        """Make the world.

        Args:
            people: Applicants of each period.
            periods: After which an episode is cut.
            mean: Of true scores, by group.
            spread: Their standard deviation.
            cost: Of raising a score by one, by group.
            subsidy: Share of that cost that the second group pays itself.
            worth: Of being admitted, in the unit of costs; at 1, as released, everyone can pay and scores tell little.
            proxy: By how much groups differ in the second feature, in its standard deviations.
        """
        super().__init__(("advantaged", "disadvantaged"), np.array([0.6, 0.4]), people, periods)
        self.mean, self.spread = np.array(mean), np.array(spread)
        self.cost, self.worth, self.proxy = np.array(cost) * [1.0, subsidy], worth, proxy
        self._rule: Rule | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin with applicants who know of no rule."""
        self._rule = None
        return super().reset(seed=seed, options=options)

    def publish(self, rule: Rule) -> Observation:
        """Say what is asked for; applicants below it whom it pays raise their scores to it."""
        self._rule = rule
        self._answer()
        return self._observation()

    def _begin(self) -> None:
        true = self.mean[self.groups] + self.spread[self.groups] * self.np_random.standard_normal(self.people)
        self.scores = np.clip(true, 0.0, 1.0)
        self._told = self.proxy * self.groups + self.np_random.standard_normal(self.people)
        self._answer()

    def _answer(self) -> None:
        """Raise scores to the asked one where that costs no more than admission is worth."""
        asked = self._asked()[self.groups] if self._rule else np.full(self.people, np.inf)
        price = np.maximum(asked - self.scores, 0.0) * self.cost[self.groups]
        shown = np.where(price <= self.worth, np.maximum(self.scores, asked), self.scores)
        self._paid = np.where(shown > self.scores, price, 0.0)
        self.features = np.column_stack([(shown - 0.7) / 0.25, self._told])

    def _asked(self) -> Floats:
        """Lowest score from which each group is accepted, with the group's mean in the second feature."""
        assert self._rule is not None
        found = []
        for group in range(len(self.weights)):
            told = np.full(len(_GRID), self.proxy * group)
            grid = np.column_stack([(_GRID - 0.7) / 0.25, told])
            open_to = self._rule(grid, np.full(len(_GRID), group)) >= 0.5
            found.append(_GRID[int(np.argmax(open_to))] if open_to.any() else np.inf)
        return np.array(found)

    def _decide(self, accepted: Bools) -> Decided:
        qualified = self.scores >= np.minimum(1.1 * self.mean[self.groups], 1.0)
        groups, before, paid = self.groups, self.scores, self._paid
        utility, chance = self._utility(accepted, qualified), qualified.astype(np.float64)
        self.groups = self.np_random.choice(len(self.weights), self.people, p=self.weights)
        self._begin()
        return Decided(groups, accepted, qualified, before, np.zeros(self.people), chance, utility, paid)
