"""The explorer over a small store, see `small_store`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from tests.explorer import small_store
from tests.upgraded import upgraded

from tracebank.explorer.app import create_app
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational


@pytest.fixture(scope="module")
def explored(module_settings: Settings) -> Settings:
    """Settings of a home with the small store, of all tests of a module: what one writes the next one reads."""
    upgraded(module_settings)
    relational = open_relational(module_settings)
    small_store.fill(relational)
    relational.close()
    return module_settings


@pytest.fixture(scope="module")
def client(explored: Settings) -> Iterator[TestClient]:
    """A client of the explorer over it; faults of the server are raised in the test."""
    with TestClient(create_app(explored), base_url="http://127.0.0.1:8080") as opened:
        yield opened
