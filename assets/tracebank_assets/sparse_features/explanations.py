"""Asset `sparse_features/explanations`: what features are said to mean, each with its scores, and never without."""

import hashlib
import json
from datetime import UTC, datetime

import dagster as dg
import polars as pl
from sqlalchemy import select

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.materialised import Figure, Materialised
from tracebank_assets.sparse_features import feature_checks as checks
from tracebank_assets.sparse_features.explainer import (
    ENDPOINT,
    EXPLANATION_COLUMNS,
    SCORE_COLUMNS,
    ExplanationsConfig,
    endpoint_explanations,
    explainer_of,
)
from tracebank_assets.sparse_features.held_out import HeldOut, open_held_out
from tracebank_assets.sparse_features.keys import ACTIVATIONS, DICTIONARIES, FEATURES, GROUP
from tracebank_assets.studies import made_of_study, study_artifact
from tracebank_models.reward_probe.study import Study
from tracebank_schemas.sparse_autoencoder import (
    Feature,
    FeatureExplanation,
    FeatureScore,
    FeatureToken,
)

EXECUTABLE = "top_tokens"
"""Method of explanations that can be run."""
_FIRING = {"dictionary": pl.String, "feature": pl.Int32, "fired": pl.Int64, "mean_activation": pl.Float64}
_TOKEN = {
    "dictionary": pl.String,
    "feature": pl.Int32,
    "rank": pl.Int32,
    "token_id": pl.Int32,
    "token": pl.String,
    "value": pl.Float64,
    "lift": pl.Float64,
}


@study_artifact(
    GROUP,
    FeatureExplanation,
    FeatureScore,
    checks=checks.EXPLANATION_CHECKS,
    reads=(),
    deps=[BASE, TUNED, ACTIVATIONS, DICTIONARIES, FEATURES],
)
def explanations(context: dg.AssetExecutionContext, config: ExplanationsConfig, stores: Stores) -> dg.MaterializeResult:
    """An executable explanation of every feature that fires, and the endpoint's of the best matched, with their scores.

    Explanations are made from documents with an even number and scored on the others.
    """
    with made_of_study(context, stores) as (made, study, device):
        held = open_held_out(stores.relational, study, device)
        made.inputs["explainer"] = explainer_of(stores.settings)
        explained, scores = _executable(stores.relational, study, held)
        asked, answered = endpoint_explanations(stores, study, held, config)
        _write(made, study, pl.concat([explained, asked]), pl.concat([scores, answered]))
    means = scores.group_by("metric").agg(pl.col("value").mean()).sort("metric")
    figures: dict[str, Figure] = {metric: round(value or 0.0, 4) for metric, value in means.iter_rows()}
    figures |= {"executable": explained.height, "by_endpoint": asked.height}
    correlations = scores.filter(pl.col("metric") == "correlation")["value"]
    return made.result(figures, checks.explanation_checks(stores, study, correlations))


def _executable(relational: RelationalStore, study: Study, held: HeldOut) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Explanations by top tokens, and their scores."""
    from tracebank_models.features.executable_explanations import explained_by_tokens

    features, tokens = _described(relational, study)
    with track(f"scoring explanations of {study.key}", 1) as advance:
        texts, scores = explained_by_tokens(held.dictionaries, held.streams, features, tokens, held.device, advance)
    none = [pl.lit("").alias(name) for name in ("explainer", "prompt", "answer", "prompt_hash")]
    method = pl.lit(EXECUTABLE).alias("method")
    texts = texts.with_columns(method, *none)
    return _shaped(texts, EXPLANATION_COLUMNS), _shaped(scores.with_columns(method), SCORE_COLUMNS)


def _shaped(frame: pl.DataFrame, schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def _described(relational: RelationalStore, study: Study) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the features asset says of features that fire, and of the tokens that they fire on.

    Raises:
        dg.Failure: it says nothing.
    """
    prefix = f"{study.key}/"
    columns = (Feature.dictionary, Feature.feature, Feature.fired, Feature.mean_activation)
    of_tokens = (
        FeatureToken.dictionary,
        FeatureToken.feature,
        FeatureToken.rank,
        FeatureToken.token_id,
        FeatureToken.token,
        FeatureToken.value,
        FeatureToken.lift,
    )
    with relational.reading() as session:
        firing = Feature.dictionary.startswith(prefix, autoescape=True) & (Feature.fired > 0)
        features = list(map(tuple, session.execute(select(*columns).where(firing))))
        fires_on = FeatureToken.dictionary.startswith(prefix, autoescape=True) & (FeatureToken.role == "fires_on")
        tokens = list(map(tuple, session.execute(select(*of_tokens).where(fires_on))))
    if not features:
        raise dg.Failure(
            f"study {study.key!r} has no feature that fires; materialise sparse_features/features first, and see its"
            " checks"
        )
    return (
        pl.DataFrame(features, schema=_FIRING, orient="row"),
        pl.DataFrame(tokens, schema=_TOKEN, orient="row"),
    )


def _write(made: Materialised, study: Study, explained: pl.DataFrame, scores: pl.DataFrame) -> None:
    """Put explanations and scores in the place of the study's."""
    keys = ["dictionary", "feature", "method"]
    named = explained.with_columns(
        pl.Series("explanation", [_hash(*row) for row in explained.select(*keys, "prompt", "text").iter_rows()])
    )
    scored = scores.join(named.select(*keys, "explanation"), on=keys).select("explanation", "metric", "value", "tokens")
    mine = FeatureExplanation.dictionary.startswith(f"{study.key}/", autoescape=True)
    mine &= FeatureExplanation.method.in_((EXECUTABLE, ENDPOINT))
    of_mine = FeatureScore.explanation.in_(select(FeatureExplanation.explanation).where(mine))
    made.into(FeatureScore, of_mine).write(scored)
    made.into(FeatureExplanation, mine).write(named.with_columns(pl.lit(datetime.now(UTC)).alias("explained_at")))


def _hash(*parts: str | int) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
