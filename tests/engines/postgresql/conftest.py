"""A warehouse on a PostgreSQL database of its own, whose owner is a superuser."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tracebank.engines.postgresql.reader import role
from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_schemas.catalogue import TABLES
from tracebank_schemas.ingest import Instrument

SERVER = os.environ.get("TRACEBANK_TEST_POSTGRES_URL", "")
"""Read when the suite is gathered: tests run without the developer's variables."""

DAY = date(2024, 8, 8)
START = datetime(2024, 8, 8, 9, 30, tzinfo=UTC)


def trades(symbol: str, rows: int = 50, *, back: int = 0) -> pl.DataFrame:
    """Trades of a symbol, a second and a nanosecond apart, some days back; prices 100, 101, …"""
    seq = pl.int_range(rows).alias("seq")
    ts = pl.lit(START - timedelta(days=back)).cast(pl.Datetime("ns", "UTC")) + pl.duration(
        nanoseconds=seq * 1_000_000_001
    )
    names = {"clock": "exchange", "venue": "binance_spot", "symbol": symbol, "side": "buy"}
    frame = pl.select(seq, ts.alias("ts"), (seq + 100.0).alias("price"), qty=0.5, local_ts=None)
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in names.items())
    return frame.select(pl.col(name).cast(kind) for name, kind in TABLES["trades"].polars_schema.items())


def owner(settings: Settings) -> psycopg.Connection:
    """A connection with the rights of the settings' own URL, which commits each statement."""
    url = settings.series.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of stores in one database, with 50 trades of two symbols, and an instrument."""
    if not SERVER:
        pytest.skip("no PostgreSQL: set TRACEBANK_TEST_POSTGRES_URL, e.g. to what '.ci/postgres start' prints")
    url, name = make_url(SERVER), f"tracebank_test_{uuid.uuid4().hex[:16]}"
    server = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg.connect(server, autocommit=True)) as session:
        session.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield _filled(url.set(database=name).render_as_string(hide_password=False), tmp_path_factory)
        finally:
            session.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
            session.execute(f'DROP ROLE IF EXISTS "{role(name)}"'.encode())


def _filled(url: str, folders: pytest.TempPathFactory) -> Settings:
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setitem(Settings.model_config, "env_file", None)
        settings = Settings.load(home=folders.mktemp("home"), series_url=url, relational_url=url)
    upgrade(settings)
    store = open_series(settings)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        store.replace(TABLES["trades"], {"day": DAY, "symbol": symbol}, trades(symbol))
    relational = open_relational(settings)
    with relational.session() as session:
        session.add(
            Instrument(venue="binance_spot", symbol="BTCUSDT", kind="spot", price_unit="USDT", qty_unit="BTC",
                       price_tick=0.01, qty_step=None, first_ts=START, last_ts=None)
        )  # fmt: skip
    relational.close()
    return settings


@pytest.fixture
def store() -> Iterator[PostgreSQLStore]:
    """An empty store in a schema of its own."""
    if not SERVER:
        pytest.skip("no PostgreSQL: set TRACEBANK_TEST_POSTGRES_URL, e.g. to what '.ci/postgres start' prints")
    store = PostgreSQLStore(make_url(SERVER), schema=f"tracebank_test_{uuid.uuid4().hex[:16]}", lock_timeout=20)
    yield store
    with store.session() as session:
        session.execute(f"DROP SCHEMA IF EXISTS {store.schema}, {store.schema}_parts CASCADE".encode())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that everybody may write, with a secret in it."""
    found = Path("/tmp") / f"tracebank-canary-{uuid.uuid4().hex[:12]}"
    found.mkdir()
    found.chmod(0o777)
    (found / "secret.csv").write_text("7\n")
    return found
