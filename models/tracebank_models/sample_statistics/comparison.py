"""Two runs over the same items: how far apart they are, whether that is chance, and which items flipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy import stats

from .clustered import paired_difference

COLUMNS: Final = ("item", "metric", "cluster", "value")
_COUNTS = dict.fromkeys(("items", "clusters", "only_a", "only_b", "undefined"), pl.Int64)
_NUMBERS = ("mean_a", "mean_b", "difference", "low", "high", "standard_error", "p_value", "mcnemar_p_value")
_SCHEMA: Final = {"metric": pl.String, **_COUNTS, **dict.fromkeys(_NUMBERS, pl.Float64), "higher": pl.String}


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's exact test on items that are right or wrong under each of two runs."""

    only_first: int
    """Items that are right under the first alone."""
    only_second: int
    p_value: float
    """Two-sided; 1 where no item differs."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """What two runs say about the items that both have."""

    metrics: pl.DataFrame
    """By metric: `metric`, `items`, `clusters`, `only_a` and `only_b` (items that the other lacks), `undefined` (shared
    items without a value in either, left out), `mean_a`, `mean_b`, `difference` (b - a), `low`, `high`,
    `standard_error`, `p_value` (paired, clustered; Student's t), `mcnemar_p_value` (of metrics that are 0 or 1) and
    `higher`: "a" or "b" where the interval leaves out 0, else null."""
    flips: pl.DataFrame
    """Items of metrics that are 0 or 1 whose value changed: `item`, `metric`, `cluster`, `value_a`, `value_b`."""


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's test of the same items under two runs, exact (binomial).

    Args:
        first: 0 or 1, or bool, one an item.
        second: The same items.

    Raises:
        ValueError: A value is neither 0 nor 1, or the two are not as many.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != two.shape:
        raise ValueError(f"second: {len(two)} values are not allowed; allowed: as many as in first, {len(one)}")
    for name, values in (("first", one), ("second", two)):
        wrong = values[(values != 0) & (values != 1)]
        if len(wrong):
            raise ValueError(f"{name}: {wrong[0]} is not allowed; allowed: 0 or 1")
    only = int((one > two).sum()), int((two > one).sum())
    return McNemar(*only, float(stats.binomtest(min(only), sum(only)).pvalue) if sum(only) else 1.0)


def compare_runs(a: pl.DataFrame, b: pl.DataFrame, confidence: float = 0.95) -> RunComparison:
    """Compare two runs item by item, every metric that both have.

    Args:
        a: Columns `item`, `metric`, `cluster`, `value`; a row for each item and metric.
        b: The same of the other run.
        confidence: Of the intervals.

    Raises:
        ValueError: A column is missing, an item has a metric twice, or no item has the same metric in both.
    """
    for name, run in (("a", a), ("b", b)):
        _check(name, run)
    both = _joined(a, b)
    if not both["shared"].any():
        raise ValueError(
            f"b: no item of its {b.height} rows has a metric that it has in a, of {a.height} rows; allowed: two runs"
            " over the same items"
        )
    parts = both.partition_by("metric", as_dict=True, maintain_order=True)
    rows = [_compared(str(metric), part, confidence) for (metric,), part in parts.items() if part["shared"].any()]
    flips = pl.concat([_flips(part) for part in parts.values()])
    return RunComparison(pl.DataFrame(rows, schema=_SCHEMA), flips)


def _check(name: str, run: pl.DataFrame) -> None:
    missing = [column for column in COLUMNS if column not in run.columns]
    if missing:
        raise ValueError(f"{name}: column {missing[0]} is missing; allowed: {', '.join(COLUMNS)}")
    twice = run.filter(pl.struct("item", "metric").is_duplicated())
    if twice.height:
        item, metric = twice.row(0, named=True)["item"], twice.row(0, named=True)["metric"]
        raise ValueError(f"{name}: item {item!r} has metric {metric!r} more than once; allowed: one row each")


def _joined(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """A row for each item and metric of either run; an item without a cluster is one of its own."""
    runs = [
        run.select(
            "item",
            "metric",
            pl.coalesce(pl.col("cluster").cast(pl.String), pl.col("item").cast(pl.String)).alias("cluster"),
            pl.col("value").cast(pl.Float64).fill_nan(None).alias(f"value_{name}"),
            pl.lit(value=True).alias(f"in_{name}"),
        )
        for name, run in (("a", a), ("b", b))
    ]
    both = runs[0].join(runs[1], on=["item", "metric"], how="full", coalesce=True)
    here = [pl.col(f"in_{name}").fill_null(value=False) for name in "ab"]
    defined = pl.col("value_a").is_not_null() & pl.col("value_b").is_not_null()
    cluster = pl.coalesce("cluster", "cluster_right")
    return both.with_columns(*here, cluster=cluster, shared=here[0] & here[1], defined=defined).sort("metric", "item")


def _compared(metric: str, part: pl.DataFrame, confidence: float) -> dict[str, object]:
    shared = part.filter("shared")
    kept = shared.filter("defined")
    row: dict[str, object] = {
        "metric": metric,
        "items": kept.height,
        "clusters": kept["cluster"].n_unique(),
        "only_a": part.filter(pl.col("in_a") & ~pl.col("in_b")).height,
        "only_b": part.filter(pl.col("in_b") & ~pl.col("in_a")).height,
        "undefined": shared.height - kept.height,
        "mean_a": kept["value_a"].mean(),
        "mean_b": kept["value_b"].mean(),
    }
    return row | (_tests(kept, confidence) if kept.height else {})


def _tests(kept: pl.DataFrame, confidence: float) -> dict[str, object]:
    values = kept["value_a"].to_numpy(), kept["value_b"].to_numpy()
    gap = paired_difference(*values, kept["cluster"].to_numpy(), confidence)
    higher = None
    if gap.low is not None and gap.high is not None:
        higher = "b" if gap.low > 0 else "a" if gap.high < 0 else None
    return {
        "difference": gap.mean,
        "low": gap.low,
        "high": gap.high,
        "standard_error": gap.standard_error,
        "p_value": gap.p_value(),
        "mcnemar_p_value": mcnemar(*values).p_value if _is_binary(kept) else None,
        "higher": higher,
    }


def _is_binary(kept: pl.DataFrame) -> bool:
    return bool(kept.select(pl.col("value_a", "value_b").is_in([0.0, 1.0]).all()).row(0) == (True, True))


def _flips(part: pl.DataFrame) -> pl.DataFrame:
    kept = part.filter("shared", "defined")
    changed = kept.filter(pl.col("value_a") != pl.col("value_b")) if _is_binary(kept) else kept.clear()
    return changed.select("item", "metric", "cluster", "value_a", "value_b")
