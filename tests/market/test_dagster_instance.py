"""Both `dagster.yaml`s that come with the platform: runs are recorded where each says; and runs whose process dies."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from sqlalchemy.engine import make_url

from tracebank.settings import Settings
from tracebank_assets import dagster_home
from tracebank_assets.dagster_home import dagster_instance, prepare_dagster_home
from tracebank_assets.living_runs import HeldRunLauncher, end_dead_runs, file_of, living
from tracebank_assets.runs import run_job

SMALL = {"market__synthetic_day": {"duration_s": 5, "market_order_rate": 1.0}}


def test_the_local_file_is_made_once_and_never_overwritten(home: Settings) -> None:
    folder = prepare_dagster_home(home)
    file = folder / "dagster.yaml"
    assert "telemetry" in file.read_text()
    file.write_text("telemetry:\n  enabled: false\n")
    assert prepare_dagster_home(home) == folder
    assert file.read_text() == "telemetry:\n  enabled: false\n"


def test_a_file_of_an_earlier_version_is_brought_up_to_date(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    file = prepare_dagster_home(home) / "dagster.yaml"
    new = file.read_text()
    file.write_text("nux:\n  enabled: false\n")
    shipped = {hashlib.sha256(file.read_bytes()).hexdigest(): "dagster.local.yaml"}
    monkeypatch.setattr(dagster_home, "_EARLIER", shipped)
    prepare_dagster_home(home)
    assert file.read_text() == new
    assert [path.name for path in file.parent.iterdir()] == ["dagster.yaml"]


def test_what_is_shipped_is_not_told_as_earlier() -> None:
    for file in resources.files("tracebank_assets").joinpath("instance").iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() not in dagster_home._EARLIER


def test_runs_are_monitored_and_may_take_their_time(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_launcher, HeldRunLauncher)
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] > 0
    assert instance.run_monitoring_max_runtime_seconds == 0


def test_runs_are_recorded_beside_the_local_file(home: Settings, instance: dg.DagsterInstance) -> None:
    done = run_job("write_synthetic_day", instance, ops=SMALL)
    assert instance.get_run_by_id(done.run_id) is not None
    assert (home.home / "dagster" / "history").is_dir()


def test_runs_are_recorded_in_postgresql(
    home: Settings, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(postgres_url)
    parts = {"HOST": url.host, "PORT": url.port, "USER": url.username, "PASSWORD": url.password, "DB": url.database}
    for name, value in parts.items():
        monkeypatch.setenv(f"DAGSTER_PG_{name}", str(value))
    folder = tmp_path / "dagster_on_postgresql"
    folder.mkdir()
    text = resources.files("tracebank_assets").joinpath("instance", "dagster.postgres.yaml").read_text()
    (folder / "dagster.yaml").write_text(text)
    monkeypatch.setitem(os.environ, "DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.get() as instance:
        done = run_job("write_synthetic_day", instance, ops=SMALL)
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert isinstance(instance.run_launcher, HeldRunLauncher)
        assert instance.get_latest_materialization_event(dg.AssetKey(["market", "synthetic_day"])) is not None
    assert not (folder / "history").exists()


@contextmanager
def _pooled_run(way: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own that runs `pooled_run`; killed at the end."""
    script = Path(__file__).with_name("pooled_run.py")
    process = subprocess.Popen(
        [sys.executable, script, way],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=script.parent,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _claimed(instance: dg.DagsterInstance) -> list[str]:
    found = instance.event_log_storage.get_concurrency_info("gpu")
    return [slot.run_id for slot in found.claimed_slots] + [step.run_id for step in found.pending_steps]


@pytest.mark.parametrize("way", ["in_process", "executor"])
def test_the_run_of_a_killed_process_fails_and_gives_its_slot_back(
    home: Settings, instance: dg.DagsterInstance, way: str
) -> None:
    with _pooled_run(way) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        [run] = instance.get_runs()
        launcher = instance.run_launcher
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
        end_dead_runs(instance, home)
        assert instance.get_runs()[0].status == dg.DagsterRunStatus.STARTED
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert launcher.check_run_worker_health(run).status == WorkerStatus.FAILED
    assert set(_claimed(instance)) == {run.run_id}
    with dagster_instance(home):
        pass
    assert instance.get_runs()[0].status == dg.DagsterRunStatus.FAILURE
    assert f"(pid {process.pid} on " in [entry.message for entry in instance.all_logs(run.run_id)][-1]
    assert _claimed(instance) == []
    assert not file_of(home, run.run_id).exists()


def test_a_run_of_another_home_is_left_alone(home: Settings, instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(dg.GraphDefinition("empty").to_job())
    end_dead_runs(instance, home)
    assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert not found.is_finished


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (None, None)])
def test_a_wait_for_a_slot_is_told_and_ends_by_a_signal_or_a_slot(
    home: Settings, instance: dg.DagsterInstance, number: signal.Signals | None, code: int | None
) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("gpu", 1)
    assert storage.claim_concurrency_slot("gpu", "ours", "step").is_claimed
    with living(home, "ours"), _pooled_run("in_process") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = process.stderr.readline()
        assert told.startswith("waiting for pool 'gpu': ")
        assert f"(pid {os.getpid()} on " in told
        if number is None:
            storage.free_concurrency_slots_for_run("ours")
            assert process.stdout.readline() == "running\n"
            return
        process.send_signal(number)
        assert process.wait(60) == code
    assert set(_claimed(instance)) == {"ours"}
    [run] = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.FAILURE


def test_a_signal_ends_a_step_and_the_command(instance: dg.DagsterInstance) -> None:
    with _pooled_run("in_process") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert _claimed(instance) == []
    assert instance.get_runs()[0].status == dg.DagsterRunStatus.FAILURE
