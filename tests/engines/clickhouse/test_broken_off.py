"""Answers that break off, owners that go in the middle, stores that are swapped: nobody takes a part for the whole."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse.reach import beside, connected, owner_of
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_schemas.ingest import Instrument
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable

FAILS = "SELECT number AS n, throwIf(number = 3000000, 'half-way') AS t FROM numbers(6000000)"
TABLE = SeriesTable(
    "ticks", "rows", (Column("ts", TIMESTAMP, "when"), Column("n", pa.int64(), "number")), ("n",), (Day("ts"),)
)
ROWS = pl.DataFrame({"n": range(100)}).select(
    pl.lit(datetime(2024, 8, 8, tzinfo=UTC)).cast(pl.Datetime("ns", "UTC")).alias("ts"), "n"
)


@pytest.fixture
def store(tmp_path: Path) -> ClickHouseStore:
    return ClickHouseStore(make_url(f"chdb:///{tmp_path / 'series'}"), lock_timeout=60)


def test_rows_that_fail_half_way_are_no_answer(store: ClickHouseStore) -> None:
    with pytest.raises(StoreError):
        sum(batch.num_rows for batch in store._batches(FAILS, pa.schema([("n", pa.uint64()), ("t", pa.uint8())])))
    with pytest.raises(StoreError), store.session() as client:
        client.query(FAILS).result_rows  # noqa: B018 - which reads it


def test_a_query_that_fails_half_way_is_no_answer(settings: Settings) -> None:
    with pytest.raises(SqlError, match="half-way"):
        Connection(settings).sql(FAILS)


@pytest.mark.parametrize("statement", ["RENAME TABLE", "REPLACE PARTITION", "MOVE PARTITION", "DROP TABLE"])
def test_a_write_whose_owner_went_with_its_answer_is_done_once(
    statement: str, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clickhouse_connect.driver.exceptions import OperationalError
    from clickhouse_connect.driver.httpclient import HttpClient

    command, done = HttpClient.command, []

    def killed_behind(self: HttpClient, cmd: str, *rest: Any, **named: Any) -> Any:
        answer = command(self, cmd, *rest, **named)
        if statement in cmd and not done:
            done.append(cmd)
            assert store.folder is not None
            os.kill(owner_of(store.folder), signal.SIGKILL)
            raise OperationalError("the answer did not come")
        return answer

    store.append(TABLE, ROWS)
    monkeypatch.setattr(HttpClient, "command", killed_behind)
    if statement == "REPLACE PARTITION":
        store.replace(TABLE, {"day": date(2024, 8, 8)}, ROWS)
        assert store.size(TABLE).rows == 100
    else:
        store.append(TABLE, ROWS)
        assert store.size(TABLE).rows == 200
    assert done


def test_two_catalogues_of_one_series_store_are_not_mixed_up(tmp_path: Path) -> None:
    asked = []
    for name, rows in (("one", 1), ("two", 2)):
        home = tmp_path / "home"
        url = f"sqlite:///{tmp_path}/{name}.db"
        settings = Settings.load(home=home, relational_url=url, lock_timeout=60)
        upgrade(settings)
        relational = open_relational(settings)
        with relational.session() as session:
            for at in range(rows):
                session.add(
                    Instrument(venue="v", symbol=str(at), kind="spot", price_unit="USD", qty_unit="B",
                               price_tick=0.1, qty_step=None, first_ts=None, last_ts=None)
                )  # fmt: skip
        relational.close()
        asked += [(settings, rows)] * 4

    def count(one: tuple[Settings, int]) -> tuple[int, int]:
        found = Connection(one[0]).sql("SELECT count() AS n FROM relational.instruments")["n"].item()
        return found, one[1]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(count, asked))
    assert [found for found, _ in answers] == [rows for _, rows in answers]


def _said(folder: Path, request: bytes) -> bytes:
    reached = connected(folder, "reader", 60)
    reached.settimeout(20)
    with reached:
        reached.sendall(request)
        reached.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := reached.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: [::1\r\n\r\n", b"400"),
        (b"POST /?default_format=DataFrame HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nSELECT 1", b"500"),
        (b"POST /?database=_relational HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nSELECT 1", b"403"),
        (b"POST /sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", b"500"),
        (b"POST /stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nSELECT 1", b"200"),
    ],
)
def test_an_odd_request_is_told_so(request_: bytes, said: bytes, store: ClickHouseStore) -> None:
    store.info()
    assert store.folder is not None
    before = owner_of(store.folder)
    answer = _said(store.folder, request_)
    assert said in answer.split(b"\r\n")[0], answer
    assert owner_of(store.folder) == before
    assert beside(store.folder, "reader.sock").exists()


def test_who_sends_no_more_still_hears_the_answer(store: ClickHouseStore) -> None:
    store.info()
    assert store.folder is not None
    body = b"SELECT sum(cityHash64(number)) > 0 FROM numbers(400000000)"
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
    answer = _said(store.folder, head + str(len(body)).encode() + b"\r\n\r\n" + body)
    assert b"200" in answer.split(b"\r\n")[0], answer
    assert b"\n1\n" in answer, answer


def test_the_body_of_a_refused_request_is_no_request(store: ClickHouseStore) -> None:
    store.info()
    assert store.folder is not None
    inner = b"POST /?query=SELECT%20'stolen' HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    for path, host in ((b"/", b"evil.example"), (b"/ping", b"localhost")):
        method = b"GET" if path == b"/ping" else b"POST"
        head = method + b" " + path + b" HTTP/1.1\r\nHost: " + host
        outer = head + b"\r\nContent-Length: " + str(len(inner)).encode() + b"\r\n\r\n" + inner
        assert b"stolen" not in _said(store.folder, outer)


def test_a_long_statement_is_refused_before_it_is_looked_at(store: ClickHouseStore) -> None:
    store.info()
    assert store.folder is not None
    body = b"SELECT 1 FORMAT a" + b" " * 300_000 + b"x"
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n"
    assert b"200000" in _said(store.folder, head + body)


def test_series_of_the_store_are_read_after_all_this(settings: Settings) -> None:
    open_series(settings).append(TABLE, ROWS)
    assert Connection(settings).sql("SELECT count() AS n FROM ticks")["n"].item() == 100
