"""Statistics of features as a stream: density, mean, maximum, and top, random and quantile examples, mergeable.

A state takes batches of codes in any order, and two states of parts of a corpus make the state of both. Examples are
kept as (feature, token, value); their texts are for others to look up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class _Examples(NamedTuple):
    """For some features rows with their keys and values."""

    feature: NDArray[np.int64]
    key: NDArray[np.float64]
    row: NDArray[np.int64]
    value: NDArray[np.float32]

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> _Examples:
        return _Examples(self.feature[which], self.key[which], self.row[which], self.value[which])


def _joined(parts: list[_Examples]) -> _Examples:
    return _Examples(
        np.concatenate([part.feature for part in parts]),
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


class _Kept:
    """For each feature the rows of the largest keys; where keys are equal, the earlier row.

    Examples wait until they are as many as may be kept: sorting is done then, and not with every batch.
    """

    def __init__(self, features: int, limit: int) -> None:
        self._features, self._limit = features, limit
        self._best = _Examples(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), np.empty(0, np.float32))
        self._waiting: list[_Examples] = []
        # The smallest key of each feature that has its full number: a smaller one need not wait.
        self._floors = np.full(features, -np.inf)

    def take(self, examples: _Examples) -> None:
        self._waiting.append(examples.chosen(examples.key >= self._floors[examples.feature]))
        if sum(part.row.size for part in self._waiting) > self._limit * self._features:
            self.settled()

    def settled(self) -> _Examples:
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


def _chance(seed: int, feature: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) that depends on its arguments alone (splitmix64), so that merging draws as one pass does."""
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


class FeatureStatistics:
    """The state of a stream of codes."""

    def __init__(self, features: int, *, top: int = 20, sample: int = 128, seed: int = 0) -> None:
        """Start with nothing seen.

        Args:
            features: How many features there are.
            top: How many of the strongest tokens are kept of each.
            sample: How many tokens drawn evenly from those it fires on; random and quantile examples come out of them.
            seed: Of the drawing.

        Raises:
            ValueError: A number is not positive.
        """
        if min(features, top, sample) < 1:
            raise ValueError(f"features: {features}, top: {top}, sample: {sample}: allowed are 1 and more")
        self.features, self.top, self.sample, self.seed = features, top, sample, seed
        self.tokens = 0
        self.fired = np.zeros(features, np.int64)
        self.total = np.zeros(features)
        self.maximum = np.zeros(features, np.float32)
        self._strongest, self._drawn = _Kept(features, top), _Kept(features, sample)

    def update(self, codes: Tensor, rows: Tensor) -> None:
        """Take codes in.

        Args:
            codes: Shape (tokens, features); a feature fires where its code is above 0.
            rows: Number of each token in the corpus, each seen once over all, shape (tokens,).

        Raises:
            ValueError: The shapes do not fit, or a code is not finite.
        """
        if codes.shape != (len(rows), self.features):
            raise ValueError(f"codes: shape {tuple(codes.shape)} is not allowed: ({len(rows)}, {self.features})")
        if codes.numel() and not all(torch.isfinite(bound) for bound in torch.aminmax(codes)):
            raise ValueError("codes: one is not finite: allowed are finite numbers")
        token, feature = (codes > 0).nonzero(as_tuple=True)
        value = codes[token, feature].float().cpu().numpy()
        found, where = feature.cpu().numpy(), rows.cpu().numpy()[token.cpu().numpy()]
        self.tokens += len(rows)
        self.fired += np.bincount(found, minlength=self.features)
        self.total += np.bincount(found, weights=value, minlength=self.features)
        np.maximum(self.maximum, codes.amax(0).clamp(min=0).float().cpu().numpy(), out=self.maximum)
        self._strongest.take(_Examples(found, value.astype(np.float64), where, value))
        self._drawn.take(_Examples(found, _chance(self.seed, found, where), where, value))

    def merge(self, other: FeatureStatistics) -> None:
        """Take in what another state has seen; the rows of the two are of one numbering and none is in both.

        Raises:
            ValueError: The two were started otherwise.
        """
        for field in ("features", "top", "sample", "seed"):
            if getattr(self, field) != getattr(other, field):
                raise ValueError(f"{field}: {getattr(other, field)} is not allowed: {getattr(self, field)}")
        self.tokens += other.tokens
        self.fired += other.fired
        self.total += other.total
        np.maximum(self.maximum, other.maximum, out=self.maximum)
        self._strongest.take(other._strongest.settled())
        self._drawn.take(other._drawn.settled())

    def summary(self) -> pl.DataFrame:
        """Columns feature, tokens, fired, density, mean_activation (where it fires) and max_activation."""
        return pl.DataFrame(
            {
                "feature": np.arange(self.features, dtype=np.int32),
                "tokens": np.full(self.features, self.tokens),
                "fired": self.fired,
                "density": self.fired / max(self.tokens, 1),
                "mean_activation": self.total / np.maximum(self.fired, 1),
                "max_activation": self.maximum,
            }
        )

    def examples(self, *, random: int = 10, quantiles: int = 5, per_quantile: int = 2) -> pl.DataFrame:
        """Tokens that features fire on.

        Args:
            random: Random examples of a feature.
            quantiles: Strata of equal size that the drawn tokens of a feature are put into by value.
            per_quantile: Examples of each stratum.

        Returns:
            Columns feature, stratum (`top`, `random` or `quantile`), quantile (1 is the weakest; null elsewhere), rank
            (from 1), row (number of the token) and activation.
        """
        top = _frame(self._strongest.settled()).with_columns(_numbered("feature"), stratum=pl.lit("top"))
        drawn = _frame(self._drawn.settled())
        even = drawn.with_columns(_numbered("feature"), stratum=pl.lit("random")).filter(pl.col("rank") <= random)
        place = pl.col("activation").rank("ordinal").over("feature") - 1
        strata = drawn.with_columns(
            (place * quantiles // pl.len().over("feature") + 1).cast(pl.Int32).alias("quantile")
        )
        strata = strata.with_columns(_numbered("feature", "quantile"), stratum=pl.lit("quantile"))
        parts = [top, even, strata.filter(pl.col("rank") <= per_quantile)]
        return pl.concat(parts, how="diagonal").select("feature", "stratum", "quantile", "rank", "row", "activation")


def _frame(examples: _Examples) -> pl.DataFrame:
    return pl.DataFrame(
        {"feature": examples.feature.astype(np.int32), "row": examples.row, "activation": examples.value}
    )


def _numbered(*groups: str) -> pl.Expr:
    return (pl.int_range(pl.len()).over(*groups) + 1).cast(pl.Int32).alias("rank")
