"""Statistics of features as a stream: density, mean, maximum, and examples of several strata, mergeable.

A state takes batches of codes in any order, and two states of parts of a corpus make the state of both. Examples are
kept as (feature, token, value); their texts are for others to look up.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.features.kept_examples import Examples, KeptExamples, chance

RESERVOIR_ALPHA: Final = 1.0
"""How much likelier a strong activation is kept than a weak one: by e to this at most."""
_RESERVOIR_SEEDS: Final = 1 << 32
"""Added to the seed, so that the reservoir is drawn apart from the even sample."""


class FeatureStatistics:
    """The state of a stream of codes."""

    def __init__(
        self,
        features: int,
        *,
        top: int = 20,
        sample: int = 128,
        reservoir: int = 0,
        seed: int = 0,
        thresholds: NDArray[np.float32] | None = None,
        maximum: NDArray[np.float32] | None = None,
    ) -> None:
        """Start with nothing seen.

        Args:
            features: How many features there are.
            top: How many of the strongest tokens are kept of each.
            sample: How many tokens drawn evenly from those it fires on; random and quantile examples come out of them.
            reservoir: How many tokens drawn from those it fires on, strong ones likelier; 0: none.
            seed: Of the drawings.
            thresholds: What the activation of each feature has to exceed to fire, (features,); 0 where it is None.
            maximum: Largest activation of each feature, (features,); the reservoir's weights are relative to it.

        Raises:
            ValueError: A number is not positive, a shape does not fit, or a reservoir has no maximum.
        """
        if min(features, top, sample) < 1 or reservoir < 0:
            numbers = f"features: {features}, top: {top}, sample: {sample}, reservoir: {reservoir}"
            raise ValueError(f"{numbers}: allowed are 1 and more, and 0 for the reservoir")
        if reservoir and maximum is None:
            raise ValueError(f"maximum: None is not allowed with a reservoir of {reservoir}: its weights are relative")
        self.features, self.top, self.sample, self.seed = features, top, sample, seed
        self.reservoir = reservoir
        self.thresholds = self._given("thresholds", thresholds)
        self._scale = self._given("maximum", maximum)
        self.tokens = 0
        self.fired = np.zeros(features, np.int64)
        self.total = np.zeros(features)
        self.maximum = np.zeros(features, np.float32)
        self._strongest, self._drawn = KeptExamples(features, top), KeptExamples(features, sample)
        self._weighted = KeptExamples(features, reservoir) if reservoir else None

    def _given(self, name: str, values: NDArray[np.float32] | None) -> NDArray[np.float32]:
        found = np.zeros(self.features, np.float32) if values is None else np.asarray(values, np.float32)
        if found.shape != (self.features,) or np.isnan(found).any():
            raise ValueError(f"{name}: shape {found.shape} is not allowed: ({self.features},), none NaN")
        return found

    def update(self, codes: Tensor, rows: Tensor) -> None:
        """Take codes in.

        Args:
            codes: Shape (tokens, features); a feature fires where its code is above its threshold.
            rows: Number of each token in the corpus, each seen once over all, shape (tokens,).

        Raises:
            ValueError: The shapes do not fit, or a code is not finite.
        """
        if codes.shape != (len(rows), self.features):
            raise ValueError(f"codes: shape {tuple(codes.shape)} is not allowed: ({len(rows)}, {self.features})")
        if codes.numel() and not all(torch.isfinite(bound) for bound in torch.aminmax(codes)):
            raise ValueError("codes: one is not finite: allowed are finite numbers")
        token, feature = (codes > torch.from_numpy(self.thresholds).to(codes.device)).nonzero(as_tuple=True)
        value = codes[token, feature].float().cpu().numpy()
        found, where = feature.cpu().numpy(), rows.cpu().numpy()[token.cpu().numpy()]
        self.tokens += len(rows)
        self.fired += np.bincount(found, minlength=self.features)
        self.total += np.bincount(found, weights=value, minlength=self.features)
        np.maximum(self.maximum, codes.amax(0).clamp(min=0).float().cpu().numpy(), out=self.maximum)
        self._strongest.take(Examples(found, value.astype(np.float64), where, value))
        self._drawn.take(Examples(found, chance(self.seed, found, where), where, value))
        if self._weighted is not None:
            self._weighted.take(Examples(found, self._weighted_chance(found, where, value), where, value))

    def _weighted_chance(
        self, feature: NDArray[np.int64], row: NDArray[np.int64], value: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Keys of weighted sampling (Efraimidis and Spirakis): a chance to the power of one over the weight."""
        scale = self._scale[feature].astype(np.float64)
        strength = np.divide(value, scale, out=np.zeros(value.shape), where=scale > 0)
        drawn = chance(self.seed + _RESERVOIR_SEEDS, feature, row)
        return np.asarray(drawn ** np.exp(-RESERVOIR_ALPHA * strength), np.float64)

    def merge(self, other: FeatureStatistics) -> None:
        """Take in what another state has seen; the rows of the two are of one numbering and none is in both.

        Raises:
            ValueError: The two were started otherwise.
        """
        for field in ("features", "top", "sample", "reservoir", "seed"):
            if getattr(self, field) != getattr(other, field):
                raise ValueError(f"{field}: {getattr(other, field)} is not allowed: {getattr(self, field)}")
        for field, mine, others in (
            ("thresholds", self.thresholds, other.thresholds),
            ("maximum", self._scale, other._scale),
        ):
            if not np.array_equal(mine, others):
                raise ValueError(f"{field}: those of the other statistics differ: allowed are the same")
        self.tokens += other.tokens
        self.fired += other.fired
        self.total += other.total
        np.maximum(self.maximum, other.maximum, out=self.maximum)
        self._strongest.take(other._strongest.settled())
        self._drawn.take(other._drawn.settled())
        if self._weighted is not None and other._weighted is not None:
            self._weighted.take(other._weighted.settled())

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
            Columns feature, stratum (`top`, `random`, `quantile` or `reservoir`), quantile (1 is the weakest; null
            elsewhere), rank (from 1), row (number of the token) and activation.
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
        if self._weighted is not None:
            weighted = _frame(self._weighted.settled())
            parts.append(weighted.with_columns(_numbered("feature"), stratum=pl.lit("reservoir")))
        return pl.concat(parts, how="diagonal").select("feature", "stratum", "quantile", "rank", "row", "activation")


def _frame(examples: Examples) -> pl.DataFrame:
    return pl.DataFrame(
        {"feature": examples.feature.astype(np.int32), "row": examples.row, "activation": examples.value}
    )


def _numbered(*groups: str) -> pl.Expr:
    return (pl.int_range(pl.len()).over(*groups) + 1).cast(pl.Int32).alias("rank")
