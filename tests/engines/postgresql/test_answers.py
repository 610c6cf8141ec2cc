"""What comes back of every type, and that whatever does not is one line."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl
import psycopg
import pytest

from tracebank.engines.postgresql.answers import answer
from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError
from tracebank.settings import Settings

_NS = pl.Datetime("ns", "UTC")
_AT = datetime(2024, 8, 8, 1, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("true", pl.Boolean(), True),
        ("(-3)::int2", pl.Int16(), -3),
        ("-3", pl.Int32(), -3),
        ("(-3)::int8", pl.Int64(), -3),
        ("1.5::float4", pl.Float32(), 1.5),
        ("'-inf'::float8", pl.Float64(), -math.inf),
        ("1.5", pl.Float64(), 1.5),
        ("4294967295::oid", pl.Int64(), 4294967295),
        ("'ż'", pl.String(), "ż"),
        ("''", pl.String(), ""),
        ("NULL", pl.String(), None),
        ("NULL::int", pl.Int32(), None),
        ("'a'::varchar(3)", pl.String(), "a"),
        ("'a'::char(3)", pl.String(), "a  "),
        ("'a'::\"char\"", pl.String(), "a"),
        ("'\\x00ff'::bytea", pl.Binary(), b"\x00\xff"),
        ("'2024-08-08'::date", pl.Date(), date(2024, 8, 8)),
        ("'2024-08-08 03:02:03.000004+02'::timestamptz", _NS, _AT),
        ("'2024-08-08 01:02:03.000004'::timestamp", _NS, _AT),
        ("'01:02:03.000004'::time", pl.Time(), time(1, 2, 3, 4)),
        ("'01:02:03+02'::timetz", pl.String(), "01:02:03+02"),
        ("'1 day 02:00'::interval", pl.String(), "1 day 02:00:00"),
        ("'1.5'::money", pl.String(), "$1.50"),
        ("'{\"a\": 1}'::json", pl.String(), '{"a": 1}'),
        ("'{\"a\":1}'::jsonb", pl.String(), '{"a": 1}'),
        ("'00000000-0000-0000-0000-000000000001'::uuid", pl.String(), "00000000-0000-0000-0000-000000000001"),
        ("int4range(1, 3)", pl.String(), "[1,3)"),
        ("'{[1,3)}'::int4multirange", pl.String(), "{[1,3)}"),
        ("row(1, 'a')", pl.String(), "(1,a)"),
        ("'7'::xid", pl.String(), "7"),
        ("'(0,1)'::tid", pl.String(), "(0,1)"),
        ("'1.2.3.4/8'::inet", pl.String(), "1.2.3.4/8"),
        ("point(1, 2)", pl.String(), "(1,2)"),
        ("B'101'", pl.String(), "101"),
        ("'<a/>'::xml", pl.String(), "<a/>"),
        ("'pg_class'::regclass", pl.String(), "pg_class"),
        ("'a b'::tsvector", pl.String(), "'a' 'b'"),
        ("ARRAY[1, NULL, 3]", pl.List(pl.Int32()), [1, None, 3]),
        ("'{}'::int8[]", pl.List(pl.Int64()), []),
        ("NULL::float8[]", pl.List(pl.Float64()), None),
        ("ARRAY[1.5, 2]", pl.List(pl.Float64()), [1.5, 2.0]),
        ("ARRAY['a', NULL, 'żż', '']", pl.List(pl.String()), ["a", None, "żż", ""]),
        ("ARRAY['2024-08-08'::date]", pl.List(pl.Date()), [date(2024, 8, 8)]),
        ("ARRAY[true, false]", pl.List(pl.Boolean()), [True, False]),
        ("ARRAY['1 day'::interval]", pl.String(), '{"1 day"}'),
        ("ARRAY[int4range(1, 3)]", pl.String(), '{"[1,3)"}'),
    ],
)
def test_a_value_comes_back(text: str, kind: pl.DataType, value: object, warehouse: Settings) -> None:
    rows = f"SELECT {text} AS v UNION ALL SELECT NULL UNION ALL SELECT {text}"
    if "json" in text or "xid" in text or "xml" in text or "point" in text or "tid" in text or "ARRAY[int4" in text:
        rows = f"SELECT {text} AS v"
    found = Connection(warehouse).sql(rows)
    assert found.schema == {"v": kind}
    assert found["v"].to_list() in ([value], [value, None, value], [None, value, value])


def test_numbers_that_are_none(warehouse: Settings) -> None:
    found = Connection(warehouse).sql("SELECT 'NaN'::numeric AS a, 'NaN'::float4 AS b, '-0'::float8 AS c").row(0)
    assert math.isnan(found[0])
    assert math.isnan(found[1])
    assert math.copysign(1, found[2]) == -1


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT 1 AS a, 2 AS a", "two columns are named 'a'"),
        ("SELECT 'infinity'::date AS d", "column d: an infinite date"),
        ("SELECT '-infinity'::timestamptz AS d", "column d: a time is not within"),
        ("SELECT '1500-01-01'::timestamp AS d", "column d: a time is not within"),
        ("SELECT ARRAY[[1, 2], [3, 4]] AS d", "column d: an array has several dimensions"),
        ("SELECT 1e400::numeric AS n", "10000"),
        ("SELECT", "no columns"),
        ("SELECT FROM trades", "no columns"),
        ("", "empty"),
        ("  -- nothing\n", "empty"),
        ("/* nothing */;", "not let through"),
        ("SELECT 1\0", "NUL"),
        ("SELECT chr(0)", "null character"),
        ("SELECT 1 / 0", "division by zero"),
        ("SELECT 'a", "unterminated"),
        ("SELECT (1", "syntax error"),
        ("SELECT 1)", "syntax error"),
        ("SELECT 1; SELECT 2", "multiple commands"),
        ("SHOW nothing", "unrecognized"),
        ("EXPLAIN nothing", "syntax error"),
        ("SELECT $1", "parameter"),
        ("SELECT * FROM nothing", "does not exist"),
        ("SELECT repeat('x', 2000000000)", "invalid memory|too large|out of memory|requested length"),
    ],
)
def test_what_cannot_be_answered_is_one_line(query: str, says: str, warehouse: Settings) -> None:
    with pytest.raises(SqlError, match=says) as caught:
        Connection(warehouse).sql(query)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"y": 1}, "x"), ({"x": object()}, "cannot adapt"), ({"x": "a\0b"}, "NUL"), ({"x": "\ud800"}, "no text")],
)
def test_a_parameter_that_does_not_fit_is_one_line(
    parameters: dict[str, object], says: str, warehouse: Settings
) -> None:
    with pytest.raises(SqlError, match=says) as caught:
        Connection(warehouse).sql("SELECT %(x)s AS x", parameters=parameters)
    assert "\n" not in str(caught.value)


def test_parameters_limits_and_order(warehouse: Settings) -> None:
    connection = Connection(warehouse)
    found = connection.sql("SELECT seq FROM trades WHERE symbol = %(s)s ORDER BY seq DESC", parameters={"s": "BTCUSDT"})
    assert found["seq"].to_list() == list(range(49, -1, -1))
    assert connection.sql("SELECT seq FROM trades ORDER BY seq DESC", limit=3)["seq"].to_list() == [49, 49, 48]
    assert connection.sql("SHOW ALL", limit=2).height == 2
    assert connection.sql("SELECT %(x)s AS x", parameters={"x": "it's"}).row(0) == ("it's",)
    assert connection.sql("SELECT '100%' AS x").row(0) == ("100%",)


def test_a_long_answer_comes_in_batches(store: PostgreSQLStore) -> None:
    with store.session() as session:
        text = "SELECT g AS n, repeat('ż', g % 7) AS s, ARRAY[g::float4] AS l FROM generate_series(1, 200000) AS g"
        found = answer(session, text)
        batches = list(found.batches)
        assert len(batches) > 2
        rows: list[dict[str, Any]] = batches[-1].to_pylist()
        assert rows[-1] == {"n": 200_000, "s": "ż" * (200_000 % 7), "l": [200_000.0]}
        assert sum(batch.num_rows for batch in batches) == 200_000
        assert list(answer(session, "SELECT 1 AS a WHERE false").batches) == []
        with pytest.raises(psycopg.errors.SyntaxError):
            answer(session, "SELECT FROM WHERE")
