"""What the scores of a run come to: the paper's metrics with intervals, beside those of the unedited model.

Every metric is the mean within a case, then over cases, so that each case counts the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import polars as pl

from tracebank_models.sample_statistics.bootstrap import cluster_bootstrap
from tracebank_models.sample_statistics.clustered import clustered_mean, paired_difference

from .metrics import Kind

UNEDITED: Final = "unedited"


class Metric(NamedTuple):
    """A column of the scores, of prompts of one kind."""

    kind: Kind
    column: str


_NEIGHBORS: Final[Mapping[str, Kind]] = {"": "neighborhood", "+": "neighborhood_plus"}
METRICS: Final[Mapping[str, Metric]] = {
    "ES": Metric("rewrite", "success"),
    "EM": Metric("rewrite", "magnitude"),
    "efficacy_accuracy": Metric("rewrite", "correct"),
    "efficacy_generated": Metric("rewrite", "generated_correct"),
    "PS": Metric("paraphrase", "success"),
    "PM": Metric("paraphrase", "magnitude"),
    "paraphrase_accuracy": Metric("paraphrase", "correct"),
    "paraphrase_generated": Metric("paraphrase", "generated_correct"),
    **{f"NS{plus}": Metric(kind, "success") for plus, kind in _NEIGHBORS.items()},
    **{f"NM{plus}": Metric(kind, "magnitude") for plus, kind in _NEIGHBORS.items()},
    **{f"neighborhood_accuracy{plus}": Metric(kind, "correct") for plus, kind in _NEIGHBORS.items()},
    **{f"NKL{plus}": Metric(kind, "kl") for plus, kind in _NEIGHBORS.items()},
    **{f"NKL{plus}_reversed": Metric(kind, "kl_reversed") for plus, kind in _NEIGHBORS.items()},
    **{f"NKL{plus}_released": Metric(kind, "kl_released") for plus, kind in _NEIGHBORS.items()},
}
"""NKL is KL(unedited || edited) in nats, `_reversed` KL(edited || unedited), `_released` that over the size of the
vocabulary, as the released code of 2305.17553 has it."""
_FIGURES: Final = ("mean", "low", "high", "standard_error", "bootstrap_low", "bootstrap_high", "bootstrap_error")
_CHANGES: Final = ("unedited", "change", "change_low", "change_high")
SUMMARY_SCHEMA: Final = {
    "moment": pl.String,
    "metric": pl.String,
    "cases": pl.Int64,
    "prompts": pl.Int64,
    "undefined": pl.Int64,
    **dict.fromkeys((*_FIGURES, *_CHANGES), pl.Float64),
}
"""A row for each moment and metric. `low` to `standard_error` are cluster-robust, `bootstrap_*` of the bootstrap in two
stages; `unedited` is the mean of the same cases before any edit, `change` the difference to it, paired. `undefined`
counts prompts that a broken model has no finite number for; they are left out."""


def summarise(scores: pl.DataFrame, confidence: float = 0.95, draws: int = 1_000, seed: int = 0) -> pl.DataFrame:
    """Metrics by moment.

    Args:
        scores: Rows of `metrics.SCORES_SCHEMA` of one run; a case and moment stands in it once.
        confidence: Of the intervals.
        draws: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        See `SUMMARY_SCHEMA`. Fewer than five cases have no interval.
    """
    moments = scores["moment"].unique(maintain_order=True)
    before = scores.filter(pl.col("moment") == UNEDITED)
    rows = [
        {"moment": moment, "metric": name, **row}
        for moment in moments
        for name, metric in METRICS.items()
        for row in _summary(scores.filter(pl.col("moment") == moment), before, metric, (confidence, draws, seed))
    ]
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA)


def case_values(scores: pl.DataFrame) -> pl.DataFrame:
    """Every metric of every case: what runs are compared by.

    Args:
        scores: As for `summarise`.

    Returns:
        Columns `case_id`, `moment`, `metric` and `value`, the mean over the case's prompts that have a finite one.
    """
    parts = [
        _values(some, metric)
        .filter(pl.col("value").is_finite())
        .group_by("case_id", maintain_order=True)
        .agg(pl.col("value").mean())
        .select("case_id", pl.lit(moment).alias("moment"), pl.lit(name).alias("metric"), "value")
        for (moment,), some in scores.group_by("moment", maintain_order=True)
        for name, metric in METRICS.items()
    ]
    return pl.concat(parts)


def _summary(
    scores: pl.DataFrame, before: pl.DataFrame, metric: Metric, how: tuple[float, int, int]
) -> Iterator[dict[str, float | int | None]]:
    asked, unedited = _values(scores, metric), _values(before, metric)
    kept = asked.filter(pl.col("value").is_finite())
    if kept.is_empty():
        return
    confidence, draws, seed = how
    means = _case_means(kept)
    mean = clustered_mean(means["value"], means["case_id"], confidence)
    boot = cluster_bootstrap(kept["value"], kept["case_id"], draws, seed, confidence, equal_clusters=True)
    row: dict[str, float | int | None] = {
        "cases": means.height,
        "prompts": kept.height,
        "undefined": asked.height - kept.height,
    }
    figures = (mean.mean, mean.low, mean.high, mean.standard_error, boot.low, boot.high, boot.standard_error)
    row |= dict(zip(_FIGURES, figures, strict=True))
    both = means.join(_case_means(unedited), on="case_id", suffix="_before")
    if both.height:
        change = paired_difference(both["value_before"], both["value"], both["case_id"], confidence)
        figures_before = (both["value_before"].mean(), change.mean, change.low, change.high)
        row |= dict(zip(_CHANGES, figures_before, strict=True))  # type: ignore[arg-type]
    yield row


def _values(scores: pl.DataFrame, metric: Metric) -> pl.DataFrame:
    kept = scores.filter(pl.col("kind") == metric.kind)
    return kept.select("case_id", pl.col(metric.column).cast(pl.Float64).alias("value"))


def _case_means(values: pl.DataFrame) -> pl.DataFrame:
    return values.group_by("case_id", maintain_order=True).agg(pl.col("value").mean())
