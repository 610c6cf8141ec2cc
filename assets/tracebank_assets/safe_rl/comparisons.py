"""Asset `safe_rl/comparisons`: modes over their seeds, beside the reward alone, and the frontier of return and cost."""

from typing import Final

import dagster as dg
import polars as pl

from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.materialised import materialised
from tracebank_assets.safe_rl.keys import GROUP, RUNS
from tracebank_assets.safe_rl.runs import stored_runs
from tracebank_schemas.reinforcement_learning import RLComparison

_ENOUGH: Final = "five_seeds_or_no_interval"
CHECKS: Final = {_ENOUGH: "An interval stands for five seeds and more alone."}
BESIDE: Final = "reward"
"""The mode that knows nothing."""


@artifact(
    GROUP,
    RLComparison,
    checks=CHECKS,
    not_empty=True,
    deps=[dg.AssetDep(RUNS, partition_mapping=dg.AllPartitionMapping())],
    kinds={"matplotlib"},
)
def comparisons(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Interquartile means over seeds with intervals, and how likely a run is lower than one that knows nothing.

    Pictures of return against cost lie in the home, in folder `safe_rl`.
    """
    from tracebank_models.system3.comparison import compared
    from tracebank_models.system3.frontier import draw_frontier

    with materialised(context, stores, RLComparison, RLComparison.mode.is_not(None)) as made:
        rows = newest(stored_runs(stores.relational))
        found = compared(rows, BESIDE).with_columns(pl.col("environment").fill_null("all"))
        made.write(found)
        folder = stores.settings.home / GROUP
        pictures = {
            name: draw_frontier(found.filter(environment=name), folder / f"{name}.svg")
            for name in rows["environment"].unique(maintain_order=True)
        }
    few = found.filter(pl.col("seeds") < 5)
    check = dg.AssetCheckResult(
        check_name=_ENOUGH, passed=few["low"].null_count() == few.height, metadata={"of_few_seeds": few.height}
    )
    figures = {f"plot_{name}": dg.MetadataValue.path(str(path)) for name, path in pictures.items()}
    return made.result({"modes": found["mode"].n_unique(), **figures}, [check])


def newest(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each mode and seed of an environment the newest run, of environments that have the mode that knows nothing.

    Raises:
        dg.Failure: no environment has it.
    """
    kept = rows.unique(["environment", "mode", "seed"], keep="last", maintain_order=True)
    beside = kept.filter(mode=BESIDE)["environment"].unique()
    kept = kept.filter(pl.col("environment").is_in(beside.implode()))
    if kept.is_empty():
        raise dg.Failure(f"no environment has runs of mode {BESIDE!r} to compare with; train it in safe_rl/runs")
    return kept
