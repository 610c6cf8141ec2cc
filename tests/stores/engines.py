"""Engines that the conformance suite runs on: one line each, with the gaps that are known."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tracebank.stores import SeriesStore
from tracebank.stores.clickhouse import ClickHouseStore

PASSWORD = "let-me-in-7"


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
    with _own_database(server) as store:
        yield store


@cache
def clickhouse_double() -> str:
    """URL of a double of a ClickHouse server, which runs until the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="clickhouse-double-")
    command = [sys.executable, Path(__file__).with_name("clickhouse_http.py"), folder.name]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    atexit.register(folder.cleanup)
    atexit.register(process.communicate)
    assert process.stdout is not None
    return f"clickhouse://me:{PASSWORD}@127.0.0.1:{process.stdout.readline().strip()}/default"


@contextmanager
def _clickhouse_double(_folder: Path) -> Iterator[SeriesStore]:
    with _own_database(clickhouse_double()) as store:
        yield store


@contextmanager
def _own_database(server: str) -> Iterator[ClickHouseStore]:
    store = ClickHouseStore(make_url(server).set(database=f"tracebank_test_{uuid.uuid4().hex[:16]}"))
    try:
        yield store
    finally:
        with store.session() as client:
            client.command(f"DROP DATABASE IF EXISTS {store.database} SYNC")


ENGINES = (
    Engine("clickhouse-embedded", _chdb),
    Engine("clickhouse-over-http", _clickhouse_double),
    Engine("clickhouse-server", _clickhouse_server),
)
