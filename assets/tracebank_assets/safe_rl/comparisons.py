"""Asset `safe_rl/comparisons`: modes over their seeds, beside the reward alone, and the frontier of return and cost."""

from typing import Final

import dagster as dg
import polars as pl

from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.materialised import materialised
from tracebank_assets.safe_rl.keys import GROUP, RUNS
from tracebank_assets.safe_rl.runs import OWN, stored_runs
from tracebank_schemas.reinforcement_learning import RLComparison

_ENOUGH: Final = "five_seeds_or_no_interval"
CHECKS: Final = {_ENOUGH: "An interval stands for five seeds and more alone."}
BESIDE: Final = "reward"
"""The mode that knows nothing."""
_TASK: Final = ["environment", "knowledge"]


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

    Modes are compared within one knowledge. Pictures of return against violations lie in the home, in folder `safe_rl`.
    """
    from tracebank_models.system3.comparison import compared
    from tracebank_models.system3.frontier import draw_frontier

    with materialised(context, stores, RLComparison, RLComparison.mode.is_not(None)) as made:
        rows = newest(stored_runs(stores.relational))
        found = pl.concat(
            compared(part, BESIDE).with_columns(pl.col("environment").fill_null("all"), knowledge=pl.lit(knowledge))
            for (knowledge,), part in rows.group_by("knowledge", maintain_order=True)
        )
        made.write(found)
        folder = stores.settings.home / GROUP
        own = found.filter(pl.col("knowledge") == OWN, pl.col("environment") != "all")
        pictures = {
            str(name): draw_frontier(part, folder / f"{name}.svg")
            for (name,), part in own.group_by("environment", maintain_order=True)
        }
    few = found.filter(pl.col("seeds") < 5)
    check = dg.AssetCheckResult(
        check_name=_ENOUGH, passed=few["low"].null_count() == few.height, metadata={"of_few_seeds": few.height}
    )
    figures = {f"plot_{name}": dg.MetadataValue.path(str(path)) for name, path in pictures.items()}
    return made.result({"modes": found["mode"].n_unique(), **figures}, [check])


def newest(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each mode and seed the newest run, of environments and knowledge that have the mode that knows nothing.

    Raises:
        dg.Failure: none has it.
    """
    kept = rows.unique([*_TASK, "mode", "seed"], keep="last", maintain_order=True)
    kept = kept.join(kept.filter(mode=BESIDE).select(_TASK).unique(), on=_TASK, how="semi")
    if kept.is_empty():
        raise dg.Failure(f"no environment has runs of mode {BESIDE!r} to compare with; train it in safe_rl/runs")
    return kept
