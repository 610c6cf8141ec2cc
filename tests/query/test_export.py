"""`tracebank export`: whole tables and partitions as Parquet that other engines read."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tracebank.query.connection import Connection
from tracebank.query.export import export, known_tables
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError


def test_series_and_relational_tables_come_back_as_they_are(
    warehouse: Settings, connection: Connection, tmp_path: Path
) -> None:
    done = {entry.table: entry for entry in export(warehouse, tmp_path, ["series.trades", "relational.instruments"])}
    assert done["series.trades"].files == 2
    assert done["series.trades"].rows == 100
    stored = connection.sql("SELECT * FROM trades ORDER BY symbol, seq")
    found = pl.scan_parquet(tmp_path / "series" / "trades", hive_partitioning=True).select(stored.columns).collect()
    assert_frame_equal(found.sort("symbol", "seq"), stored)
    with duckdb.connect() as other:
        text = f"FROM read_parquet('{tmp_path}/series/trades/**/*.parquet', hive_partitioning = true)"
        rows = other.sql(f"SELECT day, symbol, count(*) {text} GROUP BY ALL ORDER BY ALL").fetchall()
    assert [(str(day), symbol, n) for day, symbol, n in rows] == [
        ("2024-08-08", "BTCUSDT", 50),
        ("2024-08-08", "ETHUSDT", 50),
    ]
    catalogue = pl.read_parquet(tmp_path / "relational" / "instruments.parquet")
    assert_frame_equal(catalogue, connection.sql("SELECT * FROM relational.instruments"))


def test_a_partition_alone_and_the_same_again(warehouse: Settings, tmp_path: Path) -> None:
    for _ in range(2):
        [done] = export(warehouse, tmp_path, ["series.trades"], {"symbol": "ETHUSDT"})
        assert (done.files, done.rows) == (1, 50)
        files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
        assert files == [Path("series/trades/day=2024-08-08/symbol=ETHUSDT/rows.parquet")]


@pytest.mark.parametrize(
    ("names", "partition", "said"),
    [
        (["series.nothing"], {}, r"table 'series\.nothing' is not known"),
        (["series.trades"], {"venue": "x"}, r"series\.trades has no partition key 'venue'; it has day, symbol"),
        (["series.trades"], {"symbol": "none"}, "nothing to export"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    names: list[str], partition: dict[str, str], said: str, warehouse: Settings, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=said):
        export(warehouse, tmp_path, names, partition)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_command_shows_what_it_wrote(
    warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tracebank.cli.app import app

    for name, value in warehouse.environment().items():
        monkeypatch.setenv(name, value)
    app(["export", str(tmp_path / "out"), "series.trades", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == [
        {"table": "series.trades", "files": 2, "rows": 100, "bytes": pytest.approx(10_000, abs=9_000)}
    ]
    assert "relational.materializations" in known_tables()
