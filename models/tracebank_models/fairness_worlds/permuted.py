"""The null of every mitigation that looks at groups: the same one, told the wrong groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracebank_models.fairness_mitigation.protocol import Decider, Facts, Mitigation

from .group_figures import Ints
from .score_tables import Floats


@dataclass(frozen=True)
class PermutedGroups:
    """A mitigation to which groups are permuted over people, the same way in every period: what it does by chance."""

    inner: Mitigation
    seed: int

    @property
    def facts(self) -> Facts:
        """As of what is misled."""
        return self.inner.facts

    @property
    def uses_group_at_prediction(self) -> bool:
        """As of what is misled."""
        return self.inner.uses_group_at_prediction

    def fit(self, features: Floats, labels: Floats, groups: Ints, weights: Floats) -> Decider:
        """Fit with groups permuted over people."""
        random = np.random.default_rng(self.seed)
        return _Misled(self.inner.fit(features, labels, random.permutation(groups), weights), self.seed)


@dataclass(frozen=True)
class _Misled:
    inner: Decider
    seed: int

    @property
    def note(self) -> str:
        return self.inner.note

    def accept(self, features: Floats, groups: Ints, generator: np.random.Generator) -> Floats:
        random = np.random.default_rng(self.seed + 1)
        return self.inner.accept(features, random.permutation(groups), generator)
