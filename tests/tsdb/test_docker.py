"""Compose files of the servers: valid by the compose specification, pinned, watched, limited and on loopback alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FILES = sorted((Path(__file__).parents[2] / "docker").glob("*.yaml"))
SERVERS = {"clickhouse", "timescaledb", "influxdb", "kdb"}


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_file_holds_a_password(path: Path) -> None:
    secrets = re.findall(r"^\s*\w*(?:PASSWORD|TOKEN)\w*: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(secret.startswith("${") for secret in secrets)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_valid_by_the_compose_specification(path: Path) -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="PyPI's compose-spec is not installed")
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", path.read_text(encoding="utf-8"))
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "example", text)
    assert compose_spec.PyCompose.from_yaml(text).service_names()
    with pytest.raises(Exception, match=r"\S"):
        compose_spec.PyCompose.from_yaml(text.replace("healthcheck:", "helthcheck:"))
