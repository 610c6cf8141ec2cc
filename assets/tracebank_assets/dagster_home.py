"""Dagster's own home: made inside the platform's home on first use, so that CLI runs and the UI share one history."""

import os
from importlib import resources
from pathlib import Path

import dagster as dg

from tracebank.settings import Settings
from tracebank_assets.living_runs import end_dead_runs

POOLS = {"tsdb_benchmark": 1}
"""Most steps of a pool at once, whatever the instance's default is: two runs of the suite would measure each other."""


def prepare_dagster_home(settings: Settings) -> Path:
    """Make Dagster's home if it is not there, and point this process and its children at it.

    `DAGSTER_HOME` is kept where the user has set it; a `dagster.yaml` that stands is never overwritten.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    file = home / "dagster.yaml"
    if not file.exists():
        name = "dagster.local.yaml"
        text = resources.files("tracebank_assets").joinpath("instance", name).read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["TRACEBANK_HOME"] = str(settings.home)
    return home


def dagster_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of the platform's home, its pools limited and the runs of killed processes ended."""
    prepare_dagster_home(settings)
    instance = dg.DagsterInstance.get()
    limit_pools(instance)
    end_dead_runs(instance, settings)
    return instance


def limit_pools(instance: dg.DagsterInstance) -> None:
    """Set the limits of `POOLS`, which `dagster.yaml` has no place for; one that stands, larger or not, is replaced."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    standing = {limit.name: limit.limit for limit in storage.get_pool_limits() if not limit.from_default}
    for name, limit in POOLS.items():
        if standing.get(name) != limit:
            storage.set_concurrency_slots(name, limit)


if __name__ == "__main__":
    with dagster_instance(Settings.load()):
        pass
