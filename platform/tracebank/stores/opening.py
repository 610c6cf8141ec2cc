"""How both stores are opened, from the settings that name them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import SeriesStore

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank.stores.migrations import SchemaStatus
    from tracebank.stores.relational import RelationalStore


def open_series(settings: Settings) -> SeriesStore:
    """The series store that the settings name; connects only when it is used.

    Raises:
        StoreError: the engine's client is not installed.
    """
    url, wait = settings.series, settings.lock_timeout
    match url.drivername:
        case "duckdb":
            _need("duckdb", url.drivername)
            from tracebank.engines.duckdb.store import DuckDBStore

            return DuckDBStore(Path(str(url.database)), lock_timeout=wait)
        case "postgresql+psycopg" | "timescaledb+psycopg":
            _need("psycopg", url.drivername)
            from tracebank.engines.postgresql.store import PostgreSQLStore
            from tracebank.engines.postgresql.timescaledb import TimescaleDBStore

            kind = TimescaleDBStore if url.drivername.startswith("timescaledb") else PostgreSQLStore
            return kind(url.set(drivername="postgresql+psycopg"), lock_timeout=wait)
    from tracebank.engines.clickhouse.store import ClickHouseStore

    return ClickHouseStore(url, lock_timeout=wait)


def _need(package: str, engine: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise StoreError(f"series store {engine}: {package} is not installed; pip install 'tracebank[tsdb]'")


def held_open(store: SeriesStore) -> AbstractContextManager[object]:
    """Keep an embedded engine open over several operations, each of which would open and close it."""
    from tracebank.engines.clickhouse.store import ClickHouseStore
    from tracebank.engines.duckdb.store import DuckDBStore

    return store.session() if isinstance(store, ClickHouseStore | DuckDBStore) else nullcontext()


def open_relational(settings: Settings) -> RelationalStore:
    """The relational store that the settings name; connects only when it is used."""
    from tracebank.stores.relational import RelationalStore

    return RelationalStore(settings.relational)


def upgrade(settings: Settings) -> SchemaStatus:
    """Bring both stores and the views of the one SQL up to what is declared. Safe to run again.

    Raises:
        StoreError: a store is not to be had, or a series table differs in a way that adding columns does not mend.
    """
    from dataclasses import replace

    from tracebank.engines.clickhouse.activations import refresh as refresh_activations
    from tracebank.engines.clickhouse.relational import refresh
    from tracebank.engines.postgresql.store import PostgreSQLStore
    from tracebank.stores.migrations import upgrade as upgrade_stores

    series, relational = open_series(settings), open_relational(settings)
    try:
        if relational.url.get_backend_name() == "postgresql":
            from tracebank.engines.postgresql.relational import drop_views

            drop_views(relational)
        result = upgrade_stores(series, relational)
        refresh(series, relational)
        if isinstance(series, PostgreSQLStore):
            from tracebank.engines.postgresql.upgrade import complete

            result = replace(result, remarks=complete(series, settings))
        return replace(result, activations=refresh_activations(series, settings.activations))
    finally:
        relational.close()
