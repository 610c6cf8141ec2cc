"""What a mitigation is: settings that can be fitted, and what comes of it, which decides about people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from .metrics import Floats, Ints

Place = Literal["none", "pre", "in", "post", "system"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for a mitigation whatever its settings."""

    place: Place
    """Where it acts: before the fit, in it, on its decisions, or on the system around them."""
    constraint: str
    """What it makes equal."""
    uses_group_at_prediction: bool
    source: str
    """Whose code it is."""


class Decider(Protocol):
    """A fitted rule."""

    @property
    def note(self) -> str:
        """Why it is not what was asked for (labels of one class, a group that is not there); empty where it is."""
        ...

    def accept(self, features: Floats, groups: Ints, generator: np.random.Generator) -> Floats:
        """Probability that each is accepted."""
        ...


class Mitigation(Protocol):
    """A way to fit a rule."""

    @property
    def facts(self) -> Facts:
        """What holds for it whatever its settings."""
        ...

    @property
    def uses_group_at_prediction(self) -> bool:
        """Whether decisions of the fitted rule depend on the group; else permuted groups change nothing."""
        ...

    def fit(self, features: Floats, labels: Floats, groups: Ints, weights: Floats) -> Decider:
        """Fit; labels are NaN where nobody knows them.

        Raises:
            ValueError: Nothing can be fitted to that.
        """
        ...
