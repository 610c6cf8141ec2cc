"""Native partitions: what they are divided by, that swaps stand in nobody's way, and that kills leave old or new."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta

import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal

from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.engines.postgresql.upgrade import divide
from tracebank.engines.postgresql.writer import PostgreSQLWriter
from tracebank.stores.faults import FrameRefused, StoreBusy, StoreError
from tracebank.tables.writer import drained
from tracebank_schemas.catalogue import TABLES

from .conftest import DAY, trades

TRADES = TABLES["trades"]
BTC = {"day": DAY, "symbol": "BTC"}
ETH = {"day": DAY, "symbol": "ETH"}
EVE = DAY - timedelta(days=1)


def _tables(store: PostgreSQLStore) -> list[str]:
    text = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p')"
    with store.session() as session:
        return [str(name) for (name,) in session.execute(text, (f"{store.schema}_parts",))]


def _plan(store: PostgreSQLStore, query: str) -> str:
    with store.session() as session:
        return "\n".join(str(line) for (line,) in session.execute(f"EXPLAIN {query}".encode()))


def test_queries_of_the_parent_reach_only_what_they_need(store: PostgreSQLStore) -> None:
    days = [DAY - timedelta(days=back) for back in range(4)]
    for back, day in enumerate(days):
        for symbol in ("BTC", "ETH"):
            store.replace(TRADES, {"day": day, "symbol": symbol}, trades(symbol, back=back))
    assert _plan(store, "SELECT * FROM trades").count("Scan on") == 8
    of_day = f"ts >= '{EVE}' AND ts < '{DAY}'"
    assert _plan(store, f"SELECT * FROM trades WHERE {of_day}").count("Scan on") == 2
    assert _plan(store, "SELECT * FROM trades WHERE symbol = 'BTC'").count("Scan on") == 4
    assert _plan(store, f"SELECT * FROM trades WHERE symbol = 'BTC' AND {of_day}").count("Scan on") == 1
    assert [(entry["day"], entry["symbol"], rows) for entry, rows in store.partitions(TRADES)] == sorted(
        (day, symbol, 50) for day in days for symbol in ("BTC", "ETH")
    )


def test_nothing_is_looked_at_to_attach_a_partition(store: PostgreSQLStore) -> None:
    """The engine says so at a level that it does not log; a scan would hold the table for as long as it takes."""
    store.replace(TRADES, BTC, trades("BTC"))
    with PostgreSQLWriter(store, TRADES, BTC) as writer:
        writer.write(trades("BTC"))
        writer._flush()
        said: list[str] = []
        writer._session.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
        writer._session.execute("SET LOCAL client_min_messages = debug1")
    assert any("is implied by existing constraints" in line for line in said)


def test_a_replace_by_nothing_keeps_no_rows_and_none_that_was_not_there(store: PostgreSQLStore) -> None:
    store.create(TRADES)
    store.replace(TRADES, BTC, [])
    assert _tables(store) == []
    store.replace(TRADES, BTC, trades("BTC"))
    store.delete(TRADES, BTC)
    assert store.partitions(TRADES) == []
    assert store.size(TRADES, BTC).rows == 0


def test_appends_add_to_partitions_that_stand_and_make_others(store: PostgreSQLStore) -> None:
    store.replace(TRADES, BTC, trades("BTC", 10))
    with PostgreSQLWriter(store, TRADES, None) as late:
        late.write(trades("ETH", 5))
        late._flush()
        store.append(TRADES, [trades("BTC", 3), trades("ETH", 2)])  # meanwhile another makes it
    assert store.partitions(TRADES) == [(BTC, 13), (ETH, 7)]
    assert store.size(TRADES).rows == store.read(TRADES).height == 20
    store.replace(TRADES, ETH, trades("ETH", 4))
    assert store.partitions(TRADES) == [(BTC, 13), (ETH, 4)]
    assert not [name for name in _tables(store) if name.startswith("stage")]


def test_one_connection_serves_several_appends(store: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.session() as session:
        for rows in (3, 4):
            with PostgreSQLWriter(store, TRADES, None, session) as writer:
                writer.write(trades("BTC", rows))
        monkeypatch.setattr(PostgreSQLWriter, "block_rows", 2)
        with pytest.raises(FrameRefused):
            drained(PostgreSQLWriter(store, TRADES, None, session), [trades("BTC", 5), trades("BTC", 5).drop("price")])
        assert session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert store.size(TRADES).rows == 7


def test_a_long_reader_stands_in_the_way_of_its_partition_alone(store: PostgreSQLStore) -> None:
    store.append(TRADES, [trades("BTC", 10), trades("ETH", 10)])
    impatient = PostgreSQLStore(store.url, schema=store.schema, lock_timeout=0.3)
    with store.session() as session, session.transaction():
        read = "SELECT count(*) FROM trades WHERE symbol = 'BTC'"
        assert session.execute(read.encode()).fetchone() == (10,)
        impatient.replace(TRADES, ETH, trades("ETH", 7))
        with pytest.raises(StoreBusy, match="lock timeout"):
            impatient.replace(TRADES, BTC, trades("BTC", 7))
        with store.session() as other:  # nobody waits behind the writer that gave up
            assert other.execute(read.encode()).fetchone() == (10,)
        patient = threading.Thread(target=store.replace, args=(TRADES, BTC, trades("BTC", 7)))
        patient.start()
    patient.join()
    assert store.partitions(TRADES) == [(BTC, 7), (ETH, 7)]


def test_a_transaction_that_began_before_a_swap_sees_rows(store: PostgreSQLStore) -> None:
    store.append(TRADES, [trades("BTC", 10), trades("ETH", 10)])
    with store.session() as session, session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT 1 FROM pg_class LIMIT 1")
        store.replace(TRADES, BTC, trades("BTC", 7))
        assert session.execute("SELECT count(*) FROM trades WHERE symbol = 'BTC'").fetchone() == (7,)


def test_readers_and_writers_at_once_see_whole_partitions(store: PostgreSQLStore) -> None:
    store.append(TRADES, [trades("BTC", 1), trades("ETH", 1)])
    done, seen, faults = threading.Event(), [], []

    def reads() -> None:
        try:
            with store.session() as session:
                while not done.is_set():
                    text = "SELECT symbol, count(*), sum(qty) FROM trades GROUP BY symbol"
                    seen.append(session.execute(text.encode()).fetchall())
        except Exception as error:
            faults.append(error)

    def writes(symbol: str) -> None:
        try:
            for rows in (500, 1, 900, 3):
                store.replace(TRADES, {"day": DAY, "symbol": symbol}, trades(symbol, rows))
        except Exception as error:
            faults.append(error)

    readers = [threading.Thread(target=reads) for _ in range(2)]
    writers = [threading.Thread(target=writes, args=(symbol,)) for symbol in ("BTC", "ETH")]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert faults == []
    assert {rows for answer in seen for _, rows, _ in answer} <= {1, 3, 500, 900}
    assert all(len(answer) == 2 for answer in seen)


class _Gone(BaseException):
    """The writer's process is no more."""


