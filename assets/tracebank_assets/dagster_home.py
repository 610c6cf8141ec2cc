"""Dagster's own home: made inside the platform's home on first use, so that CLI runs and the UI share one history."""

import hashlib
import os
from importlib import resources
from pathlib import Path

import dagster as dg

from tracebank.settings import Settings
from tracebank_assets.living_runs import end_dead_runs

POOLS = {"tsdb_benchmark": 1}
"""Most steps of a pool at once, whatever the instance's default is: two runs of the suite would measure each other."""


_EARLIER = {
    "e623ac2667068e0a641fa32e6c402d703a47755b3013572e37f87dd06145d94c": "dagster.local.yaml",
    "a48cac12a6410f2f424050d17c7225fd707f6c1e645718744cbaed8710c7a293": "dagster.postgres.yaml",
}
"""SHA-256 of what earlier versions put into a home, and what takes its place. A change of those files adds to it."""


def prepare_dagster_home(settings: Settings) -> Path:
    """Make Dagster's home if it is not there, and point this process and its children at it.

    `DAGSTER_HOME` is kept where the user has set it; a `dagster.yaml` that the user has changed is never overwritten,
    one that an earlier version made is brought up to date.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    file = home / "dagster.yaml"
    standing = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None
    if name := _EARLIER.get(standing, "") if standing else "dagster.local.yaml":
        text = resources.files("tracebank_assets").joinpath("instance", name).read_text(encoding="utf-8")
        new = file.with_name(f".dagster.yaml.{os.getpid()}")
        new.write_text(text, encoding="utf-8")
        new.replace(file)
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
