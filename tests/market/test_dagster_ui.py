"""The UI's own door: an asset launched by GraphQL, its rows read back by SQL, and what `dg` makes of the checkout."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tracebank import connect
from tracebank.settings import Settings
from tracebank_assets.dagster_home import prepare_dagster_home
from tracebank_assets.runs import run_job
from tracebank_models.market.synthetic_exchange import SyntheticMarket, write_day

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DAY = date(2024, 8, 8)

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""
STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
ASSET = """
query Asset($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) { ... on Asset { assetMaterializations(limit: 1) {
    partition
    metadataEntries { label ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue } } } } }
}"""


def _environment(settings: Settings) -> dict[str, str]:
    own = {
        "TRACEBANK_HOME": str(settings.home),
        "TRACEBANK_RELATIONAL_URL": settings.relational.render_as_string(hide_password=False),
        "DAGSTER_HOME": str(prepare_dagster_home(settings)),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    return {**os.environ, **own}


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def _ui(environment: dict[str, str], log: Path) -> Iterator[str]:
    port = _free_port()
    command = [BIN / "tracebank", "dev", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield f"http://127.0.0.1:{port}/graphql"
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _ask(url: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    assert "errors" not in found, found
    data: dict[str, Any] = found["data"]
    return data


def _wait_until_up(url: str, log: Path) -> None:
    for _ in range(180):
        try:
            _ask(url, "{ version }", {})
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the UI did not come up:\n{log.read_text()[-4000:]}")


def _wait_for_run(url: str, run_id: str) -> str:
    status = ""
    for _ in range(240):
        status = _ask(url, STATUS, {"id": run_id})["runOrError"]["status"]
        if status in ("SUCCESS", "FAILURE", "CANCELED"):
            break
        time.sleep(0.5)
    return status


def _launch(url: str, *path: str) -> str:
    params = {
        "selector": {
            "repositoryLocationName": "tracebank_assets.definitions",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": list(path)}],
            "assetCheckSelection": None,
        },
        "mode": "default",
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": f"{DAY}|SYNBTC"}]},
    }
    launched = _ask(url, LAUNCH, {"params": params})["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


@pytest.mark.slow
def test_an_asset_launched_in_the_ui_stores_rows_that_sql_reads(
    home: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    environment = _environment(home)
    manifest = write_day(SyntheticMarket(day=DAY, duration_s=60), tmp_path / "recorded")
    run_job("register_files", instance, ops={"market__raw_files": {"paths": [str(tmp_path / "recorded")]}})

    log = tmp_path / "dev.log"
    with _ui(environment, log) as url:
        _wait_until_up(url, log)
        assert _wait_for_run(url, _launch(url, "market", "trades")) == "SUCCESS", log.read_text()[-4000:]
        asset = _ask(url, ASSET, {"key": {"path": ["market", "trades"]}})["assetOrError"]
    shown = asset["assetMaterializations"][0]
    entries = {entry["label"]: entry for entry in shown["metadataEntries"]}
    expected = sum(file.rows["trade"] for file in manifest.files if file.symbol == "SYNBTC")

    assert shown["partition"] == f"{DAY}|SYNBTC"
    assert entries["dagster/row_count"]["intValue"] == expected
    assert {"bytes", "seconds", "rows_per_second", "peak_memory_mib"} <= set(entries)
    found = connect(home).sql("SELECT count() AS n FROM series.trades WHERE symbol = 'SYNBTC'")
    assert found["n"][0] == expected


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The checkout with the `.env` that `make` writes, which names a home that the environment does not."""
    folder, venv = tmp_path / "checkout", tmp_path / "venv"
    folder.mkdir()
    for name in ("pyproject.toml", "constraints.txt", "assets", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (venv / "bin" / "python").chmod(0o755)
    (venv / ".installed").touch()
    home = tmp_path / "home of the checkout"
    plain = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    command = ["make", "-s", ".env", f"VENV={venv}", f"TRACEBANK_HOME={home}"]
    subprocess.run(command, cwd=folder, env=plain, check=True, timeout=60)
    assert str(home) in (folder / ".env").read_text()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [["check", "defs"], ["list", "defs", "--json"]], ids=" ".join)
def test_dg_works_from_the_checkout(settings: Settings, checkout: Path, command: list[str]) -> None:
    done = subprocess.run(
        [BIN / "dg", *command], env=_environment(settings), cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "--json" in command:
        assert {"market/trades", "market/bars"} <= {asset["asset_key"] for asset in json.loads(done.stdout)["assets"]}


@pytest.mark.slow
def test_dg_launches_an_asset_from_the_checkout(home: Settings, checkout: Path) -> None:
    config = {"ops": {"market__synthetic_day": {"config": {"duration_s": 5}}}}
    command = [BIN / "dg", "launch", "--assets", 'key:"market/synthetic_day"', "--config-json", json.dumps(config)]
    done = subprocess.run(
        command, env=_environment(home), cwd=checkout, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in home.home.rglob("SYNBTC_20240808.zst")) == ["SYNBTC_20240808.zst"] * 2
    assert [path.name for path in (checkout.parent / "home of the checkout").iterdir()] == ["dagster"]
