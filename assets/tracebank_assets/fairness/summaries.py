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
from tracebank_models.fairness_worlds.names import FACTORS, NOTHING, WORLD_NAMES
from tracebank_schemas.fairness import (
    FAIRNESS_PERIODS,
    FairnessDifference,
    FairnessRun,
    FairnessSummary,
    StressSensitivity,
)

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
BY: Final = ("world", *FACTORS)
"""What runs of several seeds share."""


@artifact(
    GROUP,
    FairnessSummary,
    FairnessDifference,
    StressSensitivity,
    checks=CHECKS,
    not_empty=True,
    deps=[dg.AssetDep(RUNS, partition_mapping=dg.AllPartitionMapping())],
    kinds={"matplotlib"},
)
def summaries(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Gaps over periods and seeds, what each factor changes, what stress owes to its parameters, and pictures.

    The pictures lie in the home, in folder `fairness`.
    """
    from tracebank_assets.fairness.pictures import draw_gaps
    from tracebank_models.fairness_worlds.deepening import by_run, over_seeds
    from tracebank_models.fairness_worlds.differences import differences

    found, apart, tables, paths = [], [], [], []
    for world in WORLD_NAMES:
        told = _runs(stores, world)
        if not told:
            continue
        refuse_unlike(world, told)
        periods = _periods(stores, world, told)
        each = by_run(periods.filter(pl.col("period") >= pl.col("burn_in")), list(BY), list(MEASURES))
        found.append(over_seeds(each, list(BY)).drop("p_value"))
        apart.append(differences(each))
        tables += _sensitivity(periods, told)
        paths.append(draw_gaps(periods, apart[-1], stores.settings.home / GROUP / f"{world}.svg"))
    if not found:
        raise dg.Failure("no world was run; materialise fairness/runs first")
    with materialised(context, stores) as made:
        for table, frames in ((FairnessSummary, found), (FairnessDifference, apart), (StressSensitivity, tables)):
            rows = made.into(table, None)
            for frame in frames:
                if frame.height:
                    rows.write(frame)
    bare = sum(part.filter(pl.col("low").is_null() & pl.col("reason").is_null()).height for part in (*found, *apart))
    check = dg.AssetCheckResult(check_name=_SURE, passed=bare == 0, metadata={"neither": bare})
    return made.result({"worlds": len(found), "pictures": _links(paths)}, [check])


def _runs(stores: Stores, world: str) -> list[dict[str, Any]]:
    """Rows of runs, those without mitigation first, by seed."""
    from sqlalchemy import select

    with stores.relational.reading() as session:
        rows = [row.row() for row in session.scalars(select(FairnessRun).where(FairnessRun.world == world))]
    return sorted(rows, key=lambda row: (row["mitigation"] not in NOTHING, row["seed"], row["run"]))


def refuse_unlike(world: str, told: list[dict[str, Any]]) -> None:
    """Refuse to take runs together that differ in more than their seed.

    Raises:
        dg.Failure: Some do: one line names both seeds and what is not alike.
    """
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in told:
        other = first.setdefault(tuple(row[name] for name in FACTORS), row)
        for name in ("people", "periods", "settings"):
            if row[name] != other[name]:
                raise dg.Failure(
                    f"{world}: {name} of seeds {other['seed']} and {row['seed']} are not alike ({other[name]},"
                    f" {row[name]}); materialise fairness/runs with one config for all"
                )


def _periods(stores: Stores, world: str, told: list[dict[str, Any]]) -> pl.DataFrame:
    """One row a period of every run of a world, with the mean utility over people."""
    batches = [
        pl.from_arrow(batch)
        for seed in sorted({row["seed"] for row in told})
        for batch in stores.series.read_batches(FAIRNESS_PERIODS, partition={"world": world, "seed": seed})
    ]
    settings = pl.DataFrame(
        [(row["run"], row["feedback"], row["settings"]["retraining"]["burn_in"]) for row in told],
        schema=["run", "feedback", "burn_in"],
        orient="row",
    )
    rows = pl.concat([batch for batch in batches if isinstance(batch, pl.DataFrame)]).join(settings, on="run")
    worth = (pl.col("utility").fill_null(0) * pl.col("people")).sum() / pl.col("people").sum()
    rest = [pl.col(name).first() for name in MEASURES if name != "utility"]
    keys = ["run", *BY, "seed", "burn_in", "period"]
    rates = pl.col("true_positive_rate").sort_by("group")
    return rows.group_by(keys).agg(worth.alias("utility"), *rest, rates, pl.col("people").sort_by("group")).sort(keys)


def _sensitivity(periods: pl.DataFrame, told: list[dict[str, Any]]) -> list[pl.DataFrame]:
    """Of the first run without mitigation; none where every run has one."""
    import numpy as np

    from tracebank_models.fairness_worlds.stress import StressSettings, sensitivity

    plain = [row for row in told if row["groups"] == AS_THEY_ARE and row["mitigation"] in NOTHING]
    if not plain:
        return []
    run = periods.filter(run=plain[0]["run"]).sort("period")
    rates = np.array(run["true_positive_rate"].to_list(), np.float64)
    people = np.array(run["people"].to_list(), np.float64).mean(0)
    gap = run["odds_gap"].fill_null(run["opportunity_gap"]).fill_null(np.nan).to_numpy()
    table = sensitivity(rates, gap, people / people.sum(), StressSettings(**plain[0]["settings"]["stress"]))
    ends = pl.Series(["low", "high"] * (table.height // 2))
    return [table.with_columns(world=pl.lit(plain[0]["world"]), end=ends)]


def _links(paths: list[Path]) -> dg.MetadataValue:
    return dg.MetadataValue.md("\n".join(f"* {path}" for path in paths))
