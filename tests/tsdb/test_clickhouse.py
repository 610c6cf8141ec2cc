"""ClickHouse in the suite: all reads against the oracle in both lanes, literals, cluster DDL, states."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.stores.faults import StoreError
from tracebank_benchmarks.tsdb.data import small_data, small_data_sets
from tracebank_benchmarks.tsdb.engine import Prepared
from tracebank_benchmarks.tsdb.engines import clickhouse_cluster
from tracebank_benchmarks.tsdb.engines.clickhouse import (
    ClickHouseEmbedded,
    ClickHouseServer,
    ClickHouseSession,
    literal,
)
from tracebank_benchmarks.tsdb.examples import Rows
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane, Workload
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

from .verified_reads import faults, faults_of_nothing, load, with_nanoseconds


@pytest.fixture(scope="class", params=Lane)
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ClickHouseSession, Rows]]:
    rows = with_nanoseconds(small_data(7))
    with ClickHouseEmbedded().session(request.param, tmp_path_factory.mktemp("chdb")) as session:
        load(session, rows)
        yield session, rows


class TestReads:
    """A class, so that the engine is closed after it: other tests open other folders."""

    @pytest.mark.parametrize("workload", READS, ids=lambda workload: workload.id)
    def test_every_read_is_right(self, loaded: tuple[ClickHouseSession, Rows], workload: Workload) -> None:
        session, rows = loaded
        for seed in range(4):
            assert faults(session, workload, rows, seed) == []
        assert faults_of_nothing(session, workload, rows) == []


@settings(max_examples=4, deadline=None)
@given(rows=small_data_sets(), seed=st.integers(0, 2**32))
def test_every_read_is_right_whatever_the_data(tmp_path_factory: pytest.TempPathFactory, rows: Rows, seed: int) -> None:
    with ClickHouseEmbedded().session(Lane.IDIOMATIC, tmp_path_factory.mktemp("chdb")) as session:
        load(session, rows)
        assert {read.id: found for read in READS if (found := faults(session, read, rows, seed))} == {}


def test_lanes_open_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    rows, engine = small_data(1, 20), ClickHouseEmbedded()
    with engine.session(Lane.PAPER, tmp_path / "a") as paper, engine.session(Lane.IDIOMATIC, tmp_path / "b") as other:
        load(paper, rows)
        assert other.size(TRADES).rows == 0
        assert other.cold() == "reopened"
        assert faults(paper, BY_ID["R12"], rows, 0) == []


def test_cold_reopens_the_engine(tmp_path: Path) -> None:
    rows = small_data(1, 20)
    with ClickHouseEmbedded().session(Lane.PAPER, tmp_path) as session:
        load(session, rows)
        assert session.cold() == "reopened"
        assert faults(session, BY_ID["R12"], rows, 0) == []


def test_the_lanes_are_what_they_say(tmp_path: Path) -> None:
    engine = ClickHouseEmbedded()
    with engine.session(Lane.PAPER, tmp_path) as session:
        paper = session.ddl()
    with engine.session(Lane.IDIOMATIC, tmp_path) as session:
        idiomatic = session.ddl()
    assert not any(word in paper for word in ("LowCardinality", "CODEC", "PARTITION BY", "OPTIMIZE"))
    assert 'ORDER BY ("ts", "seq")' in paper
    for text in ("LowCardinality", "CODEC(Delta, ZSTD)", "PARTITION BY", 'ORDER BY ("symbol", "ts", "seq")', "FINAL"):
        assert text in idiomatic


def test_a_read_is_one_statement_whose_settings_stay_its_own(tmp_path: Path) -> None:
    count = "SELECT toInt64(value) AS n FROM system.events WHERE event = 'Query'"
    asked = "SELECT toInt64(getSetting('max_block_size')) AS n"
    with ClickHouseEmbedded().session(Lane.PAPER, tmp_path) as session:
        client = session._client()

        def one(text: str, **settings: object) -> int:
            return int(client.query_arrow(text, settings=dict(settings)).column(0)[0].as_py())

        one(count)
        before = one(count)
        assert one(count) == before + 1
        usual = one(asked)
        assert [one(asked, max_block_size=size) for size in (7, 8, 7)] == [7, 8, 7]
        assert one(asked) == usual
        with pytest.raises(Exception, match="UNKNOWN_IDENTIFIER"):
            client.query_arrow("SELECT nothing")
        assert one(asked) == usual


def test_a_query_that_takes_too_long_is_a_timeout(tmp_path: Path) -> None:
    engine = ClickHouseEmbedded()
    engine.statement_timeout = 0.2
    with engine.session(Lane.PAPER, tmp_path) as session:
        slow = Prepared(BY_ID["R12"], "SELECT sum(sipHash64(number)) AS n FROM numbers(100000000000)")
        with pytest.raises(TimeoutError, match="TIMEOUT_EXCEEDED"):
            session.execute(slow)
        with pytest.raises(StoreError, match="UNKNOWN_IDENTIFIER") as caught:
            session.execute(Prepared(BY_ID["R12"], "SELECT nothing"))
        assert "\n" not in str(caught.value)
        with pytest.raises(ValueError, match="the answer has columns"):
            session.execute(Prepared(BY_ID["R12"], "SELECT 1 AS one"))


# --- literals ---------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=20), number=st.floats(allow_nan=False, allow_infinity=False))
def test_literals_mean_themselves(tmp_path_factory: pytest.TempPathFactory, text: str, number: float) -> None:
    store = ClickHouseStore(make_url(f"chdb:///{tmp_path_factory.getbasetemp() / 'literals'}"))
    with store.session() as client:
        found = client.query(f"SELECT {literal('symbol', text)}, toFloat64({literal('price', number)})").result_rows
    assert found == [(text, number)]


def test_literals_of_times_and_tuples() -> None:
    moment = datetime(2024, 8, 8, 1, 2, 3, 4, tzinfo=UTC)
    stamp = "toDateTime64('2024-08-08 01:02:03.000004000', 9, 'UTC')"
    assert literal("end", moment) == stamp
    assert literal("symbols", ("a", "it's")) == "'a', 'it''s'"
    assert literal("seqs", (1, 2)) == "1, 2"
    assert literal("symbols", ()) == "NULL"
    assert literal("moments", (("a", moment),)).startswith(f"CAST([('a', {stamp})], 'Array(")
    for name, value in (("end", datetime(2024, 8, 8)), ("price", float("nan")), ("price", float("inf"))):
        with pytest.raises(ValueError, match=r"no time zone|not finite"):
            literal(name, value)
    for name, value in (("qty", True), ("qty", b"x"), ("symbols", (None,)), ("moments", ("a", "b")), ("moments", "a")):
        with pytest.raises(TypeError, match="parameter"):
            literal(name, value)  # type: ignore[arg-type]


def test_parameters_must_be_the_workloads(tmp_path: Path) -> None:
    with (
        ClickHouseEmbedded().session(Lane.PAPER, tmp_path) as session,
        pytest.raises(ValueError, match=r"R26: parameters \['start'\], it takes \['end'\]"),
    ):
        session.prepare(BY_ID["R26"], {"start": 1})


# --- cluster and server -----------------------------------------------------------------------------------------------


def test_cluster_ddl() -> None:
    local, distributed = clickhouse_cluster.create_tables(TRADES, "b", "c1")
    assert local.startswith(
        'CREATE TABLE IF NOT EXISTS "b"."bench_trades_local" ON CLUSTER "c1" (\n  "ts" DateTime64(9, \'UTC\')'
    )
    assert (
        "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/bench_trades_local', '{replica}')" in local
    )
    assert '\nORDER BY ("symbol", "ts", "seq")' in local
    assert distributed == (
        'CREATE TABLE IF NOT EXISTS "b"."bench_trades" ON CLUSTER "c1" AS "b"."bench_trades_local"\n'
        "ENGINE = Distributed('c1', 'b', 'bench_trades_local', cityHash64(symbol))"
    )
    assert clickhouse_cluster.create_database("b", 'c"1') == 'CREATE DATABASE IF NOT EXISTS "b" ON CLUSTER "c""1"'
    assert clickhouse_cluster.optimize(BOOK, "b", "c1") == 'OPTIMIZE TABLE "b"."bench_book_local" ON CLUSTER "c1" FINAL'
    assert clickhouse_cluster.drop_database("b", "c1") == 'DROP DATABASE IF EXISTS "b" ON CLUSTER "c1" SYNC'


def test_a_cluster_session_records_its_ddl() -> None:
    url = make_url("clickhouse://u:p@h/")
    store = ClickHouseStore(url)
    store.database = "b"
    paper = ClickHouseSession(store, url, Lane.PAPER, {}, "c1").ddl()
    assert paper.count('ON CLUSTER "c1"') == 5
    assert "LowCardinality" not in paper
    assert "OPTIMIZE" not in paper
    idiomatic = ClickHouseSession(store, url, Lane.IDIOMATIC, {}, "c1").ddl()
    assert idiomatic.count("FINAL") == 2


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "TRACEBANK_BENCH_CLICKHOUSE_URL: is not set; use clickhouse://"),
        ("nonsense", "'nonsense' is not accepted; use clickhouse://"),
        ("mysql://u:secret@h/", "is not accepted"),
        ("clickhouse://u:secret@127.0.0.1:1/", "does not answer"),
    ],
)
def test_a_server_that_cannot_be_had_says_why(monkeypatch: pytest.MonkeyPatch, url: str, says: str) -> None:
    monkeypatch.setenv("TRACEBANK_BENCH_CLICKHOUSE_URL", url)
    state = ClickHouseServer().state()
    assert not state.available
    assert says in state.reason
    assert "secret" not in state.reason
    assert "\n" not in state.reason


def test_the_embedded_engine_is_there() -> None:
    state = ClickHouseEmbedded().state()
    assert state.available
    assert state.version[0].isdigit()
    assert int(ClickHouseEmbedded().settings()["max_threads"]) > 0
