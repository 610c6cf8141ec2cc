"""Asset `identifier_swaps/trends`: whether the loss rises with size, over models that read the same text."""

from typing import Final

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.artifacts import artifact
from tracebank_assets.evaluation import EvalRows, newest_run
from tracebank_assets.identifier_swaps.keys import EVALUATION, GROUP, SCORES
from tracebank_assets.identifier_swaps.scores import with_functions
from tracebank_assets.language_models.catalogue import catalogued
from tracebank_assets.materialised import materialised
from tracebank_schemas.evaluation import EvalSample
from tracebank_schemas.identifier_swaps import SwapScore, SwapTrend

_ENOUGH: Final = "five_sizes_or_no_trend"
CHECKS: Final = {_ENOUGH: "A trend is claimed from five sizes and more alone; of fewer there is a row that says so."}
LADDER: Final = "code"
"""Name of the ladder that is trained here."""


class TrendsConfig(dg.Config):
    """Models of a ladder."""

    ladder: str = Field(default=LADDER, description="Its name in the rows.")
    models: list[str] = Field(default=[], description="Scored models; empty: those of the ladder trained here.")


@artifact(
    GROUP,
    SwapTrend,
    checks=CHECKS,
    not_empty=True,
    deps=[dg.AssetDep(SCORES, partition_mapping=dg.AllPartitionMapping())],
    kinds={"matplotlib"},
)
def trends(context: dg.AssetExecutionContext, config: TrendsConfig, stores: Stores) -> dg.MaterializeResult:
    """Correlations of size and loss under each condition, for functions that were trained on and for others.

    The picture of losses lies in the home, in folder `identifier_swaps`.
    """
    from tracebank_models.identifier_swaps.loss_plot import draw_losses
    from tracebank_models.identifier_swaps.summary import loss_summary
    from tracebank_models.identifier_swaps.trends import loss_trends

    with materialised(context, stores, SwapTrend, SwapTrend.ladder == config.ladder) as made:
        scores = ladder_scores(stores.relational, config.models)
        parts = {"all": scores} | {
            name: part
            for name, read in (("trained_on", True), ("held_out", False))
            if (part := scores.filter(pl.col("trained_on") == read)).height
        }
        told = {"ladder": pl.lit(config.ladder)}
        frames = [loss_trends(part).with_columns(**told, functions_of=pl.lit(name)) for name, part in parts.items()]
        made.write(pl.concat(frames))
        summary = loss_summary(scores)
        path = draw_losses(summary, stores.settings.home / GROUP / f"{config.ladder}.svg")
    models = scores["model"].n_unique()
    told_of = pl.concat(frames).filter(functions_of="all", condition="swap")
    figures = {
        f"{row['statistic']}_swap": round(row["value"], 3) for row in told_of.iter_rows(named=True) if row["value"]
    }
    check = dg.AssetCheckResult(
        check_name=_ENOUGH,
        passed=models >= 5 or told_of["value"].null_count() == told_of.height,
        metadata={"models": models},
    )
    return made.result(
        {"models": models, "plot": dg.MetadataValue.path(str(path)), "losses": _table(summary), **figures}, [check]
    )


def ladder_scores(relational: RelationalStore, models: list[str]) -> pl.DataFrame:
    """Scores of the newest run of each model, with model, parameters and function.

    Raises:
        dg.Failure: none was scored, or one that was asked for was not.
    """
    from tracebank_models.identifier_swaps.ladder import LADDER as PLANS

    found = []
    for name in models or PLANS:
        run = newest_run(relational, EVALUATION, name)
        if run is None and models:
            raise dg.Failure(f"models: {name!r} has no scores; materialise identifier_swaps/scores for it first")
        if run is not None:
            rows = EvalRows(relational, run.run)
            found.append(with_functions(rows.rows(SwapScore), rows.rows(EvalSample), catalogued(relational, name)))
    if not found:
        raise dg.Failure("no model has scores; materialise identifier_swaps/scores first")
    return pl.concat(found, how="vertical_relaxed")


def _table(summary: pl.DataFrame) -> dg.MetadataValue:
    """Losses by model and condition."""
    rows = summary.filter(pl.col("metric") == "loss").pivot("condition", index=["model", "parameters"], values="value")
    lines = [" | ".join(rows.columns), " | ".join("---" for _ in rows.columns)]
    lines += [" | ".join(f"{one:.2f}" if isinstance(one, float) else str(one) for one in row) for row in rows.rows()]
    return dg.MetadataValue.md("\n".join(f"| {line} |" for line in lines))
