"""Compose files of the servers: valid by the compose specification, pinned, watched, limited and on loopback alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracebank.settings import Settings

FILES = sorted((Path(__file__).parents[2] / "docker").glob("*.yaml"))
SERVERS = {"clickhouse", "timescaledb", "influxdb", "kdb"}
DAGSTER = Path(__file__).parents[2] / "docker" / "dagster.yaml"


def _services(path: Path) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    return services


def test_every_server_has_a_file() -> None:
    assert {path.stem for path in FILES} >= SERVERS


@pytest.mark.parametrize("path", [p for p in FILES if p.stem in SERVERS], ids=lambda path: path.stem)
def test_services_are_pinned_watched_limited_and_on_loopback(path: Path) -> None:
    named = yaml.safe_load(path.read_text(encoding="utf-8"))["volumes"]
    for name, service in _services(path).items():
        image = service["image"]
        assert image.startswith("${") or re.search(r":[^:/]*\d+\.\d+[^:/]*$", image), f"{name}: {image} is not pinned"
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
        assert service["ports"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        sources = [volume.partition(":")[0] for volume in service["volumes"] if not volume.startswith("${")]
        assert sources
        assert set(sources) <= set(named)


def test_dagster_has_every_part_and_waits_for_what_it_needs() -> None:
    services = _services(DAGSTER)
    assert set(services) == {"postgresql", "clickhouse", "upgrade", "code", "webserver", "explorer", "daemon", "gpu"}
    named = yaml.safe_load(DAGSTER.read_text(encoding="utf-8"))
    for name, service in services.items():
        assert re.search(r":\d+\.\d+[^:/]*$", service["image"]), f"{name}: {service['image']} is not pinned"
        assert {"cpus", "memory"} == set(service["deploy"]["resources"]["limits"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert name == "upgrade" or service["healthcheck"]["test"][0] == "CMD", name
        assert set(service.get("depends_on", {})) <= set(services)
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(named["volumes"])
    waits = {name: set(service.get("depends_on", {})) for name, service in services.items()}
    assert waits["upgrade"] == {"postgresql", "clickhouse"}
    assert waits["code"] == waits["gpu"] == {"upgrade"}
    assert waits["webserver"] == waits["daemon"] == {"code"}
    assert waits["explorer"] == {"upgrade"}
    assert {name: services[name]["profiles"] for name in ("gpu", "explorer")} == {
        "gpu": ["gpu"],
        "explorer": ["explorer"],
    }


def test_the_variables_of_dagsters_file_are_settings_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _services(DAGSTER)["code"]["environment"].items():
        if name.startswith("TRACEBANK_"):
            monkeypatch.setenv(name, re.sub(r"\$\{\w+:(?:\?[^}]*|-([^}]*))\}", r"\1", value))
    settings = Settings.load()
    assert (settings.series.host, settings.series.drivername) == ("clickhouse", "clickhouse")
    assert (settings.relational.host, settings.executor) == ("postgresql", "in_process")


def test_the_image_copies_what_is_there_and_runs_as_nobody_special() -> None:
    text = (DAGSTER.parent / "tracebank.Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?:--chown=\S+ )?(.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (DAGSTER.parents[1] / source).exists(), source
    assert re.search(r"^FROM python:3\.11\.\d+-", text, re.MULTILINE)
    assert re.search(r"^USER tracebank$", text, re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_file_holds_a_password(path: Path) -> None:
    secrets = re.findall(r"^\s*\w*(?:PASSWORD|TOKEN)\w*: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(secret.startswith("${") for secret in secrets)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_valid_by_the_compose_specification(path: Path) -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="PyPI's compose-spec is not installed")
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", path.read_text(encoding="utf-8"))
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "example", text)
    text = yaml.safe_dump(yaml.safe_load(text))  # the validator does not know YAML's merge keys
    assert compose_spec.PyCompose.from_yaml(text).service_names()
    with pytest.raises(Exception, match=r"\S"):
        compose_spec.PyCompose.from_yaml(text.replace("healthcheck:", "helthcheck:"))
