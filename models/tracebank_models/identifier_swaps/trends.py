"""Whether the loss rises with size: correlations of log size with log mean loss, with intervals clustered by function.

Every model counts with the same examples. No trend is claimed from fewer than five models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray
from scipy import stats

from tracebank_models.sample_statistics.bootstrap import bootstrap_means
from tracebank_models.sample_statistics.clustered import LEAST_CLUSTERS, grouped

from .summary import check_columns

LEAST_POINTS: Final = 5
STATISTICS: Final = ("pearson", "spearman", "kendall")
TRENDS_SCHEMA: Final = {
    "condition": pl.String,
    "statistic": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p_value": pl.Float64,
    "models": pl.Int64,
    "examples": pl.Int64,
    "functions": pl.Int64,
    "reason": pl.String,
}
"""`p_value` takes models for independent draws and knows nothing of examples; low and high come from drawing functions,
and examples within them, again. `reason` says why there is no value or no interval."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Points:
    """Losses that all models have: examples by models."""

    sizes: Array
    losses: Array
    functions: NDArray[np.object_]


def loss_trends(scores: pl.DataFrame, draws: int = 2_000, seed: int = 0, confidence: float = 0.95) -> pl.DataFrame:
    """Pearson's, Spearman's and Kendall's (tau-b) correlation under each condition.

    Args:
        scores: Columns model, parameters, condition, example, function, loss; an example that a model has no loss of
            counts for none.
        draws: Bootstrap samples.
        seed: Of the drawing.
        confidence: Of the interval.

    Returns:
        Rows of `TRENDS_SCHEMA`, three for each condition.

    Raises:
        ValueError: A column is missing, there is no row, or a size is not above 0.
    """
    check_columns(scores, "loss")
    if not (scores["parameters"] > 0).fill_null(value=False).all():
        raise ValueError(f"parameters: {scores['parameters'].sort()[0]} is not allowed; allowed: above 0")
    rows = [
        {"condition": condition, "statistic": statistic, **found}
        for (condition,), some in scores.group_by("condition", maintain_order=True)
        for statistic, found in _trends(_points(some), draws, seed, confidence).items()
    ]
    return pl.DataFrame(rows, schema=TRENDS_SCHEMA).with_columns(cs.float().fill_nan(None))


def _points(some: pl.DataFrame) -> _Points:
    models = some.select("model", "parameters").unique().sort("parameters", "model")
    wide = some.pivot("model", index=("example", "function"), values="loss").drop_nulls().sort("example")
    losses = wide.select(models["model"].to_list()).to_numpy()
    return _Points(models["parameters"].cast(pl.Float64).to_numpy(), losses, wide["function"].to_numpy())


def _trends(points: _Points, draws: int, seed: int, confidence: float) -> dict[str, dict[str, object]]:
    examples, models = points.losses.shape
    functions = len(np.unique(points.functions)) if examples else 0
    counts: dict[str, object] = {"models": models, "examples": examples, "functions": functions}
    reason = _reason(points)
    if reason is not None:
        return {name: counts | {"reason": reason} for name in STATISTICS}
    x = np.log(points.sizes)
    whole = correlations(x, np.log(points.losses.mean(axis=0))[None])
    p_values = _p_values(x, np.log(points.losses.mean(axis=0)))
    found = {name: counts | {"value": float(whole[name][0]), "p_value": p_values[name]} for name in STATISTICS}
    if functions < LEAST_CLUSTERS:
        short = f"{functions} functions, an interval needs {LEAST_CLUSTERS}"
        return {name: row | {"reason": short} for name, row in found.items()}
    drawn = correlations(x, _log_means(points, draws, seed, confidence))
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    for name, row in found.items():
        row["low"], row["high"] = map(float, np.nanquantile(drawn[name], ends))
    return found


def _reason(points: _Points) -> str | None:
    """Why there is no trend."""
    examples, models = points.losses.shape
    sizes = len(np.unique(points.sizes))
    if min(models, sizes) < LEAST_POINTS:
        return f"{models} models of {sizes} sizes, a trend needs {LEAST_POINTS}"
    return None if examples else "no example has a loss of every model"


def _log_means(points: _Points, draws: int, seed: int, confidence: float) -> Array:
    """Log mean losses of every model (columns) in each draw: the same functions and examples for all."""
    columns = []
    for losses in points.losses.T:
        numbers, of_sample, counts = grouped(losses, points.functions.astype(str), confidence)
        columns.append(bootstrap_means(numbers, of_sample, counts, draws, seed))
    return np.log(np.stack(columns, axis=1))


def correlations(x: Array, y: Array) -> dict[str, Array]:
    """Correlations of x [points] with each row of y [rows, points]; NaN where all of a row are alike."""
    first, second = np.triu_indices(len(x), 1)
    ranks = stats.rankdata(x), stats.rankdata(y, axis=1)
    return {
        "pearson": _cosine(_centred(x), _centred(y)),
        "spearman": _cosine(_centred(ranks[0]), _centred(ranks[1])),
        "kendall": _cosine(np.sign(x[first] - x[second]), np.sign(y[:, first] - y[:, second])),
    }


def _centred(values: Array) -> Array:
    centred: Array = values - values.mean(axis=-1, keepdims=True)
    return centred


def _cosine(one: Array, many: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = many @ one / (np.linalg.norm(one) * np.linalg.norm(many, axis=1))
    return found


def _p_values(x: Array, y: Array) -> dict[str, float]:
    tests = stats.pearsonr(x, y), stats.spearmanr(x, y), stats.kendalltau(x, y)
    return {name: float(test.pvalue) for name, test in zip(STATISTICS, tests, strict=True)}
