"""What the doctor tells of the suite's engines: every one, whatever stands at its address, and soon."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracebank.cli.inspection import Finding
from tracebank.settings import Settings
from tracebank_benchmarks.tsdb import inspection, servers
from tracebank_benchmarks.tsdb.engine import EngineState
from tracebank_benchmarks.tsdb.engines import ENGINES

URLS = {
    "TRACEBANK_BENCH_CLICKHOUSE_URL": "clickhouse://me:hunter2@{}/",
    "TRACEBANK_BENCH_POSTGRES_URL": "postgresql+psycopg://me:hunter2@{}/x",
    "TRACEBANK_BENCH_INFLUXDB1_URL": "influxdb://{}/",
    "TRACEBANK_BENCH_INFLUXDB2_URL": "http://{}/",
    "TRACEBANK_BENCH_INFLUXDB2_TOKEN": "hunter2",
    "TRACEBANK_BENCH_INFLUXDB3_URL": "http://{}/",
    "TRACEBANK_BENCH_KDB_URL": "kdb://{}/",
}
SERVERS = {"clickhouse", "postgresql", "influxdb1", "influxdb2", "influxdb3", "kdb"}


def _found(settings: Settings) -> dict[str, Finding]:
    return {entry.name.removeprefix("engine "): entry for entry in inspection.findings(settings)}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


def test_every_engine_is_named_with_its_licence_and_what_to_do() -> None:
    found = _found(Settings.load())
    assert list(found) == list(ENGINES)
    assert all(entry.licence and entry.section == "engines" for entry in found.values())
    for name in ("clickhouse_embedded", "duckdb", "polars"):
        assert found[name].state == "ok"
        assert found[name].version
        assert found[name].edition
    for name in SERVERS - {"kdb"} | {"timescaledb"}:
        assert found[name].state == "missing"
        assert servers.names(name)[0] in found[name].advice


@pytest.mark.timeout(60)
def test_servers_that_never_answer_are_not_waited_for_and_without_passwords(
    silent_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, url in URLS.items():
        monkeypatch.setenv(name, url.format(f"127.0.0.1:{silent_port}"))
    found = _found(Settings.load())
    assert {name for name, entry in found.items() if entry.state == "broken"} == SERVERS
    assert all("hunter2" not in entry.detail + entry.advice and "\n" not in entry.detail for entry in found.values())


def test_an_engine_that_raises_or_hangs_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def state(name: str) -> EngineState:
        if name == "kdb":
            raise MemoryError("a frame of 9 TB")
        if name == "clickhouse":
            time.sleep(1.0)
        return EngineState(True, "1.0", "made up")

    monkeypatch.setattr(inspection, "state", state)
    monkeypatch.setattr(inspection, "SECONDS", 0.2)
    found = _found(Settings.load())
    assert found["kdb"].detail == "MemoryError: a frame of 9 TB"
    assert found["clickhouse"].detail == "did not answer within 0.2 s"
    assert {name for name, entry in found.items() if entry.state == "ok"} == set(ENGINES) - {"kdb", "clickhouse"}


def test_the_suites_variables_are_read_from_the_env_file_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "TRACEBANK_BENCH_INFLUXDB1_URL=influxdb://file/\nTRACEBANK_BENCH_KDB_URL=kdb://file/\n"
        "TRACEBANK_BENCH_POSTGRES_URL=\nTRACEBANK_BENCH_NONSENSE=1\nPATH=/nowhere\n"
    )
    monkeypatch.setitem(Settings.model_config, "env_file", str(file))
    monkeypatch.setattr(os, "environ", {"TRACEBANK_BENCH_KDB_URL": "kdb://set/"})
    servers.read_env_file()
    assert os.environ == {
        "TRACEBANK_BENCH_KDB_URL": "kdb://set/",
        "TRACEBANK_BENCH_INFLUXDB1_URL": "influxdb://file/",
    }


def test_every_variable_that_the_suite_reads_is_declared() -> None:
    import re

    root = Path(inspection.__file__).parent
    read = {
        name for file in root.rglob("*.py") for name in re.findall(r"TRACEBANK_BENCH_[A-Z0-9_]+", file.read_text())
    } - {servers.PREFIX}
    declared = {name for engine in servers.VARIABLES for name in servers.names(engine)}
    declared |= {servers.PREFIX + name for name in servers.CAPS}
    assert read <= declared
    assert set(servers.VARIABLES) <= set(ENGINES)
