"""The adapter against a ClickHouse server: what differs from the embedded engine, on a double of the server."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator

import pytest
from polars.testing import assert_frame_equal
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse import commit, ddl
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.stores.faults import StoreError

from .conformance import BTC, TICKS, ticks
from .engines import PASSWORD, clickhouse_double


@pytest.fixture
def store() -> Iterator[ClickHouseStore]:
    opened = ClickHouseStore(make_url(clickhouse_double()).set(database=f"server_{uuid.uuid4().hex}"))
    yield opened
    with opened.session() as client:
        client.command(f"DROP DATABASE IF EXISTS {opened.database} SYNC")


@pytest.fixture(autouse=True)
def _gone_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's writer counts as gone an hour after its last sign."""
    monkeypatch.setattr(commit, "ORPHAN_SECONDS", -1)


def _left_behind(store: ClickHouseStore, stage: str, writer: str) -> None:
    """What a writer that died has staged."""
    name = f"_{stage}_ticks_{writer}"
    with store.session() as client:
        comment = ddl.literal("tuple('2024-08-08', 'BTC')")
        client.command(f"CREATE TABLE {store.database}.{name} AS {store.database}.ticks COMMENT {comment}")
        client.insert_arrow(name, ticks(7, price=9.0).to_arrow(), database=store.database)


def _tables(store: ClickHouseStore) -> list[str]:
    with store.session() as client:
        found = client.query(f"SELECT name FROM system.tables WHERE database = '{store.database}' ORDER BY name")
        return [str(row[0]) for row in found.result_rows]


def test_the_next_write_sweeps_what_a_dead_writer_staged(store: ClickHouseStore) -> None:
    store.replace(TICKS, BTC, ticks(3))
    _left_behind(store, "staging", "a" * 32)
    assert len(_tables(store)) == 2
    store.append(TICKS, ticks(4, "ETH"))
    assert _tables(store) == ["ticks"]
    assert_frame_equal(store.read(TICKS, partition=BTC), ticks(3))


def test_the_next_write_finishes_what_a_dead_writer_decided(store: ClickHouseStore) -> None:
    store.replace(TICKS, BTC, ticks(3))
    _left_behind(store, "commit", "b" * 32)
    store.append(TICKS, ticks(4, "ETH"))
    assert _tables(store) == ["ticks"]
    assert_frame_equal(store.read(TICKS, partition=BTC), ticks(7, price=9.0))


def test_a_fault_of_the_server_is_one_line_without_the_password(store: ClickHouseStore) -> None:
    with pytest.raises(
        StoreError, match=rf"series store clickhouse://me:\*\*\*@127\.0\.0\.1:\d+/{store.database}: "
    ) as caught:
        store.query("SELECT no_such_function(1)")
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = make_url(f"clickhouse://me:se%2Fcret@127.0.0.1:{taken.getsockname()[1]}/db")
        with pytest.raises(StoreError, match=r"series store clickhouse://me:\*\*\*@127") as caught:
            ClickHouseStore(url).info()
    assert "\n" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_what_a_living_writer_waits_with_is_left_alone(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.replace(TICKS, BTC, ticks(3))
    monkeypatch.setattr(commit, "ORPHAN_SECONDS", 3600)
    _left_behind(store, "staging", "a" * 32)
    store.append(TICKS, ticks(4, "ETH"))
    assert _tables(store) == ["_staging_ticks_" + "a" * 32, "ticks"]
