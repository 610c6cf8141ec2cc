"""The engines of the suite, by name. A class is imported when it is asked for: clients are heavy and may be missing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from typing import Final, cast

from tracebank.processors import usable_processors
from tracebank_benchmarks.tsdb.caps import MEMORY_VARIABLE, THREADS_VARIABLE
from tracebank_benchmarks.tsdb.engine import Engine, EngineState
from tracebank_benchmarks.tsdb.plan import PlanError

_HOME: Final = "tracebank_benchmarks.tsdb.engines"

ENGINES: Final[dict[str, str]] = {
    "clickhouse_embedded": f"{_HOME}.clickhouse:ClickHouseEmbedded",
    "clickhouse": f"{_HOME}.clickhouse:ClickHouseServer",
    "duckdb": f"{_HOME}.duckdb:DuckDB",
    "polars": f"{_HOME}.polars:Polars",
    "postgresql": f"{_HOME}.postgresql:PostgreSQL",
    "timescaledb": f"{_HOME}.postgresql:TimescaleDB",
    "influxdb1": f"{_HOME}.influxdb.version1:InfluxDB1",
    "influxdb2": f"{_HOME}.influxdb.version2:InfluxDB2",
    "influxdb3": f"{_HOME}.influxdb.version3:InfluxDB3",
    "kdb": f"{_HOME}.kdb.engine:Kdb",
}
"""Where each engine's class is, as module:class."""


def engine(name: str) -> Engine:
    """Return an engine.

    Args:
        name: One of `ENGINES`.

    Raises:
        ValueError: There is no such engine.
        ImportError: The module, or a client that it needs, is not installed.
    """
    _known(name)
    module, _, attribute = ENGINES[name].partition(":")
    kind = getattr(import_module(module), attribute, None)
    if kind is None:
        raise ImportError(f"{module} has no {attribute}")
    return cast(Engine, kind())


def _known(name: str) -> None:
    if name not in ENGINES:
        raise ValueError(f"engine: {name!r} is not known; allowed: {', '.join(ENGINES)}")


def state(name: str) -> EngineState:
    """Tell whether an engine can be measured here, whatever is missing.

    Raises:
        ValueError: There is no such engine.
    """
    _known(name)
    try:
        return engine(name).state()
    except ImportError as error:
        return EngineState(False, reason=f"cannot be imported: {' '.join(str(error).split())}")
    except Exception as error:  # a stranger on an engine's port may answer anything, and make a client raise anything
        return EngineState(False, reason=f"{type(error).__name__}: {' '.join(str(error).split())}")


def check_here(names: Iterable[str]) -> None:
    """See that engines can be measured here, before anything is made for them.

    Raises:
        PlanError: One cannot; the message names each with what is missing.
    """
    missing = {name: found.reason for name in names if not (found := state(name)).available}
    if missing:
        raise PlanError("engine: " + "; ".join(f"{name} is not here: {why}" for name, why in missing.items()))


def threads() -> int:
    """CPUs that this process may use: the cap of every engine's threads setting, equal for all."""
    return int(os.environ.get(THREADS_VARIABLE) or usable_processors())


def memory() -> int:
    """Bytes that every engine's memory setting allows; 0 where there is no cap."""
    return int(os.environ.get(MEMORY_VARIABLE) or 0)
