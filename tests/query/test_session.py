"""`connect().sql(…)`: types, parameters, limits, streams, errors, cancelling."""

from __future__ import annotations

import _thread
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tracebank.engines.clickhouse.result_types import retyped
from tracebank.query.catalogue import tables
from tracebank.query.connection import Connection, connect
from tracebank.query.errors import SqlCancelled, SqlError, one_line
from tracebank.settings import Settings
from tracebank_schemas.catalogue import MODELS, TABLES

NS = pl.Datetime("ns", "UTC")


def test_connect_is_offered_by_the_package(warehouse: Settings) -> None:
    import tracebank

    assert tracebank.connect is connect
    assert tracebank.connect(warehouse).sql("SELECT 1 AS a").rows() == [(1,)]


def test_rows_come_back_as_they_were_written(connection: Connection) -> None:
    found = connection.sql("SELECT * FROM trades WHERE symbol = 'BTCUSDT' ORDER BY seq")
    assert found.schema == TABLES["trades"].polars_schema
    assert found["seq"].to_list() == list(range(50))
    assert found["price"].to_list() == [100.0 + n for n in range(50)]
    first = datetime(2024, 8, 8, 9, 30, tzinfo=UTC)
    seconds = [round((first + timedelta(seconds=n)).timestamp()) for n in range(50)]
    assert found["ts"].to_physical().to_list() == [second * 10**9 + 7 for second in seconds]


def test_series_and_relational_are_joined_in_one_query(connection: Connection) -> None:
    found = connection.sql(
        "SELECT t.symbol AS symbol, i.price_unit AS unit, count() AS n, min(i.first_ts) AS first"
        " FROM series.trades AS t JOIN relational.instruments AS i USING (venue, symbol) GROUP BY symbol, unit"
    )
    assert found.rows() == [("BTCUSDT", "USDT", 50, datetime(2024, 8, 8, 9, 30, tzinfo=UTC))]
    assert found.schema["first"] == NS


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("toDateTime('2024-01-02 03:04:05')", NS, datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("toDateTime('2024-01-02 03:04:05', 'Asia/Tokyo')", NS, datetime(2024, 1, 1, 18, 4, 5, tzinfo=UTC)),
        ("toDateTime64('2024-01-02 03:04:05.6', 3, 'Asia/Tokyo')", NS, datetime(2024, 1, 1, 18, 4, 5, 600000, UTC)),
        ("toStartOfMinute(toDateTime64('2024-01-02 03:04:05.6', 9))", NS, datetime(2024, 1, 2, 3, 4, tzinfo=UTC)),
        ("NULL::Nullable(DateTime)", NS, None),
        ("toDate('2024-01-02')", pl.Date, date(2024, 1, 2)),
        ("toDate32('1950-01-02')", pl.Date, date(1950, 1, 2)),
        ("CAST('b, = 2', 'Enum8(''a'' = -3, ''b, = 2'' = 1)')", pl.String, "b, = 2"),
        ("CAST('b', 'Enum16(''a'' = 1, ''b'' = 300)')", pl.String, "b"),
        ("CAST(NULL, 'Nullable(Enum8(''a'' = 1))')", pl.String, None),
        ("toLowCardinality('x')", pl.String, "x"),
        ("toLowCardinality(NULL::Nullable(String))", pl.String, None),
        ("toFixedString('ab', 2)", pl.String, "ab"),
        ("toInt8(-1)", pl.Int8, -1),
        ("toUInt32(4294967295)", pl.UInt32, 4294967295),
        ("toUInt64(18446744073709551615)", pl.UInt64, 18446744073709551615),
        ("toInt128(-5)", pl.String, "-5"),
        ("toUUID('00000000-0000-0000-0000-00000000000a')", pl.String, "00000000-0000-0000-0000-00000000000a"),
        ("toIPv4('1.2.3.4')", pl.String, "1.2.3.4"),
        ("toIPv6('::1')", pl.String, "::1"),
        ("true", pl.Boolean, True),
        ("1.5::Float32", pl.Float32, 1.5),
        ("inf", pl.Float64, float("inf")),
        ("[1, 2]::Array(Int32)", pl.List(pl.Int32), [1, 2]),
        ("[toDateTime('2024-01-02 03:04:05')]", pl.List(NS), [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)]),
        ("(1::Int32, 'a')", pl.Struct({"1": pl.Int32, "2": pl.String}), {"1": 1, "2": "a"}),
        ("map('a', 1::Int32)", pl.List(pl.Struct({"key": pl.String, "value": pl.Int32})), [{"key": "a", "value": 1}]),
        ("'é日'", pl.String, "é日"),
        ("'{\"a\":1}'::JSON", pl.String, '{"a":1}'),
        ("NULL", pl.Null, None),
    ],
)
def test_types(connection: Connection, expression: str, kind: pl.DataType, value: object) -> None:
    found = connection.sql(f"SELECT {expression} AS x")
    assert found.schema["x"] == kind
    assert found["x"].to_list() == [value]


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT ts, symbol, price FROM trades WHERE seq < 0", {"ts": NS, "symbol": pl.String, "price": pl.Float64}),
        (
            "SELECT now() AS t, CAST('a', 'Enum8(''a'' = 1)') AS e, generateUUIDv4() AS u WHERE 0",
            {"t": NS, "e": pl.String, "u": pl.String},
        ),
    ],
)
def test_an_empty_answer_has_its_columns(connection: Connection, query: str, columns: dict[str, pl.DataType]) -> None:
    found = connection.sql(query)
    assert found.height == 0
    assert dict(found.schema) == columns


