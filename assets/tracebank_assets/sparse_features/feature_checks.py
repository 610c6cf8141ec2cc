"""Checks of features and explanations: no dictionary is dead, codes are all there, no explanation goes unscored."""

import dagster as dg
import polars as pl
from sqlalchemy import func, select

from tracebank.resources import Stores
from tracebank_assets.studies import of_study
from tracebank_models.reward_probe.study import Study
from tracebank_schemas.sparse_autoencoder import FEATURE_ACTIVATIONS, FeatureExplanation, FeatureScore

_ALIVE = "dictionaries_alive"
_COUNTED = "codes_as_counted"
_SCORED = "explanations_scored"
_CORRELATED = "explanations_correlate"


FEATURE_CHECKS = {
    _ALIVE: "Every dictionary has a feature that fires on held-out tokens.",
    _COUNTED: "The stored codes of each feature are as many as it fired on the stored tokens, counted apart.",
}
"""Checks of features."""
EXPLANATION_CHECKS = {
    _SCORED: "Every explanation has scores, each on tokens that it was not made from.",
    _CORRELATED: "Executable explanations go with what features do on those tokens: their mean correlation is above 0.",
}
"""Checks of explanations."""


def feature_checks(
    stores: Stores, study: Study, features: pl.DataFrame, fired: pl.DataFrame
) -> list[dg.AssetCheckResult]:
    """What they found.

    Args:
        stores: the stores, after the write.
        study: whose features.
        features: columns dictionary and fired, a row a feature.
        fired: columns dictionary, feature and fired: firings on the stored tokens.
    """
    firings = features.group_by("dictionary").agg(pl.col("fired").sum())
    dead = firings.filter(pl.col("fired") == 0)["dictionary"].sort().to_list()
    stored = _stored(stores, study)
    both = fired.filter(pl.col("fired") > 0).join(stored, on=["dictionary", "feature"], how="full", coalesce=True)
    differing = both.filter(pl.col("fired").fill_null(0) != pl.col("rows").fill_null(0)).sort("dictionary", "feature")
    first = [f"{name} {number}: {rows} rows, fired {count}" for name, number, count, rows in differing.head(5).rows()]
    return [
        dg.AssetCheckResult(
            check_name=_ALIVE,
            passed=not dead,
            metadata={"dead": dead, "dictionaries": firings.height},
        ),
        dg.AssetCheckResult(
            check_name=_COUNTED,
            passed=differing.is_empty(),
            metadata={"differing": first, "rows": int(stored["rows"].sum())},
        ),
    ]


def _stored(stores: Stores, study: Study) -> pl.DataFrame:
    """Columns dictionary, feature and rows of what the series store holds, read in bounded memory."""
    keys = ["dictionary", "feature"]
    counts = [pl.DataFrame(schema={"dictionary": pl.String, "feature": pl.Int32, "rows": pl.Int64})]
    partition = of_study(study)
    for batch in stores.series.read_batches(FEATURE_ACTIVATIONS, partition=partition, columns=keys, ordered=False):
        frame = pl.DataFrame(batch).cast({"dictionary": pl.String})
        counts.append(frame.group_by(keys).agg(pl.len().cast(pl.Int64).alias("rows")))
    return pl.concat(counts).group_by(keys).agg(pl.col("rows").sum())


def explanation_checks(stores: Stores, study: Study, correlations: pl.Series) -> list[dg.AssetCheckResult]:
    """What they found.

    Args:
        stores: the stores, after the write.
        study: whose explanations.
        correlations: of the executable ones; null where it is not defined.
    """
    scored = select(FeatureScore.explanation).where(FeatureScore.tokens > 0)
    mine = FeatureExplanation.dictionary.startswith(f"{study.key}/", autoescape=True)
    with stores.relational.reading() as session:
        every = session.scalar(select(func.count()).where(mine))
        unscored = session.scalar(select(func.count()).where(mine, FeatureExplanation.explanation.not_in(scored)))
    known = correlations.drop_nulls()
    mean = float(known.to_numpy().mean()) if len(known) else 0.0
    return [
        dg.AssetCheckResult(
            check_name=_SCORED,
            passed=unscored == 0,
            metadata={"explanations": every or 0, "unscored": unscored or 0},
        ),
        dg.AssetCheckResult(
            check_name=_CORRELATED,
            passed=mean > 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"mean_correlation": mean, "features": len(correlations), "undefined": correlations.null_count()},
        ),
    ]
