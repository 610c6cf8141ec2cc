"""PostgreSQL and TimescaleDB: reads against the oracle in both lanes, the binary encoder, locks, hypertables, states.

TimescaleDB's own texts run here on stand-ins for three of its functions, written in SQL: that shows what the texts ask,
not that the extension answers so.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy.engine import make_url

from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.engines.postgresql.timescaledb import TimescaleDBStore, columnstore, hypertable
from tracebank.engines.postgresql.writer import PostgreSQLWriter
from tracebank.settings import Settings
from tracebank.stores.faults import FrameRefused, StoreBusy, StoreError
from tracebank_benchmarks.tsdb.data import small_data, small_data_sets
from tracebank_benchmarks.tsdb.engine import Prepared
from tracebank_benchmarks.tsdb.engines.postgresql import (
    PostgreSQL,
    PostgreSQLSession,
    TimescaleDB,
    TimescaleDBSession,
    literal,
)
from tracebank_benchmarks.tsdb.examples import Rows
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane, Workload
from tracebank_schemas.series import TIMESTAMP, Column, SeriesTable
from tracebank_schemas.tsdb_benchmark import TRADES, naive

from .verified_reads import faults, faults_of_nothing, load, with_nanoseconds

_SERVER = os.environ.get("TRACEBANK_TEST_POSTGRES_URL", "")
"""Read when the suite is gathered: tests run without the developer's variables."""
needs_server = pytest.mark.skipif(not _SERVER, reason="no PostgreSQL: set TRACEBANK_TEST_POSTGRES_URL")
_TIMESCALEDB = os.environ.get("TRACEBANK_TEST_TIMESCALEDB_URL", "")
needs_timescaledb = pytest.mark.skipif(
    not _TIMESCALEDB, reason="no TimescaleDB: set TRACEBANK_TEST_TIMESCALEDB_URL to what '.ci/timescaledb start' prints"
)
FOLDER = Path()
"""Servers are given a folder and use none."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEBANK_BENCH_POSTGRES_URL", _SERVER)


@pytest.fixture(scope="module", params=Lane)
def loaded(request: pytest.FixtureRequest) -> Iterator[tuple[PostgreSQLSession, Rows]]:
    rows = with_nanoseconds(small_data(7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACEBANK_BENCH_POSTGRES_URL", _SERVER)
        with PostgreSQL().session(request.param, FOLDER) as session:
            load(session, rows)
            yield session, rows


@pytest.fixture
def store() -> Iterator[PostgreSQLStore]:
    store = PostgreSQLStore(make_url(_SERVER), schema=f"tracebank_test_{uuid.uuid4().hex[:16]}", lock_timeout=0.2)
    yield store
    with store.session() as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {store.schema}, {store.schema}_parts CASCADE".encode())


# --- reads ------------------------------------------------------------------------------------------------------------


@needs_server
@pytest.mark.parametrize("workload", READS, ids=lambda workload: workload.id)
def test_every_read_is_right(loaded: tuple[PostgreSQLSession, Rows], workload: Workload) -> None:
    session, rows = loaded
    for seed in range(4):
        assert faults(session, workload, rows, seed) == []
    assert faults_of_nothing(session, workload, rows) == []


@needs_server
@settings(max_examples=4, deadline=None)
@given(rows=small_data_sets(), seed=st.integers(0, 2**32))
def test_every_read_is_right_whatever_the_data(rows: Rows, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACEBANK_BENCH_POSTGRES_URL", _SERVER)
        with PostgreSQL().session(Lane.IDIOMATIC, FOLDER) as session:
            load(session, rows)
            assert {read.id: found for read in READS if (found := faults(session, read, rows, seed))} == {}


_STAND_INS = """
CREATE FUNCTION time_bucket(interval, timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    AS $$ SELECT date_bin($1, $2, TIMESTAMPTZ '2000-01-01 00:00:00+00') $$;
CREATE FUNCTION later(numeric[], double precision, bigint) RETURNS numeric[] LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN $1 IS NULL OR $1[2] < $3 THEN ARRAY[$2::numeric, $3] ELSE $1 END $$;
CREATE FUNCTION sooner(numeric[], double precision, bigint) RETURNS numeric[] LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN $1 IS NULL OR $1[2] > $3 THEN ARRAY[$2::numeric, $3] ELSE $1 END $$;
CREATE FUNCTION value_of(numeric[]) RETURNS double precision LANGUAGE sql IMMUTABLE
    AS $$ SELECT $1[1]::double precision $$;
CREATE AGGREGATE last(double precision, bigint) (SFUNC = later, STYPE = numeric[], FINALFUNC = value_of);
CREATE AGGREGATE first(double precision, bigint) (SFUNC = sooner, STYPE = numeric[], FINALFUNC = value_of)
"""


@needs_server
def test_timescaledbs_own_texts_ask_the_same(server: None) -> None:
    class OwnTexts(PostgreSQLSession):
        family = TimescaleDBSession.family
        _own_buckets = True
        _text = TimescaleDBSession._text

    rows = small_data(3)
    with PostgreSQL().session(Lane.PAPER, FOLDER) as session:
        load(session, rows)
        store = session._store
        with store.session() as connection:
            for text in _STAND_INS.split(";\n"):
                connection.execute(text.encode())
        own = OwnTexts(store, Lane.PAPER)
        assert {read.id: found for read in READS if (found := faults(own, read, rows, 0))} == {}


@needs_server
def test_a_query_that_takes_too_long_is_a_timeout(server: None) -> None:
    engine = PostgreSQL()
    engine.statement_timeout = 0.2
    with engine.session(Lane.PAPER, FOLDER) as session:
        with pytest.raises(TimeoutError, match="statement timeout"):
            session.execute(Prepared(BY_ID["R12"], "SELECT pg_sleep(5)::text AS symbol"))
        with pytest.raises(StoreError, match="nothing") as caught:
            session.execute(Prepared(BY_ID["R12"], "SELECT nothing"))
        assert "\n" not in str(caught.value)


@needs_server
def test_the_lanes_are_what_they_say(server: None) -> None:
    engine = PostgreSQL()
    with engine.session(Lane.PAPER, FOLDER) as session:
        assert "CREATE INDEX" not in session.ddl()
    with engine.session(Lane.IDIOMATIC, FOLDER) as session:
        load(session, small_data(1, 20))
        text = "SELECT indexdef FROM pg_indexes WHERE schemaname = %s ORDER BY indexname"
        with session._store.session() as connection:
            found = [row[0] for row in connection.execute(text, (session._store.schema,)).fetchall()]
        for pid in session.processes():  # none where the server is on another machine
            assert "postgres" in psutil.Process(pid).name()
        assert [index.partition(" USING ")[2] for index in found] == [
            "btree (symbol, ts, seq)",
            "brin (ts, seq) WITH (pages_per_range='16')",
        ] * 2


@needs_server
def test_settings_are_the_servers(server: None) -> None:
    found = PostgreSQL().settings()
    assert {"fsync", "synchronous_commit", "work_mem", "shared_buffers"} <= set(found)
    assert found["statement_timeout"] == "10min"


# --- literals ---------------------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@needs_server
@settings(max_examples=30, deadline=None)
@given(text=_TEXT, number=st.floats(allow_nan=False, allow_infinity=False))
def test_literals_mean_themselves(text: str, number: float) -> None:
    store = PostgreSQLStore(make_url(_SERVER))
    with store.session() as connection:
        query = f"SELECT {literal('symbol', text)}, {literal('price', number)}"
        assert connection.execute(query.replace("%", "%%").encode(), ()).fetchone() == (text, number)


def test_literals_of_times_and_tuples() -> None:
    moment = datetime(2024, 8, 8, 1, 2, 3, 4, tzinfo=UTC)
    stamp = "'2024-08-08 01:02:03.000004+00:00'::timestamptz"
    assert literal("end", moment) == stamp
    assert literal("symbols", ("a", "it's\\")) == r"'a', 'it''s\'"
    assert literal("seqs", (1, 2)) == "1, 2"
    assert literal("symbols", ()) == "NULL"
    assert literal("moments", (("a", moment),)) == f"('a', 1723078923000004000::bigint, {stamp})"
    for name, value in (("end", datetime(2024, 8, 8)), ("price", float("nan")), ("symbol", "a\0b")):
        with pytest.raises(ValueError, match=r"no time zone|not finite|NUL"):
            literal(name, value)
    for name, value in (("qty", True), ("qty", b"x"), ("symbols", (None,)), ("moments", ("a", "b"))):
        with pytest.raises(TypeError, match="parameter"):
            literal(name, value)  # type: ignore[arg-type]


# --- the store's own --------------------------------------------------------------------------------------------------

_KINDS = {
    "b": pa.bool_(),
    "d": pa.date32(),
    "i8": pa.int8(),
    "i16": pa.int16(),
    "i32": pa.int32(),
    "i64": pa.int64(),
    "u8": pa.uint8(),
    "u16": pa.uint16(),
    "u32": pa.uint32(),
    "u64": pa.uint64(),
    "f32": pa.float32(),
    "f64": pa.float64(),
    "s": pa.string(),
}
EVERYTHING = SeriesTable(
    "everything",
    "A column of each type that series tables may have.",
    (
        Column("ts", TIMESTAMP, "when"),
        Column("n", pa.int64(), "number"),
        *(Column(name, kind, "value", nullable=True) for name, kind in _KINDS.items()),
        Column("t", TIMESTAMP, "another time", nullable=True),
        Column("l32", pa.list_(pa.float32()), "vector"),
        Column("l64", pa.list_(pa.float64()), "vector"),
    ),
    ("n",),
    (),
)


def _everything(seed: int, rows: int) -> pl.DataFrame:
    """Random rows with the ends of every type, nulls, and lists that may be empty."""
    random = np.random.default_rng(seed)
    columns: dict[str, object] = {
        "ts": random.integers(-(2**62), 2**62, rows),
        "n": np.arange(rows),
        "t": random.integers(-(2**62), 2**62, rows),
        "b": random.random(rows) < 0.5,
        "d": random.integers(-700_000, 2_000_000, rows).astype(np.int32),
        "f32": np.where(random.random(rows) < 0.1, np.inf, random.normal(size=rows)).astype(np.float32),
        "f64": np.where(random.random(rows) < 0.1, -np.inf, random.normal(size=rows)),
        "s": ["" if size == 0 else "ż'\\\n" * size for size in random.integers(0, 5, rows)],
        "l32": [list(random.normal(size=size)) for size in random.integers(0, 4, rows)],
        "l64": [list(random.normal(size=size)) for size in random.integers(0, 4, rows)],
    }
    for name in ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"):
        ends = np.iinfo(pl.Series([], dtype=EVERYTHING.polars_schema[name]).to_numpy().dtype)
        columns[name] = random.choice(np.array([ends.min, ends.max, 0, 1, ends.max // 3], dtype=ends.dtype), rows)
    frame = pl.DataFrame(columns).cast(EVERYTHING.polars_schema).select(EVERYTHING.arrow_schema.names)  # type: ignore[arg-type]
    nullable = [column.name for column in EVERYTHING.columns if column.nullable]
    return frame.with_columns(
        pl.when(pl.Series(random.random(rows) < 0.8)).then(pl.col(name)).alias(name) for name in nullable
    )


@needs_server
@pytest.mark.parametrize("rows", [1, 7, 40_000])
def test_every_type_comes_back(store: PostgreSQLStore, rows: int) -> None:
    frame = _everything(rows, rows)
    store.append(EVERYTHING, frame)
    assert_frame_equal(store.read(EVERYTHING), frame)
    assert store.differences(EVERYTHING) == []


@needs_server
def test_a_gained_column_that_may_not_be_null_is_empty_in_old_rows(store: PostgreSQLStore) -> None:
    less = dataclasses.replace(EVERYTHING, columns=EVERYTHING.columns[:2])
    store.append(less, _everything(1, 3).select("ts", "n"))
    filled = dataclasses.replace(
        EVERYTHING, columns=tuple(dataclasses.replace(column, nullable=False) for column in EVERYTHING.columns)
    )
    store.create(filled)
    assert store.differences(filled) == []
    assert store.read(filled).select("i64", "s", "l32", "b", "d", "t").row(0) == (
        0,
        "",
        [],
        False,
        date(1970, 1, 1),
        datetime(1970, 1, 1, tzinfo=UTC),
    )


@needs_server
def test_sql_sees_microseconds_and_readers_nanoseconds(store: PostgreSQLStore) -> None:
    table = SeriesTable("t", "times", (Column("ts", TIMESTAMP, "when"),), ("ts",), ())
    stamps = pl.Series([1_723_075_200_123_456_999, 1_723_075_200_123_456_001, -1]).cast(pl.Datetime("ns", "UTC"))
    store.append(table, pl.DataFrame({"ts": stamps}))
    assert store.read(table)["ts"].to_list() == sorted(stamps.to_list())
    assert store.read(table)["ts"].cast(pl.Int64).to_list() == sorted(stamps.cast(pl.Int64).to_list())
    seen = store.query("SELECT ts, ts_ns FROM t ORDER BY ts, ts_ns").to_pydict()
    assert seen["ts_ns"] == sorted(stamps.cast(pl.Int64).to_list())
    assert seen["ts"][0] == datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)
    found = store.query("SELECT count(*) AS n FROM t WHERE ts_ns > %(from)s;", {"from": 0}).to_pydict()
    assert found == {"n": [2]}


def test_a_column_named_as_a_hidden_one_is_refused() -> None:
    table = SeriesTable("t", "d", (Column("ts", TIMESTAMP, "when"), Column("ts_ns", pa.int64(), "x")), ("ts",), ())
    with pytest.raises(StoreError, match="table t: column ts_ns has the name of a hidden column"):
        PostgreSQLStore(make_url("postgresql+psycopg://h/d")).statements(table)


@needs_server
def test_two_writers_of_one_partition_follow_each_other(
    store: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgreSQLWriter, "block_rows", 2)  # the first writer has begun before the second comes
    trades = small_data(1)[0]
    day = trades["ts"][0].date()
    rows = trades.filter(pl.col("ts").dt.date() == day)
    with store.replacing(TRADES, {"day": day}) as first:
        first.write(rows)
        with pytest.raises(StoreBusy, match="lock timeout"):
            store.replace(TRADES, {"day": day}, rows[:5])
        assert store.read(TRADES).is_empty()
    assert store.size(TRADES).rows == rows.height
    patient = PostgreSQLStore(store.url, schema=store.schema)
    writers = [threading.Thread(target=patient.replace, args=(TRADES, {"day": day}, rows[:n])) for n in (3, 4, 5)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert store.size(TRADES).rows in (3, 4, 5)


@needs_server
def test_text_with_a_nul_is_refused_and_the_old_rows_stand(store: PostgreSQLStore) -> None:
    trades = small_data(1, 20)[0]
    store.append(TRADES, trades)
    with pytest.raises(StoreError, match="keeps no NUL"):
        store.append(TRADES, trades.with_columns(venue=pl.lit("a\0b")))
    assert store.size(TRADES).rows == 20
    with pytest.raises(FrameRefused, match="NUL"):
        literal("symbol", "\0")


# --- states and TimescaleDB -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [PostgreSQL, TimescaleDB])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is not set; use postgresql+psycopg://"),
        ("nonsense", "'nonsense' is not accepted"),
        ("mysql://u:secret@h/", "is not accepted"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/d", "refused"),
    ],
)
def test_a_server_that_cannot_be_had_says_why(
    monkeypatch: pytest.MonkeyPatch, engine: type[PostgreSQL], url: str, says: str
) -> None:
    monkeypatch.setenv("TRACEBANK_BENCH_POSTGRES_URL", url)
    state = engine().state()
    assert not state.available
    assert says in state.reason
    assert "secret" not in state.reason
    assert "\n" not in state.reason


@needs_server
def test_a_wrong_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = make_url(_SERVER).set(password="wr0ng-one").render_as_string(hide_password=False)
    monkeypatch.setenv("TRACEBANK_BENCH_POSTGRES_URL", wrong)
    state = PostgreSQL().state()
    assert not state.available
    assert "password authentication failed" in state.reason
    assert "wr0ng-one" not in state.reason


@needs_server
def test_timescaledb_is_never_plain_postgresql(server: None) -> None:
    state = TimescaleDB().state()
    if state.available:
        pytest.skip("the extension is there")
    assert state.reason.startswith("extension timescaledb is not installed on this server; ")
    store = TimescaleDBStore(make_url(_SERVER), schema=f"tracebank_test_{uuid.uuid4().hex[:16]}")
    with pytest.raises(StoreError, match="table bench_trades: extension timescaledb is not installed"):
        store.append(TRADES, small_data(1, 20)[0])
    with store.session() as connection:
        assert connection.execute("SELECT to_regnamespace(%s)", (store.schema,)).fetchone() == (None,)


def test_hypertables_and_columnstore() -> None:
    place = '"s"."bench_trades"'
    assert hypertable(TRADES, place) == [
        "SELECT create_hypertable('\"s\".\"bench_trades\"', by_range('ts', INTERVAL '1 day'),"
        " create_default_indexes => false)",
    ]
    assert columnstore(TRADES, place) == [
        'ALTER TABLE "s"."bench_trades" SET (timescaledb.enable_columnstore = true,'
        " timescaledb.segmentby = 'symbol', timescaledb.orderby = 'ts, seq')",
        "CALL add_columnstore_policy('\"s\".\"bench_trades\"', after => INTERVAL '1 day',"
        " schedule_interval => INTERVAL '10 minutes', if_not_exists => true)",
    ]
    [alone] = columnstore(TRADES, place, ["venue", "no such column"], policy=False)
    assert "timescaledb.segmentby = 'symbol, venue', timescaledb.orderby = 'ts, seq'" in alone
    [paper] = hypertable(naive(TRADES), place)
    assert "INTERVAL '7 days'" in paper
    timeless = SeriesTable("t", "d", (Column("n", pa.int64(), "x"),), ("n",), ())
    with pytest.raises(StoreError, match="cannot be a hypertable"):
        hypertable(timeless, "s")


@pytest.mark.parametrize("lane", Lane)
def test_a_store_fills_its_columnstore_and_a_load_of_the_suite_does_so_itself(
    monkeypatch: pytest.MonkeyPatch, lane: Lane
) -> None:
    monkeypatch.setenv("TRACEBANK_BENCH_TIMESCALEDB_URL", "timescaledb://me@127.0.0.1:1/d")
    engine = TimescaleDB()
    suite = " ".join(engine._store(engine._url(), lane, {}).statements(TRADES))
    assert ("enable_columnstore" in suite) == (lane is Lane.IDIOMATIC)
    assert "policy" not in suite
    store = TimescaleDBStore(make_url("postgresql+psycopg://me@127.0.0.1:1/d"))
    assert "CALL add_columnstore_policy" in " ".join(store.statements(TRADES))


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "timescaledb+psycopg", "timescaledb"])
def test_the_suite_takes_the_urls_that_the_series_store_takes(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    text = f"{scheme}://me:secret@host/d"
    monkeypatch.setenv("TRACEBANK_BENCH_POSTGRES_URL", text)
    assert PostgreSQL()._url().drivername == TimescaleDB()._url().drivername == "postgresql+psycopg"
    assert Settings.load(series_url=text).series.drivername.removesuffix("+psycopg") == scheme.removesuffix("+psycopg")


@needs_server
def test_a_server_that_may_lose_rows_says_so(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgreSQL, "_session_settings", lambda _: {"synchronous_commit": "off"})
    assert "not durable: " in PostgreSQL().state().edition
    assert "synchronous_commit off" in PostgreSQL().state().edition


@needs_timescaledb
@pytest.mark.parametrize("lane", Lane)
def test_every_read_is_right_on_timescaledb(monkeypatch: pytest.MonkeyPatch, lane: Lane) -> None:
    monkeypatch.setenv("TRACEBANK_BENCH_TIMESCALEDB_URL", _TIMESCALEDB)
    rows = with_nanoseconds(small_data(7))
    with TimescaleDB().session(lane, FOLDER) as session:
        load(session, rows)
        assert {read.id: found for read in READS if (found := faults(session, read, rows, 0))} == {}
        assert {read.id: found for read in READS if (found := faults_of_nothing(session, read, rows))} == {}
