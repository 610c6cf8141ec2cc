"""For each feature of a stream the few tokens with the largest keys, whatever the order in which they come.

What a key is decides what is kept: the activation (the strongest), or a number drawn for each feature and token (a
sample). Two sets of parts of a stream make the set of both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Examples(NamedTuple):
    """For some features rows with their keys and values, an example each."""

    feature: NDArray[np.int64]
    key: NDArray[np.float64]
    row: NDArray[np.int64]
    value: NDArray[np.float32]

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Examples:
        """Some of them, by mask or number."""
        return Examples(self.feature[which], self.key[which], self.row[which], self.value[which])


def _joined(parts: list[Examples]) -> Examples:
    return Examples(
        np.concatenate([part.feature for part in parts]),
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


class KeptExamples:
    """For each feature the rows of the largest keys; where keys are equal, the earlier row.

    Examples wait until they are as many as may be kept: sorting is done then, and not with every batch.
    """

    def __init__(self, features: int, limit: int) -> None:
        self._features, self._limit = features, limit
        self._best = Examples(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), np.empty(0, np.float32))
        self._waiting: list[Examples] = []
        # The smallest key of each feature that has its full number: a smaller one need not wait.
        self._floors = np.full(features, -np.inf)

    def take(self, examples: Examples) -> None:
        """Take examples in, of features and rows that were not there before."""
        self._waiting.append(examples.chosen(examples.key >= self._floors[examples.feature]))
        if sum(part.row.size for part in self._waiting) > self._limit * self._features:
            self.settled()

    def settled(self) -> Examples:
        """What is kept, sorted by feature and then by key, largest first."""
        if not self._waiting:
            return self._best
        every = _joined([self._best, *self._waiting])
        every = every.chosen(np.lexsort((every.row, -every.key, every.feature)))
        counts = np.bincount(every.feature, minlength=self._features)
        ends = np.cumsum(counts)
        rank = np.arange(every.row.size) - np.repeat(ends - counts, counts)
        full = counts >= self._limit
        self._floors[full] = every.key[(ends - counts)[full] + self._limit - 1]
        self._best, self._waiting = every.chosen(rank < self._limit), []
        return self._best


def chance(seed: int, feature: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) that depends on its arguments alone (splitmix64), so that merging draws as one pass does.

    Args:
        seed: Of the drawing, from 0.
        feature: Number of each feature.
        row: Number of each token.
    """
    with np.errstate(over="ignore"):
        mixed = (
            row.astype(np.uint64) * _GOLDEN
            + feature.astype(np.uint64)
            + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        )
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)
