"""Moving-block bootstrap of ratios of sums over samples in order, whose neighbours are alike.

Forecasts of every tick some ticks ahead overlap: a million of them are as many as a million over the horizon, or
fewer. Blocks longer than what ties neighbours together are drawn instead of samples; R^2, accuracy, mean loss and
coverage are ratios of sums, so that a drawn sample is a sum of blocks' sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .clustered import LEAST_CLUSTERS

_Floats = NDArray[np.float64]
_AT_ONCE: Final = 200_000
"""Numbers that are gathered at once; memory, that is."""
_CELLS: Final = 16
"""Places of a block where another may begin: blocks that begin anywhere would say the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Ratios, and what they are in bootstrap samples."""

    value: _Floats
    """`[m]`; NaN where the denominator is 0."""
    draws: _Floats
    """`[draws, m]`."""
    blocks: int
    """Blocks that the samples make; below `LEAST_CLUSTERS` there is no interval."""

    def interval(self, confidence: float = 0.95) -> tuple[_Floats, _Floats]:
        """Percentile interval of each, `[m]` and `[m]`; NaN where there is none."""
        ends: _Floats = np.full((2, len(self.value)), np.nan)
        if self.blocks >= LEAST_CLUSTERS:
            ends = np.quantile(self.draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
        return ends[0], ends[1]

    def less(self, other: Drawn) -> Drawn:
        """How much more each is than another of the same samples, in the same draws."""
        return Drawn(self.value - other.value, self.draws - other.draws, self.blocks)


class MovingBlocks:
    """Blocks over samples in order, the same drawn for whatever is asked of them."""

    def __init__(self, samples: int, block: int, draws: int = 1_000, seed: int = 0) -> None:
        """Draw blocks.

        Args:
            samples: k, in the order of time.
            block: Samples of a block, longer than neighbours are alike; rounded up to a multiple of its cells.
            draws: Bootstrap samples.
            seed: Of the drawing.

        Raises:
            ValueError: There is no sample, or no block.
        """
        if samples < 1 or block < 1 or draws < 2:
            raise ValueError(f"block: {block} of {samples} samples, {draws} draws; allowed: 1 or more, 2 draws or more")
        self.samples = samples
        self._inside = min(block, _CELLS)
        self._size = -(-block // self._inside)
        cells = -(-samples // self._size)
        self.blocks = samples // (self._inside * self._size)
        # Fewer than one block: there is no interval, and the whole is drawn.
        self._inside = min(self._inside, cells)
        self._firsts = np.random.default_rng(seed).integers(
            cells - self._inside + 1, size=(draws, max(1, self.blocks)), dtype=np.int32
        )

    def ratio(self, over: _Floats, under: _Floats) -> Drawn:
        """A sum over another, for each column.

        Args:
            over: `[k, m]`, finite.
            under: `[k, m]`, finite; 0 beside 0 where a sample does not count.
        """
        cells = np.concatenate((self._cells(over), self._cells(under)), axis=1)
        sums, totals = cells.sum(0), self._drawn(self._of_blocks(cells))
        columns = over.shape[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = sums[:columns] / sums[columns:], totals[:, :columns] / totals[:, columns:]
        return Drawn(*ratios, self.blocks)

    def _cells(self, values: _Floats) -> _Floats:
        if len(values) != self.samples:
            raise ValueError(f"values: {len(values)} rows are not allowed; allowed: {self.samples}, the samples")
        return np.add.reduceat(np.asarray(values, np.float64), np.arange(0, self.samples, self._size), axis=0)

    def _drawn(self, of_blocks: _Floats) -> _Floats:
        """Sum of the blocks of each draw, `[draws, m]`."""
        columns = of_blocks.shape[1]
        found: _Floats = np.empty((len(self._firsts), columns))
        step = max(1, _AT_ONCE // (self._firsts.shape[1] * columns))
        for start in range(0, len(found), step):
            found[start : start + step] = of_blocks[self._firsts[start : start + step]].sum(axis=1)
        return found

    def _of_blocks(self, cells: _Floats) -> _Floats:
        """Sum of the block that begins at each cell."""
        cumulated = np.concatenate((np.zeros((1, cells.shape[1])), np.cumsum(cells, axis=0)))
        return cumulated[self._inside :] - cumulated[: -self._inside]


def independent_error(over: _Floats, under: _Floats) -> _Floats:
    """Standard error of each ratio if samples were independent, `[m]`: what blocks are there to correct."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = under.sum(0)
        left = over - over.sum(0) / total * under
        error: _Floats = np.sqrt(np.square(left).sum(0)) / total
    return error
