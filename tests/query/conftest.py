"""A small warehouse with rows in both stores, for the tests of the one SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tracebank.query.connection import Connection
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_schemas.catalogue import TABLES
from tracebank_schemas.ingest import Instrument

DAY = date(2024, 8, 8)
START = datetime(2024, 8, 8, 9, 30, tzinfo=UTC)
ROWS = 50


def trades(symbol: str) -> pl.DataFrame:
    """One day's trades of a symbol: prices 100, 101, ..., a second apart, with 7 ns on every time stamp."""
    times = [START + timedelta(seconds=n) for n in range(ROWS)]
    columns = {
        "ts": pl.Series(times).dt.cast_time_unit("ns") + pl.duration(nanoseconds=7),
        "local_ts": pl.Series([None] * ROWS),
        "clock": ["exchange"] * ROWS,
        "venue": ["binance_spot"] * ROWS,
        "symbol": [symbol] * ROWS,
        "seq": list(range(ROWS)),
        "price": [100.0 + n for n in range(ROWS)],
        "qty": [0.5] * ROWS,
        "side": ["buy" if n % 2 else "sell" for n in range(ROWS)],
    }
    times_ns = pl.DataFrame({"ts": times}).select(
        pl.col("ts").cast(pl.Datetime("ns", "UTC")) + pl.duration(nanoseconds=7)
    )
    frame = pl.DataFrame({name: values for name, values in columns.items() if name != "ts"})
    return frame.with_columns(times_ns["ts"]).select(
        pl.col(name).cast(kind) for name, kind in TABLES["trades"].polars_schema.items()
    )


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of stores that hold 50 trades of two symbols, and the instrument of one of them."""
    home = tmp_path_factory.mktemp("warehouse")
    settings = Settings.load(
        home=home, series_url=f"chdb:///{home}/series", relational_url=f"sqlite:///{home}/relational.db"
    )
    upgrade(settings)
    store = open_series(settings)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        store.replace(TABLES["trades"], {"day": DAY, "symbol": symbol}, trades(symbol))
    relational = open_relational(settings)
    with relational.session() as session:
        session.add(
            Instrument(
                venue="binance_spot",
                symbol="BTCUSDT",
                kind="spot",
                price_unit="USDT",
                qty_unit="BTC",
                price_tick=0.01,
                qty_step=None,
                first_ts=START,
                last_ts=None,
            )
        )
    relational.close()
    return settings


@pytest.fixture
def connection(warehouse: Settings) -> Connection:
    """Queries on the warehouse."""
    return Connection(warehouse)


@pytest.fixture
def watched_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of a query, with a file in it that must neither be read nor get company."""
    (tmp_path / "secret.csv").write_text("password\nhunter2\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv"]
