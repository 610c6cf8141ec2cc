"""Asset `neuron_graphs/scores`: how well graphs say when their units fire, beside look-ups and other units' graphs."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Final

import dagster as dg
import polars as pl
from sqlalchemy import select

from tracebank.progress import advancing, track
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.materialised import Figure
from tracebank_assets.neuron_graphs.catalogue import explaining_tokens, stored_graphs, stored_study
from tracebank_assets.neuron_graphs.keys import GRAPHS, GROUP
from tracebank_assets.neuron_graphs.units import MADE_OF, UNITS, made_of_units
from tracebank_assets.studies import on_gpu
from tracebank_schemas.neuron_graphs import ExplanationComparison
from tracebank_schemas.sparse_autoencoder import FeatureExplanation, FeatureScore

_APART: Final = "no_document_in_both"
_BETTER: Final = "better_than_look_ups"
_NOT_SHUFFLED: Final = "better_than_graphs_of_other_units"
CHECKS: Final = {
    _APART: "No document that graphs are made of is among those that they are tested on.",
    _BETTER: "F1 less that of the look-up by token, paired by unit: its interval is above 0. Else: not shown here.",
    _NOT_SHUFFLED: "F1 less that of the graphs of other units, paired by unit: its interval is above 0.",
}


@artifact(
    GROUP,
    FeatureScore,
    FeatureExplanation,
    ExplanationComparison,
    checks=CHECKS,
    blocking=[_APART],
    not_empty=True,
    deps=[GRAPHS],
    partitions_def=UNITS,
    **on_gpu(),
    kinds={"torch"},
)
def scores(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Scores of the graphs of a partition's units by texts of four kinds, on documents with an odd number.

    Beside them the papers' look-ups by token and by six tokens, top tokens as `sparse_features/explanations` has them,
    and the graphs of other units, which know nothing.
    """
    from tracebank_models.neuron_graphs.layer_scores import compared_methods
    from tracebank_models.neuron_graphs.unit_study import scores_of_units

    with made_of_units(context, stores) as (made, units, read):
        graphs, reasons = stored_graphs(stores.relational, units.name)
        with track(f"scoring graphs of {units.name}", len(graphs)) as advance:
            how, said = stored_study(stores.relational, units.name), explaining_tokens(stores.relational, units.name)
            found = scores_of_units(read, graphs, reasons, said, how, advancing(advance))
        compared = compared_methods(found.scores)
        explained = explanation_rows(units.name, found.texts)
        mine = (FeatureExplanation.dictionary == units.name) & FeatureExplanation.method.in_(
            found.texts["method"].unique().to_list()
        )
        of_mine = FeatureScore.explanation.in_(select(FeatureExplanation.explanation).where(mine))
        made.into(FeatureScore, of_mine).write(_score_rows(found.scores, explained))
        made.into(FeatureExplanation, mine).write(explained)
        made.into(ExplanationComparison, ExplanationComparison.dictionary == units.name).write(
            compared.with_columns(dictionary=pl.lit(units.name))
        )
    figures = {**_figures(compared), MADE_OF: made.inputs["/".join(GRAPHS.path)]}
    return made.result(figures, _results(compared, found.documents_in_both))


def _score_rows(scores: pl.DataFrame, explained: pl.DataFrame) -> pl.DataFrame:
    """Scores as rows of `feature_scores`, of methods that explain units here.

    Graphs of other units explain nothing, and explanations by top tokens are another asset's, which scores them too.
    """
    long = scores.drop("reason", "fired", "called", "hits").unpivot(
        index=["unit", "stratum", "method", "firing_threshold", "tokens"], variable_name="metric"
    )
    keys = ["feature", "method"]
    named = long.rename({"unit": "feature", "firing_threshold": "threshold"})
    columns = ["explanation", "metric", "stratum", "threshold", "value", "tokens"]
    return named.join(explained.select(*keys, "explanation"), on=keys).select(columns)


def explanation_rows(dictionary: str, texts: pl.DataFrame) -> pl.DataFrame:
    """Executable explanations as rows of `feature_explanations`.

    Args:
        dictionary: whose units.
        texts: columns feature, method and text.
    """
    ids = [
        hashlib.sha256(json.dumps([dictionary, *row]).encode()).hexdigest()
        for row in texts.select("feature", "method", "text").iter_rows()
    ]
    empty = [pl.lit("").alias(name) for name in ("explainer", "prompt", "answer", "prompt_hash")]
    return texts.with_columns(
        pl.lit(dictionary).alias("dictionary"),
        pl.Series("explanation", ids),
        *empty,
        pl.lit(datetime.now(UTC)).alias("explained_at"),
    )


def _figures(compared: pl.DataFrame) -> dict[str, Figure]:
    plain = compared.filter(stratum="all", metric="f1", less="").drop_nulls("value")
    return {f"f1_{method}": round(value, 4) for method, value in plain.select("method", "value").iter_rows()}


def _results(compared: pl.DataFrame, in_both: int) -> list[dg.AssetCheckResult]:
    apart = dg.AssetCheckResult(check_name=_APART, passed=in_both == 0, metadata={"documents": in_both})
    return [apart, _above_0(_BETTER, compared, "token_maximum"), _above_0(_NOT_SHUFFLED, compared, "shuffled")]


def _above_0(check: str, compared: pl.DataFrame, less: str) -> dg.AssetCheckResult:
    from tracebank_models.neuron_graphs.evaluation import GRAPH
    from tracebank_models.neuron_graphs.layer_scores import LEAST_UNITS

    row = compared.filter(method=GRAPH, less=less, stratum="all", metric="f1").row(0, named=True)
    passed = row["low"] is not None and row["low"] > 0 and row["units"] >= LEAST_UNITS
    told = {name: row[name] for name in ("value", "low", "high", "units") if row[name] is not None}
    return dg.AssetCheckResult(check_name=check, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=told)