@pytest.mark.parametrize("kind", ["replace", "append"])
def test_a_writer_that_goes_at_any_statement_leaves_old_or_new(
    kind: str, store: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the server a killed process is a connection that ends, at any statement."""
    left = 0

    class Killed(psycopg.Connection[tuple[object, ...]]):
        def execute(self, *args: object, **options: object) -> psycopg.Cursor[tuple[object, ...]]:
            nonlocal left
            left -= 1
            if left == 0:
                self.pgconn.finish()
                raise _Gone
            return super().execute(*args, **options)  # type: ignore[arg-type]

    new = {"replace": trades("BTC", 20), "append": pl.concat([trades("BTC", 20), trades("ETH", 4)])}[kind]
    expected = {"replace": {(10, 0), (20, 0)}, "append": {(20, 0), (40, 4)}}[kind]
    for step in range(1, 60):
        store.drop(TRADES)
        store.append(TRADES, trades("BTC", 10 if kind == "replace" else 20))
        with monkeypatch.context() as patch:
            patch.setattr("tracebank.engines.postgresql.writer.psycopg.connect", Killed.connect)
            left = step
            with suppress(_Gone):
                store.replace(TRADES, BTC, new) if kind == "replace" else store.append(TRADES, new)
        seen = store.read(TRADES, partition=BTC).height, store.read(TRADES, partition=ETH).height
        assert seen in expected
        assert sum(rows for _, rows in store.partitions(TRADES)) == sum(seen)
        assert not [name for name in _tables(store) if name.startswith("stage")]
        if left > 0:
            break
    assert step > 10
    assert seen == max(expected)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_an_earlier_version_is_divided_with_its_rows(name: str, store: PostgreSQLStore) -> None:
    table = TABLES[name]
    before = PostgreSQLStore(store.url, schema=store.schema, partitioned=False)
    assert not divide(store, table)
    before.create(table)
    if name == "trades":
        before.append(table, [trades("BTC", 10), trades("ETH", 5), trades("BTC", 7, back=1)])
        assert before.size(table, BTC).rows == 10
        store.replace(table, BTC, trades("BTC", 12))  # works before it is divided, too
        assert store.partitions(table)[0] == ({"day": EVE, "symbol": "BTC"}, 7)
    kept = store.read(table)
    assert divide(store, table)
    assert not divide(store, table)
    assert store.differences(table) == []
    assert_frame_equal(store.read(table), kept)
    if name == "trades":
        assert store.partitions(table) == [({"day": EVE, "symbol": "BTC"}, 7), (BTC, 12), (ETH, 5)]
        store.replace(table, BTC, trades("BTC", 3))
        assert store.size(table).rows == 15


def test_more_partitions_than_the_server_has_locks_for_is_told(store: PostgreSQLStore) -> None:
    with pytest.raises(StoreError, match="raise max_locks_per_transaction"), store.faults():
        raise psycopg.errors.OutOfMemory("out of shared memory")
