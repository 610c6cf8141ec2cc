"""Performative: people lower what a linear model holds against them, in the few features that they can change."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .group_figures import Bools, Decided
from .population import Observation, PopulationWorld, Rule
from .score_tables import Floats

FEATURES: Final = 10
STRATEGIC: Final = (0, 5, 7)
"""Features that people change: of GiveMeSomeCredit utilisation, open credit lines and loans on real estate."""


def gaussian_people(people: int, groups: Any, shift: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Features of everyone, and the log-odds of being qualified.

    Args:
        people: How many.
        groups: Group of each.
        shift: By how much the mean log-odds of the second group are lower.
        random: Where draws are from.
    """
    weights = np.array([0.9, -0.5, 0.3, 0.6, -0.4, 0.5, 0.2, 0.4, -0.3, 0.2])
    features = random.standard_normal((people, FEATURES))
    features -= np.outer(groups, shift * weights / (weights @ weights))
    return features, features @ weights


class PerformativeWorld(PopulationWorld):
    """The same people in every period, with labels that stay; only what is seen of them answers the rule.

    After Perdomo et al. 2020: features in `STRATEGIC` move by epsilon along the slope of acceptance. The data of the
    paper may not be shipped: people are Gaussian, of as many features.
    """

    name = "performative"
    dimensions = FEATURES

    def __init__(
        self, people: int = 10_000, periods: int = 200, epsilon: float = 1.0, shift: float = 1.0, minority: float = 0.3
    ) -> None:
        """Make the world.

        Args:
            people: How many.
            periods: After which an episode is cut.
            epsilon: How far people move; 0 for not at all.
            shift: By how much the mean log-odds of the second group are lower.
            minority: Share of the second group.
        """
        super().__init__(("majority", "minority"), np.array([1 - minority, minority]), people, periods)
        self.epsilon, self.shift = epsilon, shift

    def publish(self, rule: Rule) -> Observation:
        """Say how it is decided; people move along the slope of acceptance, as least squares see it."""
        probability = rule(self._plain, self.groups)
        design = np.column_stack([self._plain, np.ones(self.people)])
        slope = np.linalg.lstsq(design, probability, rcond=None)[0][:FEATURES]
        self.features = self._plain.copy()
        self.features[:, STRATEGIC] += self.epsilon * slope[list(STRATEGIC)]
        return self._observation()

    def _begin(self) -> None:
        self._plain, self.scores = gaussian_people(self.people, self.groups, self.shift, self.np_random)
        self._chance = 1 / (1 + np.exp(-self.scores))
        self._qualified = self.np_random.random(self.people) < self._chance
        self.features = self._plain.copy()

    def _decide(self, accepted: Bools) -> Decided:
        none = np.zeros(self.people)
        utility = self._utility(accepted, self._qualified)
        return Decided(self.groups, accepted, self._qualified, self.scores, none, self._chance, utility, none)
