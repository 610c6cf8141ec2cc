"""What all worlds of people share: a gymnasium environment in which one step decides about everyone for one period.

Draws of luck are of one number for each person and period, whatever is decided: two runs of one seed that decide
otherwise hold the same people with the same luck, so that a person may be followed in both.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from .group_figures import Bools, Decided, Ints, gaps, group_figures
from .score_tables import Floats

Rule = Callable[[Floats, Ints], Floats]
"""Probability that a person is accepted, of features (people, d) and groups (people,)."""
Observation = dict[str, NDArray[Any]]
UNKNOWN: Final = -1
"""Label of who was not accepted."""


class PopulationWorld(gym.Env[Observation, NDArray[np.float32]]):
    """People of several groups; the action is the probability with which each is accepted.

    `info["labels"]` says who was qualified among those accepted, and is `UNKNOWN` of all others. `last` is what really
    happened, for metrics alone.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012
    name: ClassVar[str]
    gain: float = 1.0
    loss: float = -1.0
    dimensions: int = 2
    last: Decided

    def __init__(self, groups: tuple[str, ...], weights: Floats, people: int, periods: int) -> None:
        for field, value in (("people", people), ("periods", periods)):
            if value < 1:
                raise ValueError(f"{field}: {value} is not allowed; allowed: 1 or more")
        self.group_names = groups
        self.weights = weights
        self.people, self.periods = people, periods
        self.period = 0
        finite, huge = np.finfo(np.float32), (people, self.dimensions)
        self.observation_space = gym.spaces.Dict(  # type: ignore[assignment]
            {
                "features": gym.spaces.Box(finite.min, finite.max, huge, np.float32),
                "groups": gym.spaces.Box(0, len(groups) - 1, (people,), np.int64),
            }
        )
        self.action_space = gym.spaces.Box(0.0, 1.0, (people,), np.float32)
        self.groups: Ints
        self.features: Floats
        self.scores: Floats

    @property
    def break_even(self) -> float:
        """Probability of being qualified from which accepting pays."""
        return self.loss / (self.loss - self.gain)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin with new people; those of one seed are the same."""
        super().reset(seed=seed, options=options)
        self.period = 0
        self.groups = self.np_random.choice(len(self.weights), self.people, p=self.weights)
        self._begin()
        return self._observation(), {}

    def publish(self, rule: Rule) -> Observation:
        """Make the rule known before the decision; people of some worlds answer it by changing what is seen of them."""
        del rule
        return self._observation()

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Decide about everyone.

        Args:
            action: Probability of acceptance, (people,).

        Raises:
            ValueError: It has another shape, or is no probability.
        """
        probability = checked_probability(action, self.people)
        accepted = self.np_random.random(self.people) < probability
        self.last = self._decide(accepted)
        self.period += 1
        figures = group_figures(self.last, len(self.weights))
        labels = np.where(accepted, self.last.qualified, UNKNOWN).astype(np.int8)
        info = {"accepted": accepted, "labels": labels, "figures": figures, "gaps": gaps(figures)}
        return self._observation(), float(self.last.utility.mean()), False, self.period >= self.periods, info

    def shock(self, feedback: float, unrest: float) -> Observation:
        """Lower every score, and what is seen of it.

        Args:
            feedback: Share of the scale that full unrest takes.
            unrest: Share of people who take part.

        Raises:
            ValueError: Scores of this world do not last: there are none to lower.
        """
        del unrest
        raise ValueError(f"feedback: {feedback} is not allowed in {self.name}; allowed: 0, as scores do not last")

    def _observation(self) -> Observation:
        return {"features": self.features.astype(np.float32), "groups": self.groups.copy()}

    def _utility(self, accepted: Bools, qualified: Bools) -> Floats:
        return np.where(accepted, np.where(qualified, self.gain, self.loss), 0.0)

    @abstractmethod
    def _begin(self) -> None:
        """Draw scores and features of everyone; groups are drawn."""

    @abstractmethod
    def _decide(self, accepted: Bools) -> Decided:
        """What comes of it; scores and features become those of the next period."""


def checked_probability(action: NDArray[Any], people: int) -> Floats:
    """Probabilities of acceptance, of one who decides well.

    Raises:
        ValueError: The shape is another, or one is not from 0 to 1.
    """
    found = np.asarray(action, np.float64)
    if found.shape != (people,):
        raise ValueError(f"action: shape {found.shape} is not allowed; allowed: one probability a person, ({people},)")
    bad = np.flatnonzero(~((found >= 0) & (found <= 1)))
    if len(bad):
        raise ValueError(f"action: {found[bad[0]]} for person {bad[0]} is not allowed; allowed: from 0 to 1")
    return found
