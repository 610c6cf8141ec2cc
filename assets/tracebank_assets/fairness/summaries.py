"""Asset `fairness/summaries`: which mitigation narrows which gap over time, at what cost, over seeds; with pictures."""

from pathlib import Path
from typing import Any, Final

import dagster as dg
import polars as pl

from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.fairness.configs import AS_THEY_ARE
from tracebank_assets.fairness.keys import GROUP, RUNS
from tracebank_assets.materialised import materialised
from tracebank_models.fairness_worlds.names import WORLD_NAMES
from tracebank_schemas.fairness import FAIRNESS_PERIODS, FairnessRun, FairnessSummary, StressSensitivity

_SURE: Final = "gaps_have_intervals"
CHECKS: Final = {_SURE: "Every summary has an interval over seeds, or says why not."}
MEASURES: Final = (
    "selection_gap",
    "opportunity_gap",
    "odds_gap",
    "score_gap",
    "repayment_gap",
    "cumulative_opportunity_gap",
    "stress",
    "unrest",
    "utility",
)
_NOTHING: Final = ("none", "greedy")
BY: Final = ("world", "mitigation", "groups", "labels", "every")


@artifact(
    GROUP,
    FairnessSummary,
    StressSensitivity,
    checks=CHECKS,
    not_empty=True,
    deps=[dg.AssetDep(RUNS, partition_mapping=dg.AllPartitionMapping())],
    kinds={"matplotlib"},
)
def summaries(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Means, slopes and ratios of gaps over seeds, how much the stress index owes to its parameters, and pictures.

    The pictures lie in the home, in folder `fairness`.
    """
    from tracebank_assets.fairness.pictures import draw_gaps
    from tracebank_models.fairness_worlds.deepening import over_seeds

    found, tables, paths = [], [], []
    for world in WORLD_NAMES:
        periods = _periods(stores, world)
        if periods.is_empty():
            continue
        found.append(over_seeds(after_burn_in(periods, stores, world), list(BY), list(MEASURES)))
        tables.append(_sensitivity(periods, stores, world))
        paths.append(draw_gaps(periods, stores.settings.home / GROUP / f"{world}.svg"))
    if not found:
        raise dg.Failure("no world was run; materialise fairness/runs first")
    told = pl.concat(found)
    with materialised(context, stores) as made:
        made.into(FairnessSummary, None).write(told)
        made.into(StressSensitivity, None).write(pl.concat(tables))
    bare = told.filter(pl.col("low").is_null() & pl.col("reason").is_null()).height
    check = dg.AssetCheckResult(check_name=_SURE, passed=bare == 0, metadata={"neither": bare})
    return made.result({"worlds": len(found), "pictures": _links(paths)}, [check])


def _periods(stores: Stores, world: str) -> pl.DataFrame:
    """One row a period of every run of a world, with the mean utility over people."""
    batches = [
        pl.from_arrow(batch)
        for seed in _seeds(stores, world)
        for batch in stores.series.read_batches(FAIRNESS_PERIODS, partition={"world": world, "seed": seed})
    ]
    if not batches:
        return pl.DataFrame()
    rows = pl.concat([batch for batch in batches if isinstance(batch, pl.DataFrame)])
    worth = (pl.col("utility").fill_null(0) * pl.col("people")).sum() / pl.col("people").sum()
    rest = [pl.col(name).first() for name in MEASURES if name != "utility"]
    keys = ["run", *BY, "seed", "period"]
    rates = pl.col("true_positive_rate").sort_by("group")
    return rows.group_by(keys).agg(worth.alias("utility"), *rest, rates, pl.col("people").sort_by("group")).sort(keys)


def _seeds(stores: Stores, world: str) -> list[int]:
    return sorted({row["seed"] for row in _runs(stores, world)})


def _runs(stores: Stores, world: str) -> list[dict[str, Any]]:
    from sqlalchemy import select

    with stores.relational.reading() as session:
        return [row.row() for row in session.scalars(select(FairnessRun).where(FairnessRun.world == world))]


def after_burn_in(periods: pl.DataFrame, stores: Stores, world: str) -> pl.DataFrame:
    """Periods in which a model decided."""
    starts = {row["run"]: int(row["settings"]["retraining"]["burn_in"]) for row in _runs(stores, world)}
    return periods.filter(pl.col("period") >= pl.col("run").replace_strict(starts, return_dtype=pl.Int64))


def _sensitivity(periods: pl.DataFrame, stores: Stores, world: str) -> pl.DataFrame:
    """Of the first run of the first mitigation, which is none."""
    import numpy as np

    from tracebank_models.fairness_worlds.stress import StressSettings, sensitivity

    first = next(row for row in _runs(stores, world) if row["groups"] == AS_THEY_ARE and row["mitigation"] in _NOTHING)
    run = periods.filter(run=first["run"]).sort("period")
    rates = np.array(run["true_positive_rate"].to_list(), np.float64)
    people = np.array(run["people"].to_list(), np.float64).mean(0)
    gap = run["odds_gap"].fill_null(run["opportunity_gap"]).fill_null(np.nan).to_numpy()
    table = sensitivity(rates, gap, people / people.sum(), StressSettings(**first["settings"]["stress"]))
    ends = pl.Series(["low", "high"] * (table.height // 2))
    return table.with_columns(world=pl.lit(world), end=ends)


def _links(paths: list[Path]) -> dg.MetadataValue:
    return dg.MetadataValue.md("\n".join(f"* {path}" for path in paths))
