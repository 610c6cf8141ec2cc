"""Scores of a whole layer: means over all its units with intervals, and whether graphs are better than look-ups.

Units are what is drawn: intervals are by bootstrap of them, and differences are of the same unit under two methods.
Percentiles are moved outwards for few units as Student's t asks (Hesterberg's expanded percentile interval): without
that, five units without a difference pass as better more often than the level says.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from tracebank_models.neuron_graphs.evaluation import GRAPH, METHODS, METRICS

OTHERS: Final = METHODS[1:]
"""What graphs are compared with."""
LEAST_UNITS: Final = 5
"""Fewer units with a score of both methods support no claim."""
_CELLS = 1 << 22
_Values = NDArray[np.float64]


def bootstrap_means(values: _Values, *, level: float = 0.95, resamples: int = 4_000, seed: int = 0) -> _Values:
    """Mean of each column with its interval, all columns from the same drawings of rows.

    Args:
        values: Shape (units, columns); NaN where a unit has no value.
        level: Of the interval.
        resamples: Drawings.
        seed: Of the drawing.

    Returns:
        Shape (3, columns): mean, lower and upper end; NaN where no unit has a value, and the ends where only one has.
    """
    defined = ~np.isnan(values)
    filled, counts = np.where(defined, values, 0.0), defined.sum(0)
    random, parts = np.random.default_rng(seed), []
    block = max(1, _CELLS // max(len(values), 1))
    for first in range(0, resamples if len(values) else 0, block):
        drawn = random.multinomial(len(values), np.full(len(values), 1 / len(values)), min(block, resamples - first))
        weights = drawn @ defined.astype(float)
        parts.append(np.divide(drawn @ filled, weights, out=np.full_like(weights, np.nan), where=weights > 0))
    drawings = np.concatenate(parts) if parts else np.empty((0, values.shape[1]))
    found = np.full((3, values.shape[1]), np.nan)
    for column in np.flatnonzero(counts):
        found[0, column] = filled[:, column].sum() / counts[column]
        if counts[column] > 1:
            tail = _expanded(int(counts[column]), level)
            found[1:, column] = np.nanquantile(drawings[:, column], [tail, 1 - tail])
    return found


def _expanded(units: int, level: float) -> float:
    """The share to leave out at each end, so that the interval of so few units is as wide as that by Student's t."""
    wider = stats.t.ppf((1 - level) / 2, units - 1) * np.sqrt(units / (units - 1))
    return float(stats.norm.cdf(wider))


def layer_scores(scores: pl.DataFrame, *, level: float = 0.95, resamples: int = 4_000, seed: int = 0) -> pl.DataFrame:
    """Means over the units of a layer.

    Args:
        scores: `unit_scores`, of all units of the layer.
        level: Of intervals.
        resamples: See `bootstrap_means`.
        seed: See `bootstrap_means`.

    Returns:
        Columns stratum, method, metric, mean, low, high, units (of the layer), undefined (those without the score, over
        which the mean is not) and without_graph.
    """
    found = []
    for (stratum,), part in scores.group_by("stratum", maintain_order=True):
        wide = _wide(part)
        columns = wide.columns[1:]
        means = bootstrap_means(wide.select(columns).to_numpy(), level=level, resamples=resamples, seed=seed)
        names = pl.DataFrame([name.split("/") for name in columns], schema=["method", "metric"], orient="row")
        found.append(
            names.with_columns(
                *_ends(means),
                pl.lit(stratum).alias("stratum"),
                pl.lit(wide.height).cast(pl.Int64).alias("units"),
                pl.Series("undefined", [wide[name].null_count() for name in columns], pl.Int64),
                pl.lit(part.filter(pl.col("reason").is_not_null())["unit"].n_unique())
                .cast(pl.Int64)
                .alias("without_graph"),
            )
        )
    order = ["stratum", "method", "metric", "mean", "low", "high", "units", "undefined", "without_graph"]
    return pl.concat(found).select(order).sort("stratum", "method", "metric")


def paired_differences(
    scores: pl.DataFrame, *, metric: str = "f1", level: float = 0.95, resamples: int = 4_000, seed: int = 0
) -> pl.DataFrame:
    """By how much graphs are better than each look-up, unit by unit.

    Args:
        scores: `unit_scores`, of all units of the layer.
        metric: Of `METRICS`.
        level: Of intervals.
        resamples: See `bootstrap_means`.
        seed: See `bootstrap_means`.

    Returns:
        Columns stratum, baseline, metric, difference, low, high, units (with a score of both) and better: only where
        the lower end is above 0, and there are `LEAST_UNITS`.
    """
    found = []
    for (stratum,), part in scores.group_by("stratum", maintain_order=True):
        wide = _wide(part)
        gaps = wide.select(
            (pl.col(f"{GRAPH}/{metric}") - pl.col(f"{baseline}/{metric}")).alias(baseline) for baseline in OTHERS
        )
        means = bootstrap_means(gaps.to_numpy(), level=level, resamples=resamples, seed=seed)
        units = pl.Series("units", [gaps.height - gaps[name].null_count() for name in gaps.columns], pl.Int64)
        rows = pl.DataFrame({"baseline": gaps.columns}).with_columns(
            *_ends(means), units, pl.lit(stratum).alias("stratum"), pl.lit(metric).alias("metric")
        )
        better = (pl.col("low") > 0).fill_null(value=False) & (pl.col("units") >= LEAST_UNITS)
        found.append(rows.rename({"mean": "difference"}).with_columns(better=better))
    order = ["stratum", "baseline", "metric", "difference", "low", "high", "units", "better"]
    return pl.concat(found).select(order).sort("stratum", "baseline")


def compared_methods(scores: pl.DataFrame) -> pl.DataFrame:
    """`layer_scores` and `paired_differences` as rows of one kind.

    Args:
        scores: `unit_scores`, of all units of the layer.

    Returns:
        Columns stratum, method, less (the method that is taken off; empty: none), metric, value, low, high, units and
        undefined.
    """
    means = layer_scores(scores).rename({"mean": "value"}).with_columns(less=pl.lit(""))
    gaps = paired_differences(scores).rename({"difference": "value", "baseline": "less"})
    whole = scores["unit"].n_unique()
    gaps = gaps.with_columns(method=pl.lit(GRAPH), undefined=whole - pl.col("units"))
    order = ["stratum", "method", "less", "metric", "value", "low", "high", "units", "undefined"]
    return pl.concat([means.select(order), gaps.select(order)])


def _wide(part: pl.DataFrame) -> pl.DataFrame:
    """A row a unit, with a column for each method and metric, such as `ngram_5/f1`."""
    long = part.unpivot(METRICS, index=["unit", "method"], variable_name="metric")
    named = long.select("unit", "value", column=pl.format("{}/{}", "method", "metric"))
    return named.pivot("column", index="unit", values="value").sort("unit")


def _ends(means: _Values) -> list[pl.Series]:
    return [pl.Series(name, row).fill_nan(None) for name, row in zip(("mean", "low", "high"), means, strict=True)]
