"""The bootstrap of the released evaluation of 2305.17553, to say by how much its intervals are too narrow.

It draws cases and then rows of each with replacement, but groups by case afterwards: a case that is drawn twice counts
once. The right one, in which it counts twice, is `sample_statistics.bootstrap`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracebank_models.sample_statistics.bootstrap import cluster_bootstrap
from tracebank_models.sample_statistics.clustered import clustered_mean


class CaseShape(NamedTuple):
    """How values of cases are spread: what a mean over cases is as sure as."""

    cases: int
    prompts: int
    """Of a case."""
    mean: float
    between: float
    """Standard deviation of what a case's prompts have in common."""
    within: float
    """Standard deviation of prompts around it."""

    def drawn(self, seed: int = 0) -> NDArray[np.float64]:
        """Normal values of this shape, [cases, prompts]."""
        random = np.random.default_rng(seed)
        common = random.normal(self.mean, self.between, (self.cases, 1))
        return common + random.normal(0.0, self.within, (self.cases, self.prompts))

    @property
    def true_error(self) -> float:
        """Standard error of the mean of means of cases."""
        return float(np.sqrt((self.between**2 + self.within**2 / self.prompts) / self.cases))


class StandardErrors(NamedTuple):
    """Of one mean, by how it is reckoned."""

    mean: float
    released: float
    two_stage: float
    robust: float
    """From the means of cases, without a bootstrap."""


def standard_errors(values: NDArray[np.float64], draws: int = 1_000, seed: int = 0) -> StandardErrors:
    """Standard errors of the mean over cases of values [cases, prompts], of which there are at least two each."""
    cases = np.repeat(np.arange(len(values)), values.shape[1])
    robust = clustered_mean(values.ravel(), cases)
    two_stage = cluster_bootstrap(values.ravel(), cases, draws, seed)
    released = float(released_means(values, draws, seed).std(ddof=1))
    assert robust.standard_error is not None
    assert two_stage.standard_error is not None
    return StandardErrors(robust.mean, released, two_stage.standard_error, robust.standard_error)


def released_means(values: NDArray[np.float64], draws: int = 1_000, seed: int = 0) -> NDArray[np.float64]:
    """Mean of each bootstrap sample as the released code draws it, of values [cases, prompts]."""
    random, cases, prompts = np.random.default_rng(seed), len(values), int(values.shape[1])
    means = np.empty(draws)
    for draw in range(draws):
        drawn = random.integers(cases, size=cases)
        rows = values[drawn[:, None], random.integers(prompts, size=(cases, prompts))]
        times = np.bincount(drawn, minlength=cases)
        sums = np.bincount(drawn, rows.mean(axis=1), minlength=cases)
        means[draw] = (sums[times > 0] / times[times > 0]).mean()
    return means
