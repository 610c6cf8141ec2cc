"""A small warehouse on DuckDB, with rows in both stores."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.query.conftest import DAY, trades

from tracebank.query.connection import Connection
from tracebank.settings import Settings
from tracebank.stores.opening import open_series, upgrade
from tracebank_schemas.catalogue import TABLES


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of stores that hold 50 trades of two symbols."""
    home = tmp_path_factory.mktemp("warehouse")
    settings = Settings.load(
        home=home, series_url=f"duckdb:///{home}/series.duckdb", relational_url=f"sqlite:///{home}/relational.db"
    )
    upgrade(settings)
    store = open_series(settings)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        store.replace(TABLES["trades"], {"day": DAY, "symbol": symbol}, trades(symbol))
    return settings


@pytest.fixture
def connection(warehouse: Settings) -> Connection:
    """Queries on the warehouse."""
    return Connection(warehouse)


def store_file(settings: Settings) -> Path:
    """The file of the series store."""
    return Path(str(settings.series.database))