def test_the_order_asked_for_is_kept_when_types_are_cast(connection: Connection) -> None:
    query = "SELECT number, toIPv4(number) AS ip FROM numbers(200000) ORDER BY intHash64(number)"
    found = connection.sql(query)["number"].to_list()
    assert found == connection.sql("SELECT number FROM numbers(200000) ORDER BY intHash64(number)")["number"].to_list()


@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20),
    number=st.integers(-(2**63), 2**63 - 1),
    moment=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),
    names=st.lists(st.text(alphabet="ab'\\,é", max_size=4), max_size=3),
)
def test_parameters_arrive_as_they_are(
    connection: Connection, words: str, number: int, moment: datetime, names: list[str]
) -> None:
    found = connection.sql(
        "SELECT {w:String} AS w, {n:Int64} AS n, {m:DateTime64(6)} AS m, {l:Array(String)} AS l",
        parameters={"w": words, "n": number, "m": moment, "l": names},
    )
    assert found.rows() == [(words, number, moment, names)]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "`x` is not set"),
        ({"x": datetime(2024, 1, 1)}, "parameter x: .* has no time zone"),
        ({"x": "abc"}, "abc"),
    ],
)
def test_a_bad_parameter_is_told(connection: Connection, parameters: dict[str, object], message: str) -> None:
    with pytest.raises(SqlError, match=message):
        connection.sql("SELECT {x:Int32}", parameters=parameters)


@pytest.mark.parametrize("limit", [0, 1, 3, 1000])
@pytest.mark.parametrize(
    ("query", "rows"), [("SELECT seq FROM trades ORDER BY seq", 100), ("SHOW TABLES FROM series", len(TABLES) + 1)]
)
def test_limit(connection: Connection, query: str, rows: int, limit: int) -> None:
    assert connection.sql(query, limit=limit).height == min(limit, rows)


def test_a_negative_limit_is_told(connection: Connection) -> None:
    with pytest.raises(SqlError, match="limit: -1"):
        connection.sql("SELECT 1", limit=-1)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM tradez", r"tradez.*trades"),
        ("SELECT * FROM relational.instrument", r"instrument.*relational\.instruments"),
        ("SELECT pricee FROM trades", "pricee.*price"),
        ("SELEC 1", "syntax error"),
        ("", "the query is empty"),
        (" ;\n ", "the query is empty"),
        ("SELECT 'a' + 1", "Illegal types"),
        ("SELECT unhex('ff') AS b", r"column b: holds bytes that are not UTF-8; write hex\(b\)"),
        ("SELECT toDateTime64('2290-01-01', 3) AS t", "column t: a value does not fit"),
        ("SELECT t.seq, u.seq FROM trades AS t JOIN trades AS u USING (symbol) LIMIT 1", "SKIP"),
        ("SELECT sumState(1) AS s", r"column s: .* finalizeAggregation\(s\)"),
        ("SELECT throwIf(1, 'my words')", "my words"),
        ("SELECT \0", "NUL byte"),
    ],
)
def test_an_error_is_one_short_line(connection: Connection, query: str, message: str) -> None:
    if message == "SKIP":
        assert connection.sql(query).width == 2
        return
    with pytest.raises(SqlError, match=message) as caught:
        connection.sql(query)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    assert "DB::Exception" not in text
    assert "In scope" not in text


