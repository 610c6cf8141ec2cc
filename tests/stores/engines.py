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

from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.stores.faults import FrameRefused, StoreError
from tracebank.stores.series_store import SeriesStore

# Read when the suite is gathered: tests run without the developer's variables.
_POSTGRES = os.environ.get("TRACEBANK_TEST_POSTGRES_URL")
_TIMESCALEDB = os.environ.get("TRACEBANK_TEST_TIMESCALEDB_URL")
_INFLUXDB = os.environ.get("TRACEBANK_TEST_INFLUXDB_URL")
_KDB = os.environ.get("TRACEBANK_TEST_KDB_URL")

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
    """Known gaps by the name of the test, or of one of its cases: `test_reading[empty]`."""


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


@contextmanager
def _influxdb1(_folder: Path) -> Iterator[SeriesStore]:
    from tracebank_benchmarks.tsdb.engines.influxdb.store import InfluxStore

    server = _INFLUXDB
    if not server:
        pytest.skip("no InfluxDB 1: set TRACEBANK_TEST_INFLUXDB_URL, e.g. to what '.ci/influxdb start' prints")
    store = InfluxStore(make_url(server).set(database=f"tracebank_test_{uuid.uuid4().hex[:16]}"))
    try:
        yield store
    finally:
        store.connection.json(f'DROP DATABASE "{store.database}"')
        store.close()


@contextmanager
def _kdb(folder: Path) -> Iterator[SeriesStore]:
    from tracebank_benchmarks.tsdb.engines.kdb.connection import missing_licence, pykx
    from tracebank_benchmarks.tsdb.engines.kdb.store import KdbStore

    if not _KDB and not pykx().licensed:
        pytest.skip(
            f"{missing_licence()}; or set TRACEBANK_TEST_KDB_URL, kdb://user:password@host:5000/folder/of/its/own"
        )
    url = make_url(_KDB) if _KDB else make_url(f"kdb://{folder}")
    store = KdbStore(url.set(database=f"{url.database}/tracebank_test_{uuid.uuid4().hex[:16]}"))
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _duckdb(folder: Path) -> Iterator[SeriesStore]:
    from tracebank.engines.duckdb.store import DuckDBStore

    yield DuckDBStore(folder / "series.duckdb", lock_timeout=30)


@contextmanager
def _postgresql(_folder: Path) -> Iterator[SeriesStore]:
    from tracebank.engines.postgresql.store import PostgreSQLStore

    if not _POSTGRES:
        pytest.skip("no PostgreSQL: set TRACEBANK_TEST_POSTGRES_URL, e.g. to what '.ci/postgres start' prints")
    store = PostgreSQLStore(make_url(_POSTGRES), schema=f"tracebank_test_{uuid.uuid4().hex[:16]}", lock_timeout=30)
    try:
        yield store
    finally:
        with store.session() as session:
            session.execute(f"DROP SCHEMA IF EXISTS {store.schema}, {store.schema}_parts CASCADE".encode())


@contextmanager
def _timescaledb(_folder: Path) -> Iterator[SeriesStore]:
    from tracebank.engines.postgresql.timescaledb import TimescaleDBStore

    if not _TIMESCALEDB:
        pytest.skip("no TimescaleDB: set TRACEBANK_TEST_TIMESCALEDB_URL, e.g. to what '.ci/timescaledb start' prints")
    url = make_url(_TIMESCALEDB).set(drivername="postgresql+psycopg")
    store = TimescaleDBStore(url, schema=f"tracebank_test_{uuid.uuid4().hex[:16]}", lock_timeout=30)
    try:
        yield store
    finally:
        with store.session() as session:
            session.execute(f"DROP SCHEMA IF EXISTS {store.schema} CASCADE".encode())


_NO_NUL = {"test_every_kind_of_partition_key[by_text]": Gap("its text keeps no NUL", FrameRefused)}

ENGINES = (
    Engine("clickhouse-embedded", _chdb),
    Engine("clickhouse-over-http", _clickhouse_double),
    Engine("clickhouse-server", _clickhouse_server),
    Engine("postgresql", _postgresql, gaps=_NO_NUL),
    Engine("timescaledb", _timescaledb, gaps=_NO_NUL),
    Engine("duckdb", _duckdb),
    Engine(
        "influxdb1",
        _influxdb1,
        gaps={
            "test_query_in_the_engines_own_language": Gap(
                "InfluxQL cannot count rows, it counts the values of a field", AssertionError
            ),
        },
    ),
    Engine(
        "kdb",
        _kdb,
        gaps={
            "test_query_in_the_engines_own_language": Gap("its own language is q, not SQL", StoreError),
            "test_asof_join_is_as_declared": Gap("its as-of join is q's aj, not SQL", StoreError),
            "test_every_kind_of_partition_key[by_text]": Gap("its symbols keep no NUL", FrameRefused),
            "test_every_kind_of_partition_key[by_day]": Gap("its time stamps begin in 1707", FrameRefused),
        },
    ),
)
