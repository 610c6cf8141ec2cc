"""Fixtures of the market's assets: a home that they find in the environment, with both stores brought up."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from tests.upgraded import upgraded

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.dagster_home import dagster_instance


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that assets find in the environment, with both stores upgraded."""
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", settings.relational.render_as_string(hide_password=False))
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    upgraded(settings)
    return settings


@pytest.fixture
def relational(home: Settings) -> Iterator[RelationalStore]:
    """The relational store, migrated."""
    store = open_relational(home)
    yield store
    store.close()


@pytest.fixture
def instance(home: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance in that home."""
    with dagster_instance(home) as instance:
        yield instance