def test_one_line_of_nothing_says_so() -> None:
    assert one_line("Code: 1. DB::Exception: (NO_REASON)") == "the engine gave no reason"


def test_a_stream_comes_in_batches_and_frees_the_store_when_closed(warehouse: Settings) -> None:
    stream = Connection(warehouse).stream("SELECT number, toString(number) AS text FROM numbers(3000000)")
    batches = [next(stream), next(stream)]
    assert all(isinstance(batch, pa.RecordBatch) for batch in batches)
    assert sum(batch.num_rows for batch in batches) < 1_000_000
    stream.close()
    assert Connection(warehouse).sql("SELECT 1 AS a").rows() == [(1,)]


def test_arrow_gives_the_whole(connection: Connection) -> None:
    table = connection.arrow("SELECT number FROM numbers(1000000)")
    assert table.num_rows == 1_000_000
    assert pa.compute.sum(table["number"]).as_py() == 499_999_500_000


def test_two_threads_ask_at_once(warehouse: Settings) -> None:
    found: list[int] = []

    def ask(start: int) -> None:
        for n in range(5):
            query = f"SELECT sum(number) AS s FROM numbers({start + n}, 1000)"
            found.append(Connection(warehouse).sql(query)["s"].item() - 1000 * (start + n))

    threads = [threading.Thread(target=ask, args=(start,)) for start in (0, 100_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [499_500] * 10


def test_ctrl_c_stops_the_query_and_frees_the_store(warehouse: Settings) -> None:
    timer = threading.Timer(1.0, _thread.interrupt_main)
    began = time.monotonic()
    timer.start()
    try:
        with pytest.raises((KeyboardInterrupt, SqlCancelled)):
            Connection(warehouse).sql("SELECT sum(sipHash64(number)) FROM numbers(100000000000)")
    finally:
        timer.cancel()
    assert time.monotonic() - began < 15
    assert Connection(warehouse).sql("SELECT 1 AS a").rows() == [(1,)]


def test_progress_is_told(connection: Connection) -> None:
    seen: list[tuple[int, int]] = []
    with connection.open(
        "SELECT sum(sipHash64(number)) AS s FROM numbers(40000000)",
        progress=lambda read, total: seen.append((read, total)),
    ) as answer:
        assert sum(batch.num_rows for batch in answer.batches) == 1
    assert seen
    assert seen[-1][1] == 40_000_000
    assert [read for read, _ in seen] == sorted(read for read, _ in seen)


def test_retyped_leaves_plain_types_alone() -> None:
    plain = {"a": "Array(Int32)", "b": "Nullable(String)", "c": "DateTime64(9, 'UTC')", "d": "Map(String, Float64)"}
    assert retyped(plain) == {}
    assert retyped({"a": "Array(DateTime('UTC'))", "b": "Tuple(x UUID, y Int8)", "c": "Array(Enum8('UUID' = 1))"}) == {
        "a": "Array(DateTime64(0, 'UTC'))",
        "b": "Tuple(x String, y Int8)",
        "c": "Array(String)",
    }


def test_the_catalogue_lists_both_stores(warehouse: Settings) -> None:
    found = {f"{entry.database}.{entry.name}": entry for entry in tables(Connection(warehouse))}
    series = {f"series.{name}" for name in (*TABLES, "activations")}
    assert set(found) == series | {f"relational.{model.__tablename__}" for model in MODELS}
    trades = found["series.trades"]
    assert trades.rows == 100
    assert trades.bytes is not None
    assert trades.bytes > 100
    assert [column.name for column in trades.columns] == [column.name for column in TABLES["trades"].columns]
    assert {column.name: column.unit for column in trades.columns}["ts"] == "UTC"
    assert found["relational.instruments"].rows == 1
    assert {column.name: column.doc for column in found["relational.instruments"].columns}["symbol"]


def test_without_stores_a_query_on_nothing_works(tmp_path: Path) -> None:
    settings = Settings.load(
        home=tmp_path, series_url=f"chdb:///{tmp_path}/series", relational_url=f"sqlite:///{tmp_path}/none.db"
    )
    assert Connection(settings).sql("SELECT 1 AS a").rows() == [(1,)]
    assert not (tmp_path / "none.db").exists()
