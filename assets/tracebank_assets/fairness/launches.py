"""Running worlds from commands: every seed of every world that is asked for, then the summaries over seeds."""

from collections.abc import Sequence
from typing import Any, Final

import dagster as dg

from tracebank_assets.fairness.keys import RUNS, SUMMARIES, partition_key

RUNS_JOB: Final = dg.define_asset_job(
    "fairness", selection=dg.AssetSelection.assets(RUNS), description="Worlds under every mitigation; backfill seeds."
)
SUMMARIES_JOB: Final = dg.define_asset_job(
    "fairness_summaries", selection=dg.AssetSelection.assets(SUMMARIES), description="What seeds agree on."
)
JOBS = [RUNS_JOB, SUMMARIES_JOB]
"""Jobs of the group."""
DEMO_WORLDS: Final = ("lending_fico", "lending_7")
DEMO: Final[dict[str, Any]] = {
    "mitigations": ["none", "reweighing", "group_thresholds"],
    "people": 2_000,
    "periods": 60,
    "panel": 20,
    "nulls": False,
}
"""Config of the demo's runs."""
DEMO_SEEDS: Final = 1


def run_worlds(
    instance: dg.DagsterInstance, worlds: Sequence[str], seeds: int, config: dict[str, Any] | None = None
) -> None:
    """Run worlds and sum them up.

    Args:
        instance: where runs are recorded.
        worlds: names.
        seeds: the first so many.
        config: of `runs`.

    Raises:
        RunFailed: a step failed; what was made before it stands.
    """
    from tracebank_assets.runs import run_job  # needs the code location, which finds this module

    ops = {RUNS.to_python_identifier(): dict(config)} if config else {}
    for world in worlds:
        for seed in range(seeds):
            run_job(str(RUNS_JOB.name), instance, partition_key=partition_key(world, seed), ops=ops)
    run_job(str(SUMMARIES_JOB.name), instance)
