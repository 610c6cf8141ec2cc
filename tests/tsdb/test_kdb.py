"""kdb+ without a licence: IPC and conversion against a double of the wire format; q texts only as far as text goes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy.engine import make_url

from tracebank.stores.faults import StoreError
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.data import example_parameters, small_data
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.engines.kdb import engine as kdb
from tracebank_benchmarks.tsdb.engines.kdb.connection import NULL_LONG, KdbConnection, pykx
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane, Workload
from tracebank_schemas.tsdb_benchmark import TABLES, TRADES

from .kdb_wire import KDB_EPOCH, QError, Timestamps, kdb_double

DAY = datetime(2024, 8, 8, tzinfo=UTC)
DAY_NS = 1_723_075_200_000_000_000


def test_a_table_of_the_wire_becomes_arrow() -> None:
    sent = {
        "ts": Timestamps([DAY_NS + 1 - KDB_EPOCH, NULL_LONG]),
        "symbol": ["BTC-USD", "Ç two"],
        "seq": [5_000_000_000, NULL_LONG],
        "price": [1.5, float("nan")],
    }
    with kdb_double(sent) as double:
        connection = KdbConnection.to(make_url(f"kdb://127.0.0.1:{double.port}"))
        found = connection.table("bench_trades")
        connection.close()
    assert double.asked == ["bench_trades"]
    assert found.schema.field("ts").type == pa.timestamp("ns", "UTC")
    assert found.column("ts").cast(pa.int64()).to_pylist() == [DAY_NS + 1, None]
    assert found.drop_columns("ts").to_pydict() == {
        "symbol": ["BTC-USD", "Ç two"],
        "seq": [5_000_000_000, None],
        "price": [1.5, None],
    }


def test_errors_are_one_line() -> None:
    with kdb_double(QError("type")) as double:
        connection = KdbConnection.to(make_url(f"kdb://127.0.0.1:{double.port}"))
        with pytest.raises(StoreError, match=r"q signals 'type' at 'count'"):
            connection.evaluate("count")
        connection.close()
    with kdb_double(7) as double:
        connection = KdbConnection.to(make_url(f"kdb://127.0.0.1:{double.port}"))
        with pytest.raises(StoreError, match="not a table"):
            connection.table("7")
        connection.close()


def test_a_wrong_password_and_a_closed_port_are_one_line_without_the_password() -> None:
    with kdb_double(7, password="right") as double:
        url = make_url(f"kdb://someone:hidden-word@127.0.0.1:{double.port}")
        with pytest.raises(StoreError, match="does not answer") as caught:
            KdbConnection.to(url)
    assert "hidden-word" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="does not answer"):
        KdbConnection.to(make_url("kdb://127.0.0.1:1"))


def test_the_load_sends_every_row_with_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trades, _ = small_data(3)
    with kdb_double(0) as double:
        monkeypatch.setenv(kdb.URL_VARIABLE, f"kdb://127.0.0.1:{double.port}")
        monkeypatch.setattr(kdb, "BATCH", 128)
        with kdb.Kdb().session(Lane.PAPER, tmp_path) as session:
            phases = session.load(TRADES, [trades.to_arrow()])
    assert min(phases.serialise, phases.send, phases.settle) > 0
    sent = [asked[1] for asked in double.asked if isinstance(asked, list)]
    assert [len(table["seq"]) for table in sent] == [128, 128, 44]
    assert [seq for table in sent for seq in table["seq"]] == trades["seq"].to_list()
    assert [stamp + KDB_EPOCH for table in sent for stamp in table["ts"].values] == trades["ts"].cast(int).to_list()
    assert [name for table in sent for name in table["symbol"]] == trades["symbol"].to_list()
    assert [price for table in sent for price in table["price"]] == trades["price"].to_list()


def test_an_answer_has_the_workloads_columns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    workload = BY_ID["R14"]
    answer = {"seq": [1, 2], "book_seq": [7, NULL_LONG], "bid": [1.0, float("nan")], "ask": [2.0, float("nan")]}
    with kdb_double(answer) as double:
        monkeypatch.setenv(kdb.URL_VARIABLE, f"kdb://127.0.0.1:{double.port}")
        with kdb.Kdb().session(Lane.PAPER, tmp_path) as session:
            prepared = session.prepare(workload, {"symbols": ("a",), "start": DAY, "end": DAY})
            found = session.execute(prepared)
    assert prepared.text in double.asked
    assert found.column("book_seq").to_pylist() == [7, None]
    assert found.column("bid").to_pylist() == [1.0, None]


def test_state_tells_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    if pykx().licensed:
        pytest.skip("there is a licence here")
    state = kdb.Kdb().state()
    assert not state.available
    assert "QLIC" in state.reason
    assert kdb.URL_VARIABLE in state.reason
    monkeypatch.setenv(kdb.URL_VARIABLE, "http://x")
    assert "is not accepted" in kdb.Kdb().state().reason
    with kdb_double("4.1") as double:
        monkeypatch.setenv(kdb.URL_VARIABLE, f"kdb://127.0.0.1:{double.port}")
        assert kdb.Kdb().state().version == "4.1"


@pytest.mark.parametrize("workload", READS, ids=lambda workload: workload.id)
def test_every_read_has_a_text_whose_brackets_close(workload: Workload) -> None:
    """As much as can be told without q."""
    trades, book = small_data(1)
    text = queries.text("q", workload.id)
    assert text is not None
    assert text.startswith("/ Unrun")
    filled = kdb.sql.filled(workload, text, example_parameters(workload, trades, book, 5), kdb.literal)
    line = kdb.one_line(filled)
    assert "\n" not in line
    assert "Unrun" not in line
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
    for opening, closing in ("()", "[]", "{}"):
        assert bare.count(opening) == bare.count(closing), bare
    for output in workload.outputs:
        assert output.name in line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (DAY, "(2024.08.08D00:00:00.000000000)"),
        ("a", '(`$(enlist"a"))'),
        ('x";exit 0;"', '(`$"x\\042;exit 0;\\042")'),
        ("Ç", '(`$"\\303\\207")'),
        (("a",), '(`$(enlist (enlist"a")))'),
        (("ab", "O'NEIL"), '(`$("ab";"O\'NEIL"))'),
        ((1, 2), "((1j;2j))"),
        (0.5, "(0.5f)"),
    ],
)
def test_literals(value: Any, text: str) -> None:
    assert kdb.literal("x", value) == text


@pytest.mark.parametrize("value", [True, None, b"x", "nul\0", float("inf"), datetime(2024, 1, 1)])
def test_literals_refuse_what_q_cannot_have(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        kdb.literal("x", value)


def test_the_ddl_names_the_attribute_that_the_lane_is_about() -> None:
    connection = KdbConnection(lambda *_: None, lambda: None, "nowhere")
    ddl = kdb.KdbSession(lambda: connection, Lane.IDIOMATIC, "/data/kdb").ddl()
    assert all("`symbol;t]" in ddl and f";`{table.name};`{table.name}_in]" in ddl for table in TABLES)
    assert ".Q.dpft" not in kdb.KdbSession(lambda: connection, Lane.PAPER, "/data/kdb").ddl()


def test_batches_of_two_connections_are_sorted_before_the_next_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trades, _ = small_data(3)
    answer = {"symbol": ["a"], "highest_bid": [1.0]}
    question = kdb.Prepared(BY_ID["R3"], "asked")
    with kdb_double(answer) as double:
        monkeypatch.setenv(kdb.URL_VARIABLE, f"kdb://127.0.0.1:{double.port}")
        with kdb.Kdb().session(Lane.PAPER, tmp_path) as session, session.connection() as other:
            session.append(TRADES, trades[:3].to_arrow())
            other.append(TRADES, trades[3:4].to_arrow())
            assert session.execute(question).num_rows == 1
            assert other.execute(question).num_rows == 1
    asked = [one if isinstance(one, str) else len(one[1]["seq"]) for one in double.asked]
    assert asked[2:7] == [3, 1, "`ts`seq xasc `bench_trades", "asked", "asked"]


def test_a_historical_database_takes_no_batches_and_q_in_process_one_caller() -> None:
    trades, _ = small_data(3)
    connection = KdbConnection(lambda *_: None, lambda: None, "nowhere")
    session = kdb.KdbSession(lambda: connection, Lane.IDIOMATIC, "/data/kdb")
    with pytest.raises(UnsupportedError, match="written whole"):
        session.append(TRADES, trades.to_arrow())
    with pytest.raises(UnsupportedError, match="one caller"), session.connection():
        pass


def test_a_load_into_partitions_sends_rows_aside_and_merges_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trades, _ = small_data(3)
    with kdb_double(0) as double:
        monkeypatch.setenv(kdb.URL_VARIABLE, f"kdb://127.0.0.1:{double.port}")
        monkeypatch.setenv(kdb.FOLDER_VARIABLE, "/data/hdb")
        with kdb.Kdb().session(Lane.IDIOMATIC, tmp_path) as session:
            session.load(TRADES, [trades.to_arrow()])
    created, _, sent, merged, checked, mapped = double.asked[:6]
    assert created.startswith("bench_trades_in:([]ts:`timestamp$()")
    assert "date" not in created
    assert sent[0] == "{`bench_trades_in insert x;}"
    assert merged.endswith('[hsym `$"/data/hdb";`bench_trades;`bench_trades_in]')
    assert (checked, mapped) == ('.Q.chk hsym `$"/data/hdb"', 'system"l ","/data/hdb"')
