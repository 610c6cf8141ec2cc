"""Asset `identifier_swaps/scores`: what a model says of both bodies of examples, and of controls, every one kept."""

from typing import Final

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.code_version import code_version
from tracebank_assets.devices import prepared_device, threads_for
from tracebank_assets.evaluation import eval_run, of_model
from tracebank_assets.identifier_swaps.examples import stored_examples
from tracebank_assets.identifier_swaps.keys import EVALUATION, EXAMPLES, GROUP
from tracebank_assets.language_models.catalogue import catalogued, load_catalogued
from tracebank_assets.language_models.keys import NAMED
from tracebank_assets.language_models.named import MODELS
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.studies import on_gpu
from tracebank_schemas.evaluation import EvalRun, EvalSample, EvalSummary
from tracebank_schemas.identifier_swaps import SwapScore
from tracebank_schemas.language_model import LanguageModel

_AGREE: Final = "joint_scores_agree"
_NO_SWAP: Final = "prefers_the_original_without_a_swap"
TOLERANCE: Final = 1e-3
"""Nats by which the score of a body may differ from that of prompt and body less that of the prompt."""
CHECKS: Final = {
    _AGREE: f"Prompt + body less prompt is the body's score in every row, within {TOLERANCE} nats.",
    _NO_SWAP: "Without the line that swaps, the body as it was is mostly the likelier: else the model knows no Python.",
}


class ScoresConfig(dg.Config):
    """Which examples are scored."""

    source: str = Field(default="standard_library", description="Tree or file of the examples.")
    selection: str = Field(default="strict/builtins/clean", description="Rule by which they were chosen.")
    count: int | None = Field(default=None, ge=1, description="First so many by key; empty: all.")
    conditions: list[str] = Field(
        default=["swap", "no_swap", "unrelated", "alias", "twice"], description="The swap, and controls."
    )
    joint: bool = Field(default=True, description="Score prompt + body again as one, to compare; it doubles the work.")


@artifact(
    GROUP,
    SwapScore,
    EvalRun,
    EvalSample,
    EvalSummary,
    checks=CHECKS,
    not_empty=True,
    deps=[NAMED, EXAMPLES],
    partitions_def=MODELS,
    **on_gpu(),
    kinds={"torch"},
)
def scores(context: dg.AssetExecutionContext, config: ScoresConfig, stores: Stores) -> dg.MaterializeResult:
    """Sums of log-likelihoods of both bodies under each condition; rows stand as they come, what is done stays."""
    from tracebank_models.checked_settings import converted
    from tracebank_models.identifier_swaps.scores import SwapScoreSettings, swap_scores

    how = converted(config.model_dump(include={"conditions", "joint"}), SwapScoreSettings, "scores")
    row = catalogued(stores.relational, context.partition_key)
    device = prepared_device(stores.settings, threads_for(row.parameters))
    with materialised(context, stores) as made:
        made.device = str(device)
        asked = stored_examples(stores.relational, config.source, config.selection, config.count)
        with eval_run(made, stores.relational, of_model(row, EVALUATION, code_version(swap_scores), {})) as run:
            done = run.done(SwapScore, "example", "condition")
            loaded = load_catalogued(stores.relational, row.model, device)
            with track(f"swaps under {row.model}", len(asked) * len(how.conditions)) as advance:
                for frame in swap_scores(loaded.model, loaded.tokenizer, asked, how, done):
                    run.keep([(SwapScore, with_training(frame, row.model)), (EvalSample, _samples(frame))])
                    advance(frame.height)
            run.finish(_summary(run.rows(SwapScore), run.rows(EvalSample), row))
    stored = run.rows(SwapScore)
    return made.result(_figures(stored), _results(stored))


def with_training(frame: pl.DataFrame, model: str) -> pl.DataFrame:
    """Scores with whether each module was in the training text; null of models that were not trained here."""
    from tracebank_models.identifier_swaps.ladder import LADDER, in_training_text

    read = [in_training_text(one) if model in LADDER else None for one in frame["module"]]
    return frame.with_columns(trained_on=pl.Series(read, dtype=pl.Boolean))


def _samples(frame: pl.DataFrame) -> pl.DataFrame:
    """Samples of scores: a metric for each condition and measure."""
    measures = ["loss", "normalised_loss", "correct"]
    long = frame.with_columns(pl.col(measures).cast(pl.Float64)).unpivot(
        measures, index=["example", "condition", "function"]
    )
    return long.select(
        pl.col("example").alias("item"),
        pl.format("{}/{}", "condition", "variable").alias("metric"),
        pl.col("function").alias("cluster"),
        "value",
    )


def block_parameters(row: LanguageModel) -> int:
    """Entries of the matrices of a model's blocks: its size without embeddings."""
    return row.layers * row.hidden_size * (4 * row.hidden_size + 2 * row.mlp_size)


def with_functions(scores: pl.DataFrame, samples: pl.DataFrame, row: LanguageModel) -> pl.DataFrame:
    """Scores with what they are summed up by: model, parameters and function."""
    functions = samples.select(pl.col("item").alias("example"), pl.col("cluster").alias("function")).unique()
    told = {"model": pl.lit(row.model), "parameters": pl.lit(block_parameters(row), pl.Int64)}
    return scores.join(functions, on="example").with_columns(**told)


def _summary(scores: pl.DataFrame, samples: pl.DataFrame, row: LanguageModel) -> pl.DataFrame:
    from tracebank_models.identifier_swaps.summary import loss_summary

    found = loss_summary(with_functions(scores, samples, row))
    named = found.rename(
        {"condition": "part", "examples": "items", "functions": "clusters", "without_numbers": "undefined"}
    )
    return named.select("part", "metric", "value", "low", "high", "standard_error", "items", "clusters", "undefined")


def _figures(stored: pl.DataFrame) -> dict[str, Figure]:
    means = stored.group_by("condition").agg(pl.col("loss").mean(), pl.col("correct").mean()).drop_nulls()
    counted: dict[str, Figure] = {"without_numbers": int(stored["reason"].is_not_null().sum())}
    for condition, loss, correct in means.iter_rows():
        counted |= {f"loss_{condition}": round(loss, 4), f"accuracy_{condition}": round(correct, 4)}
    return counted


def _results(stored: pl.DataFrame) -> list[dg.AssetCheckResult]:
    gaps = [
        (
            pl.col(f"joint_{body}_log_likelihood") - pl.col("prompt_log_likelihood") - pl.col(f"{body}_log_likelihood")
        ).abs()
        for body in ("original", "exchanged")
    ]
    largest = stored.select(pl.max_horizontal(gaps).max()).item()
    plain = stored.filter(pl.col("condition") == "no_swap")["correct"].drop_nulls()
    right = int(plain.sum())
    return [
        dg.AssetCheckResult(
            check_name=_AGREE,
            passed=largest is None or largest <= TOLERANCE,
            metadata={"largest_difference": largest} if largest is not None else {"joint": "not scored"},
        ),
        dg.AssetCheckResult(
            check_name=_NO_SWAP,
            passed=2 * right > plain.len(),
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"right": right, "examples": plain.len()},
        ),
    ]
