"""Rollouts that stand, as datasets of Minari."""

import polars as pl
from sqlalchemy import select

from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.reinforcement_learning import ROLLOUT_STEPS, RLRun


def export_run(settings: Settings, relational: RelationalStore, given: str, dataset: str) -> tuple[int, int]:
    """Write the episodes of a run that are whole; those that its end cut off are left out.

    Args:
        settings: of the home.
        relational: where runs are.
        given: key of the run, or its first characters.
        dataset: name of the dataset.

    Returns:
        Episodes and steps.

    Raises:
        ValueError: no run begins so, or several; it has no whole episode; or the dataset stands already.
        ModuleNotFoundError: there is no `minari`.
    """
    from tracebank_models.reinforcement_learning.environments import make
    from tracebank_models.rollouts.minari_datasets import export
    from tracebank_models.system3 import run as rooms

    query = (
        select(RLRun.run, RLRun.environment, RLRun.mode).where(RLRun.run.startswith(given, autoescape=True)).limit(2)
    )
    with relational.reading() as session:
        found = session.execute(query).all() if given else []
    if len(found) != 1:
        what = "several runs begin so" if found else "no run begins so"
        raise ValueError(f"run: {given!r} is not allowed: {what}; relational.rl_runs has the keys")
    run, name, mode = found[0]
    rows = open_series(settings).read(ROLLOUT_STEPS, partition={"run": run})
    is_whole = (pl.col("terminated") | pl.col("truncated")).any().over("environment", "episode")
    whole = rows.filter(is_whole)
    if whole.is_empty():
        raise ValueError(f"run: {given!r} has no whole episode in series.rollout_steps; train it with --keep training")
    assert rooms, "it registers every environment"
    spaces = make(name, 1)
    export(
        whole, dataset, spaces.single_observation_space, spaces.single_action_space,  # type: ignore[arg-type]
        algorithm_name=mode, description=f"run {run} of tracebank",
    )  # fmt: skip
    return whole.select("environment", "episode").n_unique(), whole.height
