"""Checks of trained dictionaries: whether they learned, and whether those of other first weights found the same."""

from collections.abc import Callable
from typing import Final

import dagster as dg
import polars as pl

from tracebank_models.sparse_autoencoder.plan import DictionaryPlan

_AGREE = "seeds_agree"
_MOVED = "moved_from_start"
_SPARSE = "l0_at_most_a_tenth"
_FVU = "fvu_below_1"
_DEAD = "dead_share"
LEAST_AGREEMENT: Final = 0.2
"""Of PW-MCC less its chance."""
MOST_LIKE_START: Final = 0.7
"""Mean cosine to the first weights above which a dictionary has not learned."""
MOST_ACTIVE: Final = 0.1
"""Share of a dictionary's features that fire on a token."""
MOST_DEAD: Final = 0.5

DICTIONARY_CHECKS = {
    _AGREE: "Small dictionaries, which probes read, find the same features from other first weights:"
    f" their PW-MCC is more than {LEAST_AGREEMENT} above chance, on average over the sites of each model.",
    _MOVED: f"No dictionary of the plan is like its first weights: a mean cosine of at most {MOST_LIKE_START}.",
    _SPARSE: f"At most {MOST_ACTIVE:.0%} of the features of any dictionary of the plan fire on a token.",
    _FVU: "Every dictionary explains more of held-out activations than their mean does.",
    _DEAD: f"At most {MOST_DEAD:.0%} of any dictionary's features never fire.",
}
"""Checks of dictionaries."""
BLOCKING: Final = (_AGREE, _SPARSE)
"""Features that chance would give as well are no features, and nothing is made of them. Dictionaries of normal noise
can agree beyond chance where they are not sparse: the two stand together."""


def dictionary_checks(
    plan: DictionaryPlan, metrics: pl.DataFrame, similarities: pl.DataFrame
) -> list[dg.AssetCheckResult]:
    """What they found.

    Args:
        plan: what was trained; what only a longer one can learn is a warning of a demonstration's.
        metrics: rows of `metrics.METRIC_SCHEMA`.
        similarities: rows of `comparisons.SIMILARITY_SCHEMA`.
    """
    of_plan = metrics.filter(pl.col("dictionary").str.contains(f"-{plan.architecture}-", literal=True))
    return [
        _agreement(plan, similarities),
        _worst(_MOVED, of_plan, "start_cosine", lambda value: value <= MOST_LIKE_START, plan),
        _worst(_SPARSE, of_plan, "active_share", lambda value: value <= MOST_ACTIVE, plan),
        _worst(_FVU, metrics, "fvu", lambda value: value < 1),
        _worst(_DEAD, metrics, "dead_share", lambda value: value <= MOST_DEAD, severity=dg.AssetCheckSeverity.WARN),
    ]


def _agreement(plan: DictionaryPlan, similarities: pl.DataFrame) -> dg.AssetCheckResult:
    """The worse of the two models, on average over its sites; sites that are below on their own are named."""
    small = similarities.filter(
        pl.col("comparison") == "seed", pl.col("dictionary").str.contains(f"-small-{plan.architecture}-", literal=True)
    )
    parts = pl.col("dictionary").str.extract_groups(r"^(?<side>\w+?)-(?<site>.+)-small-").struct
    site = pl.concat_str(parts.field("side"), parts.field("site"), separator="/").alias("site")
    sites = small.group_by(parts.field("side"), site).agg(pl.col("mmcs", "chance", "difference").mean())
    means = sites.group_by("side").agg(pl.col("mmcs", "chance", "difference").mean()).sort("difference", "side")
    if means.is_empty():
        return _result(_AGREE, False, plan, {"pairs": 0, "way_out": "train 2 initialisations or more"})
    side, alike, chance, difference = means.row(0)
    below = sites.filter(pl.col("difference") <= LEAST_AGREEMENT).sort("site")["site"].to_list()
    figures: dict[str, str | float] = {"worst": side, "pw_mcc": alike, "chance": chance, "difference": difference}
    figures["sites_below"] = ", ".join(below) or "none"
    return _result(_AGREE, difference > LEAST_AGREEMENT, plan, figures)


def _worst(
    check: str,
    metrics: pl.DataFrame,
    metric: str,
    holds: Callable[[float], bool],
    plan: DictionaryPlan | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Whether a figure holds for every dictionary; with a plan, as far as the plan is long enough for it."""
    values = metrics.filter(pl.col("metric") == metric).sort("value", descending=True, nulls_last=False)
    name, value = values.select("dictionary", "value").row(0)
    return _result(check, value is not None and holds(value), plan, {"worst": name, metric: str(value)}, severity)


def _result(
    check: str,
    passed: bool,
    plan: DictionaryPlan | None,
    figures: dict[str, str | float],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """A check's result; a demonstration passes none that asks for learning, and none of its failures is an error."""
    if plan is None or not plan.demonstration:
        return dg.AssetCheckResult(check_name=check, passed=passed, severity=severity, metadata=figures)
    return dg.AssetCheckResult(
        check_name=check,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"At this size it cannot be met: {plan.epochs} pass over the activations of a demonstration.",
        metadata=figures,
    )
