"""Random features to hold the chosen ones against: as many, as active, and the rank of the chosen ones among them.

Features of a site are put into strata by activation mass (density x mean activation), and a draw takes as many of each
stratum as were chosen there, at every site at once. Chosen features may be drawn again: under the hypothesis that the
choice means nothing the chosen set is one draw more, which makes the rank an exact p-value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

STRATUM: Final = 8
"""Features of a stratum: few, so that those of one are about as active."""
_TIE: Final = 1e-6
"""Two effects that differ by less are one: rounding, where a draw is the chosen set itself."""


def activation_mass() -> pl.Expr:
    """What a feature adds to the codes of a mean token, of the columns of `feature_activity`."""
    return pl.col("density") * pl.col("mean_activation")


def matched_draws(chosen: Mapping[str, Tensor], activity: pl.DataFrame, *, draws: int, seed: int) -> dict[str, Tensor]:
    """Draw features that are as active as the chosen ones.

    Args:
        chosen: By site, the features' numbers.
        activity: What `feature_activity` gives.
        draws: How many.
        seed: Of the drawing.

    Returns:
        By site, which features each draw holds at zero: bool, (draws, features).
    """
    chance = np.random.default_rng(seed)
    found = {}
    for site, features in chosen.items():
        mass = activity.filter(site=site).sort("feature").select(activation_mass()).to_series().to_numpy()
        off = np.zeros((draws, len(mass)), bool)
        for stratum in _strata(mass):
            count = int(np.isin(stratum, features.numpy()).sum())
            order = np.argsort(chance.random((draws, len(stratum))), axis=1)[:, :count]
            np.put_along_axis(off, stratum[order], True, axis=1)
        found[site] = torch.from_numpy(off)
    return found


def _strata(mass: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Features that fire, most active first, in strata of about one size; then those that never do."""
    order = np.argsort(-mass, kind="stable")
    alive = int((mass > 0).sum())
    parts = np.array_split(order[:alive], max(1, round(alive / STRATUM)))
    return [*parts, order[alive:]]


def rank_p(effect: float, drawn: Tensor) -> tuple[float, float]:
    """Rank of an effect among those of draws, as p-values: (1 + draws at least as extreme) / (1 + draws).

    Args:
        effect: Of the chosen features.
        drawn: Of each draw.

    Returns:
        That of an effect so low, and the two-sided one: twice the smaller of the two sides, at most 1.
    """
    low = (1 + int((drawn <= effect + _TIE).sum())) / (1 + len(drawn))
    high = (1 + int((drawn >= effect - _TIE).sum())) / (1 + len(drawn))
    return low, min(1.0, 2 * min(low, high))
