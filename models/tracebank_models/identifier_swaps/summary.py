"""What scores of swaps come to: means of each model under each condition, with intervals clustered by function.

Only functions of frames: where scores are stored is not known here.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from tracebank_models.sample_statistics.clustered import clustered_mean

SUMMARY_SCHEMA: Final = {
    "model": pl.String,
    "parameters": pl.Int64,
    "condition": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "standard_error": pl.Float64,
    "examples": pl.Int64,
    "functions": pl.Int64,
    "without_numbers": pl.Int64,
}
"""A mean over the examples that have numbers, its 95 % interval (null of fewer than five functions), and how many rows
have none."""
METRICS: Final = ("loss", "normalised_loss", "correct")
NEEDED: Final = ("model", "parameters", "condition", "example", "function")


def check_columns(scores: pl.DataFrame, *more: str) -> None:
    """Refuse a frame that lacks columns.

    Raises:
        ValueError: One is missing, or there is no row.
    """
    missing = [name for name in (*NEEDED, *more) if name not in scores.columns]
    if missing or scores.is_empty():
        what = f"column {missing[0]} is missing" if missing else "there is no row"
        raise ValueError(f"scores: {what}; allowed: rows of {', '.join((*NEEDED, *more))}")


def loss_summary(scores: pl.DataFrame) -> pl.DataFrame:
    """Means of each model under each condition, in order of models' sizes.

    Args:
        scores: Rows of `SCORES_SCHEMA`, with columns `model` and `parameters` (without embeddings).

    Returns:
        Rows of `SUMMARY_SCHEMA`, one for each metric.

    Raises:
        ValueError: A column is missing, or there is no row.
    """
    check_columns(scores, *METRICS)
    rows = [
        row
        for (model, parameters, condition), some in scores.group_by("model", "parameters", "condition")
        for row in _means({"model": model, "parameters": parameters, "condition": condition}, some)
    ]
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA).sort("parameters", "model", "condition", "metric")


def _means(keys: dict[str, object], some: pl.DataFrame) -> list[dict[str, object]]:
    kept = some.drop_nulls("loss")
    counts = {
        "examples": kept.height,
        "functions": kept["function"].n_unique(),
        "without_numbers": some.height - kept.height,
    }
    rows = []
    for metric in METRICS:
        row = keys | counts | {"metric": metric}
        if kept.height:
            found = clustered_mean(kept[metric].cast(pl.Float64).to_numpy(), kept["function"].to_numpy())
            row |= {"value": found.mean, "low": found.low, "high": found.high, "standard_error": found.standard_error}
        rows.append(row)
    return rows
