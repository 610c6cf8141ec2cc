"""Asset `identifier_swaps/answers`: what a model behind an endpoint says that is shown both programs."""

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.code_version import code_version
from tracebank_assets.evaluation import EvalRows, Evaluated, eval_run
from tracebank_assets.identifier_swaps.examples import stored_examples
from tracebank_assets.identifier_swaps.keys import CHAT, EXAMPLES, GROUP
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.sparse_features.explainer import explainer_of
from tracebank_schemas.evaluation import EvalRun, EvalSample, EvalSummary
from tracebank_schemas.identifier_swaps import SwapAnswer


class AnswersConfig(dg.Config):
    """Which examples are asked about."""

    source: str = Field(default="standard_library", description="Tree or file of the examples.")
    selection: str = Field(default="strict/builtins/clean", description="Rule by which they were chosen.")
    count: int | None = Field(default=None, ge=1, description="First so many by key; empty: all.")
    at_once: int = Field(default=4, ge=1, description="Questions that are on their way at the same time.")


@artifact(GROUP, SwapAnswer, EvalRun, EvalSample, EvalSummary, not_empty=True, deps=[EXAMPLES], kinds={"openai"})
def answers(context: dg.AssetExecutionContext, config: AnswersConfig, stores: Stores) -> dg.MaterializeResult:
    """Answers of the endpoint of the settings (`TRACEBANK_EXPLAINER_URL`) about examples, in both orders."""
    from tracebank_models.chat_endpoint import ChatEndpoint
    from tracebank_models.identifier_swaps.chat import ORDERS, chat_answers

    model, url = explainer_of(stores.settings), stores.settings.explainer_url
    if not model:
        raise dg.Failure("TRACEBANK_EXPLAINER_URL and TRACEBANK_EXPLAINER_MODEL are empty; name an endpoint to ask")
    asked = stored_examples(stores.relational, config.source, config.selection, config.count)
    evaluated = Evaluated(CHAT, model, "", "", "", code_version(chat_answers), {"url": url})
    with materialised(context, stores) as made, eval_run(made, stores.relational, evaluated) as run:
        done = run.done(SwapAnswer, "example", "order")
        with track(f"asking {model}", len(asked) * len(ORDERS)) as advance:
            try:
                for frame in chat_answers(ChatEndpoint(url, model), asked, done, config.at_once):
                    run.keep([(SwapAnswer, frame), (EvalSample, _samples(frame))])
                    advance(frame.height)
            except ValueError as error:
                raise dg.Failure(f"{error}; what was answered before stands") from None
        run.finish(_summary(run))
    return made.result(_figures(run))


def _samples(frame: pl.DataFrame) -> pl.DataFrame:
    measures = ["correct", "valid"]
    long = frame.with_columns(pl.col(measures).cast(pl.Float64)).unpivot(
        measures, index=["example", "order", "function"]
    )
    return long.select(
        pl.col("example").alias("item"),
        pl.format("{}/{}", "order", "variable").alias("metric"),
        pl.col("function").alias("cluster"),
        "value",
    )


def _summary(run: EvalRows) -> pl.DataFrame:
    """Shares right and valid in each order; an invalid answer is wrong."""
    from tracebank_models.sample_statistics.clustered import clustered_mean

    rows = []
    for (metric,), part in run.rows(EvalSample).group_by("metric", maintain_order=True):
        found = clustered_mean(part["value"].to_numpy(), part["cluster"].to_numpy())
        order, _, measure = str(metric).partition("/")
        ends = {"value": found.mean, "low": found.low, "high": found.high, "standard_error": found.standard_error}
        counts = {"items": part.height, "clusters": found.clusters, "undefined": 0}
        rows.append({"part": order, "metric": measure, **ends, **counts})
    return pl.DataFrame(rows, infer_schema_length=None)


def _figures(run: EvalRows) -> dict[str, Figure]:
    found = run.rows(EvalSummary)
    return {
        f"{part}_{metric}": round(value, 4) for part, metric, value in found.select("part", "metric", "value").rows()
    }
