"""`FeatureStatistics` for many features at once: examples wait in a pool and are sorted when it is as large as they."""

from __future__ import annotations

import numpy as np
import polars as pl

from tracebank_models.reward_probe.feature_statistics import FeatureStatistics, _Examples


class PooledStatistics(FeatureStatistics):
    """The same numbers; sorting is done a few times and not with every batch."""

    def __init__(self, features: int, *, top: int = 20, sample: int = 128, seed: int = 0) -> None:
        """See `FeatureStatistics`."""
        super().__init__(features, top=top, sample=sample, seed=seed)
        self._pool: tuple[list[_Examples], list[_Examples]] = ([], [])
        self._floor = (np.full(features, -np.inf), np.full(features, -np.inf))

    def _take(self, strongest: _Examples, drawn: _Examples) -> None:
        for pool, floor, examples in zip(self._pool, self._floor, (strongest, drawn), strict=True):
            kept = examples.key >= floor[examples.feature]
            pool.append(_Examples(examples.feature[kept], examples.key[kept], examples.row[kept], examples.value[kept]))
        for pool, limit in zip(self._pool, (self.top, self.sample), strict=True):
            if sum(part.row.size for part in pool) > limit * self.features:
                self._settle()
                return

    def _settle(self) -> None:
        if not self._pool[0]:
            return
        super()._take(*map(_joined, self._pool))
        self._pool = ([], [])
        self._floor = (
            self._strongest._floors(self.features, self.top),
            self._drawn._floors(self.features, self.sample),
        )

    def merge(self, other: FeatureStatistics) -> None:
        """See `FeatureStatistics`."""
        for state in (self, other):
            if isinstance(state, PooledStatistics):
                state._settle()
        super().merge(other)

    def examples(self, *, random: int = 10, quantiles: int = 5, per_quantile: int = 2) -> pl.DataFrame:
        """See `FeatureStatistics`."""
        self._settle()
        return super().examples(random=random, quantiles=quantiles, per_quantile=per_quantile)


def _joined(parts: list[_Examples]) -> _Examples:
    return _Examples(
        np.concatenate([part.feature for part in parts]),
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.value for part in parts]),
    )
