"""Executors by name: Dagster's own, imported when they are chosen, and one line where the extra is missing; pools."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec

import dagster as dg
import pytest

from tracebank.settings import EXECUTORS, Settings, SettingsError
from tracebank_assets.dagster_home import POOLS, limit_pools
from tracebank_assets.definitions import build_defs
from tracebank_assets.executors import executor_named
from tracebank_assets.groups import definitions_found

EXTRAS = {"docker": "dagster_docker", "k8s": "dagster_k8s", "celery": "dagster_celery", "ray": "dagster_ray"}


def test_every_name_is_an_executor_or_says_which_extra_it_needs() -> None:
    for name in EXECUTORS:
        module = EXTRAS.get(name)
        if module is None or find_spec(module) is not None:
            assert isinstance(executor_named(name), dg.ExecutorDefinition)
            continue
        with pytest.raises(
            SettingsError, match=rf"^TRACEBANK_EXECUTOR: '{name}' needs {module}.*pip install"
        ) as caught:
            executor_named(name)
        assert "\n" not in str(caught.value)


def test_the_setting_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = build_defs().executor
    assert isinstance(executor, dg.ExecutorDefinition)
    assert executor.name == "in_process"
    monkeypatch.setenv("TRACEBANK_EXECUTOR", "multiprocess")
    executor = build_defs().executor
    assert isinstance(executor, dg.ExecutorDefinition)
    assert executor.name == "multiprocess"
    monkeypatch.setenv("TRACEBANK_EXECUTOR", "threads")
    with pytest.raises(SettingsError, match="'threads' is not accepted; use in_process"):
        build_defs()


def test_a_broken_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("tracebank_assets.executors.import_module", missing)
    with pytest.raises(SettingsError, match=r"needs dagster_ray.*pip install 'tracebank\[ray\]'"):
        executor_named("ray")


def test_the_definitions_import_none_of_the_extras() -> None:
    modules = [*EXTRAS.values(), "ray", "duckdb"]
    script = f"import sys, tracebank_assets.definitions; print([m for m in {modules} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.strip() == "[]"


def test_steps_of_a_run_are_computed_in_processes_of_their_own(
    home: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in home.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRACEBANK_EXECUTOR", "multiprocess")
    import tracebank_assets.definitions as definitions

    try:
        importlib.reload(definitions)
        job = dg.reconstructable(synthetic_day_job)
        with dg.execute_job(job, instance, run_config=_SMALL) as done:
            assert done.success
            started = [event for event in done.all_events if event.event_type_value == "STEP_WORKER_STARTED"]
            assert len(started) == 1
            assert instance.get_latest_materialization_event(dg.AssetKey(["market", "synthetic_day"])) is not None
    finally:
        monkeypatch.undo()
        importlib.reload(definitions)


_SMALL = {"ops": {"market__synthetic_day": {"config": {"duration_s": 5, "market_order_rate": 1.0}}}}


def synthetic_day_job() -> dg.JobDefinition:
    """For the child process, which finds it by this module's name."""
    from tracebank_assets.definitions import defs

    return defs.resolve_job_def("write_synthetic_day")


def test_two_steps_of_a_limited_pool_never_run_at_once(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    for name, limit in POOLS.items():
        storage.set_concurrency_slots(name, limit + 3)
    limit_pools(instance)
    assert {limit.name: limit.limit for limit in storage.get_pool_limits()} == POOLS
    assert storage.claim_concurrency_slot("tsdb_benchmark", "one", "step").is_claimed
    assert not storage.claim_concurrency_slot("tsdb_benchmark", "two", "step").is_claimed
    storage.free_concurrency_slots_for_run("one")
    assert storage.claim_concurrency_slot("tsdb_benchmark", "two", "step").is_claimed


def test_runs_of_the_suite_name_the_limited_pool() -> None:
    pools = {key.to_user_string(): asset.op.pool for asset in definitions_found()["assets"] for key in asset.keys}
    assert pools["tsdb_benchmark/runs"] in POOLS
