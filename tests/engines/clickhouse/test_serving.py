"""What an unmodified client finds at the owner's sockets and at the port that `tracebank serve` opens."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import clickhouse_connect
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tracebank.settings import Settings
from tracebank.stores.opening import open_series, upgrade
from tracebank_schemas.catalogue import TABLES
from tracebank_schemas.series import SeriesTable

DAY = date(2024, 8, 8)
TRADES: SeriesTable = TABLES["trades"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of `tracebank serve` on a home with ten trades."""
    home = tmp_path_factory.mktemp("served")
    settings = Settings.load(
        home=home, series_url=f"chdb:///{home}/series", relational_url=f"sqlite:///{home}/relational.db"
    )
    upgrade(settings)
    frame = pl.DataFrame({"seq": range(10)}).select(
        pl.lit(datetime(2024, 8, 8, tzinfo=UTC)).alias("ts"),
        pl.lit(None).alias("local_ts"),
        *(pl.lit(text).alias(name) for name, text in (("clock", "exchange"), ("venue", "v"), ("symbol", "BTC"))),
        "seq",
        *(pl.lit(1.5).alias(name) for name in ("price", "qty")),
        pl.lit("buy").alias("side"),
    )
    open_series(settings).replace(TRADES, {"day": DAY, "symbol": "BTC"}, frame.cast(dict(TRADES.polars_schema)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tracebank", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=settings.environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert f"http://127.0.0.1:{port}" in process.stderr.readline()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    yield port
    process.terminate()
    process.communicate(timeout=30)


@pytest.fixture
def client(served: int) -> Iterator[Client]:
    found = clickhouse_connect.get_client(host="127.0.0.1", port=served)
    yield found
    found.close()


def test_a_client_reads_both_databases(client: Client) -> None:
    assert client.query("SELECT count() AS n, max(seq) FROM trades").result_rows == [(10, 9)]
    assert client.query_df("SELECT seq FROM series.trades ORDER BY seq")["seq"].tolist() == list(range(10))
    assert client.query_arrow("SELECT * FROM trades").num_rows == 10
    with client.query_arrow_stream("SELECT seq FROM trades") as batches:
        assert sum(batch.num_rows for batch in batches) == 10
    assert client.query("SELECT count() FROM relational.materializations").result_rows == [(0,)]
    asked = client.query("SELECT {n:Int32} + 1 AS a", parameters={"n": 41})
    assert asked.result_rows == [(42,)]
    assert ("trades",) in client.query("SHOW TABLES FROM series").result_rows


def test_settings_of_form_are_heeded_and_others_are_not(served: int) -> None:
    text = "SELECT toDateTime(0) AS t FORMAT TabSeparated"
    place = f"http://127.0.0.1:{served}/?session_timezone=Asia/Tokyo&readonly=0&max_result_rows=1"
    with urlopen(Request(place, data=text.encode())) as answer:
        assert answer.read() == b"1970-01-01 09:00:00\n"
    with pytest.raises(OSError, match=r"500|403"):
        _got(served, "SELECT 1 SETTINGS readonly = 0")


@pytest.mark.parametrize(
    "attempt",
    [
        "INSERT INTO series.trades SELECT * FROM series.trades",
        "DROP TABLE series.trades",
        "CREATE TABLE series.z (x Int32) ENGINE = Memory",
        "SET readonly = 0",
        "SYSTEM FLUSH LOGS",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/x', 'LineAsString')",
        "SELECT 1 INTO OUTFILE '/tmp/tracebank-outfile'",
        "SELECT * FROM _relational.materializations",
        "KILL QUERY WHERE 1",
    ],
)
def test_a_client_only_reads(attempt: str, client: Client) -> None:
    with pytest.raises(DatabaseError):
        client.command(attempt)
    assert not Path("/tmp/tracebank-outfile").exists()
    assert client.query("SELECT count() FROM trades").result_rows == [(10,)]


def test_rows_cannot_be_sent(client: Client) -> None:
    with pytest.raises(DatabaseError):
        client.insert("trades", [[1]], column_names=["seq"], database="series")
    assert client.query("SELECT count() FROM trades").result_rows == [(10,)]


def _got(port: int, query: str, **headers: str) -> bytes:
    request = Request(f"http://127.0.0.1:{port}/", data=query.encode(), headers=headers)
    with urlopen(request) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("form", ["CSVWithNames", "TabSeparated", "JSONEachRow", "Parquet", "JSONCompact"])
def test_any_form_is_given(form: str, served: int) -> None:
    found = _got(served, f"SELECT seq FROM trades ORDER BY seq LIMIT 2 FORMAT {form}")
    if form == "JSONEachRow":
        assert [json.loads(line) for line in found.splitlines()] == [{"seq": 0}, {"seq": 1}]
    assert found


def test_pages_of_other_hosts_are_not_answered(served: int) -> None:
    with pytest.raises(OSError, match="403"):
        _got(served, "SELECT 1", Host="rebound.example")


def test_a_port_in_use_is_one_line_and_exit_code_2(served: int, settings: Settings) -> None:
    command = [sys.executable, "-m", "tracebank", "serve", "--port", str(served)]
    done = subprocess.run(command, env=settings.environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"port {served}" in done.stderr.splitlines()[-1]
    assert "choose another with --port" in done.stderr


def test_a_store_that_is_a_server_itself_is_not_served(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path, series_url=f"duckdb:///{tmp_path}/s.duckdb")
    command = [sys.executable, "-m", "tracebank", "serve"]
    done = subprocess.run(command, env=settings.environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "only an embedded ClickHouse store is served" in done.stderr
