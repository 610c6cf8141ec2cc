"""Limits of time and memory of a query on the default engine, and what becomes of one that is left."""

from __future__ import annotations

import threading
import time

import pytest

from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError, SqlLimit
from tracebank.settings import Settings
from tracebank.stores.opening import open_series

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"


def test_a_query_that_takes_too_long_is_stopped(connection: Connection) -> None:
    with pytest.raises(SqlLimit, match="longer than it may; give it more with --timeout"):
        connection.sql(ENDLESS, timeout=0.3)


def test_a_query_that_takes_too_much_memory_is_stopped(connection: Connection) -> None:
    with pytest.raises(SqlLimit, match="more memory than it may; give it more with --memory"):
        connection.sql("SELECT length(groupArray(number)) FROM numbers(1000000000)", memory=64 << 20)
    assert connection.sql("SELECT 1 AS a").rows() == [(1,)]


@pytest.mark.parametrize(("limits", "said"), [({"timeout": 0.0}, "timeout: 0"), ({"memory": 5}, "memory: 5 bytes")])
def test_limits_that_nothing_can_keep_are_refused(limits: dict[str, float], said: str, connection: Connection) -> None:
    with pytest.raises(SqlError, match=said):
        connection.sql("SELECT 1", **limits)  # type: ignore[arg-type]


def test_a_query_cannot_give_itself_more(connection: Connection) -> None:
    with pytest.raises(SqlError, match="SETTINGS cannot be changed"):
        connection.sql(f"{ENDLESS} SETTINGS max_execution_time = 0", timeout=0.3)


def _running(settings: Settings) -> int:
    text = "SELECT count() AS n FROM system.processes WHERE query LIKE '%1000000000000%' AND query NOT LIKE '%LIKE%'"
    return int(open_series(settings).query(text).to_pylist()[0]["n"])


def test_a_query_whose_asker_left_is_stopped(warehouse: Settings) -> None:
    left = threading.Event()

    def ask() -> None:
        connection = Connection(warehouse)
        with connection.open("SELECT number FROM numbers(1000000000000)") as answer:
            next(answer.batches)
        left.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert left.wait(60)
    thread.join()
    give_up = time.monotonic() + 60
    while _running(warehouse):
        assert time.monotonic() < give_up
        time.sleep(0.05)
