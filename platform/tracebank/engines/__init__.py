"""Engines that may hold the series, a folder each: its store, its queries and their guard, what an upgrade does."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final, Literal

from sqlalchemy.engine import URL

_FOLDERS: Final = {
    "chdb": "clickhouse",
    "clickhouse": "clickhouse",
    "clickhouses": "clickhouse",
    "duckdb": "duckdb",
    "postgresql+psycopg": "postgresql",
    "timescaledb+psycopg": "postgresql",
}
"""Whose folder it is, by the scheme of the series store's URL."""


def engine_module(url: URL, name: Literal["store", "query", "upgrade"]) -> ModuleType:
    """A module of the engine that a URL names.

    `store.opened(settings)` gives its store, `query.opened(settings, request)` an answer, and
    `upgrade.completed(settings, series, relational)` does what `tracebank db upgrade` has to do there.
    """
    own = "timescaledb" if name == "store" and url.drivername.startswith("timescaledb") else name
    return import_module(f"tracebank.engines.{_FOLDERS[url.drivername]}.{own}")
