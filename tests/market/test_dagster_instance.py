"""Both `dagster.yaml`s that come with the platform: runs are recorded where each says."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.engine import make_url

from tracebank.settings import Settings
from tracebank_assets.dagster_home import prepare_dagster_home
from tracebank_assets.runs import run_job

SMALL = {"market__synthetic_day": {"duration_s": 5, "market_order_rate": 1.0}}


def test_the_local_file_is_made_once_and_never_overwritten(home: Settings) -> None:
    folder = prepare_dagster_home(home)
    file = folder / "dagster.yaml"
    assert "telemetry" in file.read_text()
    file.write_text("telemetry:\n  enabled: false\n")
    assert prepare_dagster_home(home) == folder
    assert file.read_text() == "telemetry:\n  enabled: false\n"


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
        assert instance.get_latest_materialization_event(dg.AssetKey(["market", "synthetic_day"])) is not None
    assert not (folder / "history").exists()
