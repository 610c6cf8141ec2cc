"""Engines that the conformance suite runs on: one line each, with the gaps that are known."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tracebank.stores import SeriesStore
from tracebank.stores.clickhouse import ClickHouseStore


@dataclass(frozen=True)
class Gap:
    """A test that an engine does not pass, why, and how it shows."""

    reason: str
    raises: type[Exception]


@dataclass(frozen=True)
class Engine:
    """An engine and how to have an empty store on it; `opened` skips the test where the engine is not to be had."""

    name: str
    opened: Callable[[Path], AbstractContextManager[SeriesStore]]
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    """Known gaps by the name of the test."""


@contextmanager
def _chdb(folder: Path) -> Iterator[SeriesStore]:
    yield ClickHouseStore(make_url(f"chdb:///{folder / 'series'}"), lock_timeout=30)


@contextmanager
def _clickhouse_server(_folder: Path) -> Iterator[SeriesStore]:
    server = os.environ.get("TRACEBANK_TEST_CLICKHOUSE_URL")
    if not server:
        pytest.skip("no ClickHouse server: set TRACEBANK_TEST_CLICKHOUSE_URL, clickhouse://user:password@host:8123/any")
    store = ClickHouseStore(make_url(server).set(database=f"tracebank_test_{uuid.uuid4().hex[:16]}"))
    try:
        yield store
    finally:
        with store.session() as client:
            client.command(f"DROP DATABASE IF EXISTS {store.database} SYNC")


ENGINES = (
    Engine("clickhouse-embedded", _chdb),
    Engine("clickhouse-server", _clickhouse_server),
)
