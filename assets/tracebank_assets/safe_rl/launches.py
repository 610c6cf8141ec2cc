"""Training policies from commands: a run for each seed, then the comparison."""

from collections.abc import Sequence
from typing import Any, Final

import dagster as dg

from tracebank_assets.safe_rl.keys import COMPARISONS, RUNS

RUNS_JOB: Final = dg.define_asset_job(
    "safe_rl", selection=dg.AssetSelection.assets(RUNS), description="Policies of one environment and seed."
)
COMPARISONS_JOB: Final = dg.define_asset_job(
    "safe_rl_comparisons", selection=dg.AssetSelection.assets(COMPARISONS), description="Modes over their seeds."
)
JOBS = [RUNS_JOB, COMPARISONS_JOB]
"""Jobs of the group."""
DEMO: Final[dict[str, dict[str, Any]]] = {
    "CartPole-v1": {"modes": ["reward", "deficit", "penalty", "random"], "learner": {"steps": 40_000}},
    "PointGoal1-v0": {
        "modes": ["reward", "penalty", "do_nothing"],
        "learner": {"steps": 65_536, "environments": 64, "rollout": 128},
        "episodes": 8,
        "steps_of": "evaluation",
    },
}
"""What the demo trains: briefly, to be seen and not to be believed."""


def train_policies(
    instance: dg.DagsterInstance, environment: str, seeds: Sequence[int], config: dict[str, Any] | None = None
) -> None:
    """Train policies, and compare them with all that stand.

    Args:
        instance: where runs are recorded.
        environment: name.
        seeds: of the trainings.
        config: of `runs`.

    Raises:
        RunFailed: a step failed; what was made before it stands.
    """
    from tracebank_assets.runs import run_job  # needs the code location, which finds this module

    ops = {RUNS.to_python_identifier(): dict(config)} if config else {}
    for seed in seeds:
        run_job(str(RUNS_JOB.name), instance, partition_key=f"{environment}/{seed}", ops=ops)
    run_job(str(COMPARISONS_JOB.name), instance)
