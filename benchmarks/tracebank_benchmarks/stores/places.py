"""The engines that may hold the series, each with an empty store of its own where it is to be had."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tracebank.settings import Settings, SettingsError
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import open_series
from tracebank.stores.series_store import SeriesStore
from tracebank_benchmarks.stores.promise_options import POSTGRESQL


@dataclass(frozen=True, slots=True)
class Place:
    """A store that can be measured."""

    engine: str
    store: SeriesStore
    version: str
    folder: Path | None
    """Of an embedded engine."""


def _embedded(form: str) -> Callable[[Path], str]:
    return lambda folder: form.format(folder.absolute())


def _server(*variables: str, scheme: str = "") -> Callable[[Path], str]:
    def url(_folder: Path) -> str:
        found = next((os.environ[name] for name in variables if os.environ.get(name)), "")
        if not found:
            raise SettingsError(f"{variables[0]} is not set")
        try:
            made = make_url(found)
        except (ArgumentError, ValueError):
            raise SettingsError(f"{variables[0]} is not the URL of a database") from None
        made = made.set(drivername=scheme or made.drivername, database=made.database or "default")
        return made.render_as_string(hide_password=False)

    return url


_URLS: Final[dict[str, Callable[[Path], str]]] = {
    "clickhouse_embedded": _embedded("chdb:///{}/series"),
    "clickhouse": _server("TRACEBANK_BENCH_CLICKHOUSE_URL"),
    "duckdb": _embedded("duckdb:///{}/series.duckdb"),
    "postgresql": _server(POSTGRESQL),
    "timescaledb": _server("TRACEBANK_BENCH_TIMESCALEDB_URL", POSTGRESQL, scheme="timescaledb+psycopg"),
}
ENGINES: Final = tuple(_URLS)
"""Engines of the slope, as the suite calls them."""


def opened(engine: str, folder: Path) -> Place:
    """A store on an engine; of a server, in the database that its variable names.

    Args:
        engine: one of `ENGINES`.
        folder: for the files of an embedded engine.

    Raises:
        StoreError: the engine is not to be had here.
        SettingsError: no server is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    url = _URLS[engine](folder)
    store = open_series(Settings.load(home=folder, series_url=url))
    info = store.info()
    embedded = engine in ("clickhouse_embedded", "duckdb")
    return Place(engine, store, f"{info.version}, {info.edition}", folder if embedded else None)


def why_not(error: Exception) -> str:
    """Why an engine cannot be measured, as one line."""
    assert isinstance(error, StoreError | SettingsError)
    return Settings.load().redact(" ".join(str(error).split()))
