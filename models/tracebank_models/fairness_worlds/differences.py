"""What one factor of a run changes: differences of runs of one seed that are otherwise the same, over seeds.

Runs of one seed hold the same people with the same luck, so that the seed is the unit and differences are taken in it.
Many are looked at together: beside each p value stands the one that Holm's method makes of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from .deepening import over_seeds
from .names import FACTORS, NOTHING
from .score_tables import Floats

STATISTICS: Final = ("mean", "last", "slope")
_PLAIN: Final = pl.col("groups") == "as_they_are"
_BASE: Final = {
    "mitigation": pl.col("mitigation").is_in(NOTHING) & _PLAIN,
    "groups": pl.col("groups") == "permuted",
    "labels": (pl.col("labels") == "accepted") & _PLAIN,
    "every": (pl.col("every") > 0) & (pl.col("every") == pl.col("every").filter(pl.col("every") > 0).min()) & _PLAIN,
    "feedback": (pl.col("feedback") == 0) & _PLAIN,
}
_HELD: Final = {
    "mitigation": ~pl.col("mitigation").is_in(NOTHING) & (pl.col("groups") != "equal"),
    "groups": _PLAIN,
    "labels": (pl.col("labels") != "accepted") & _PLAIN,
    "every": (pl.col("every") == 0) & _PLAIN,
    "feedback": (pl.col("feedback") != 0) & _PLAIN,
}


def differences(runs: pl.DataFrame) -> pl.DataFrame:
    """Differences of means, of ends and of slopes, of every factor that varies.

    A run is held against the one with no mitigation, with permuted groups, with the labels of the accepted, fitted
    again, or without feedback.

    Args:
        runs: As `by_run` gives them, by `world` and `FACTORS`.

    Returns:
        `world`, `FACTORS` (of the run that is held against another), `factor`, and as `over_seeds`, with `adjusted`:
        the p value by Holm's method over all differences of the world and factor. No rows where nothing varies.
    """
    kept = runs.filter(pl.col("statistic").is_in(STATISTICS))
    every = (_pairs(kept, factor) for factor in FACTORS)
    found = [over_seeds(pairs, ["world", "factor", *FACTORS]) for pairs in every if pairs.height]
    if not found:
        return pl.DataFrame()
    told = pl.concat(found, how="vertical_relaxed")
    parts = [
        part.with_columns(adjusted=pl.Series(holm(part["p_value"].cast(pl.Float64)), dtype=pl.Float64).fill_nan(None))
        for _, part in told.group_by("world", "factor", maintain_order=True)
    ]
    return pl.concat(parts)


def holm(p_values: ArrayLike) -> Floats:
    """P values by Holm's method: each is that of a claim which is held among all of them; NaN are left out.

    Args:
        p_values: (claims,).
    """
    values = np.asarray(p_values, np.float64)
    found, known = np.full(values.shape, np.nan), np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    found[order] = np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)).clip(max=1.0)
    return found


def _pairs(runs: pl.DataFrame, factor: str) -> pl.DataFrame:
    """Rows of runs that are held against others by a factor, their value the difference."""
    apart = {factor, "groups"} if factor == "mitigation" else {factor}
    keys = ["world", "seed", "measure", "statistic", *(one for one in FACTORS if one not in apart)]
    base = runs.filter(_BASE[factor]).select(*keys, base="value")
    held = runs.filter(_HELD[factor]).join(base, on=keys)
    return held.with_columns(pl.col("value") - pl.col("base"), factor=pl.lit(factor)).drop("base")
