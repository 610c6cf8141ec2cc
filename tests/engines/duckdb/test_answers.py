"""Answers have the types of every engine's, or say in one line why not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError

MOMENT = pl.Datetime("ns", "UTC")
NEW_YEAR = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("TIMESTAMP '2020-01-01'", MOMENT, NEW_YEAR),
        ("TIMESTAMP_S '2020-01-01'", MOMENT, NEW_YEAR),
        ("TIMESTAMP_MS '2020-01-01'", MOMENT, NEW_YEAR),
        ("TIMESTAMP_NS '2020-01-01'", MOMENT, NEW_YEAR),
        ("TIMESTAMPTZ '2020-01-01 02:00:00+02'", MOMENT, NEW_YEAR),
        ("NULL::TIMESTAMP", MOMENT, None),
        ("[TIMESTAMP '2020-01-01']", pl.List(MOMENT), [NEW_YEAR]),
        ("[[TIMESTAMP '2020-01-01']]", pl.List(pl.List(MOMENT)), [[NEW_YEAR]]),
        ("{'a': TIMESTAMP '2020-01-01'}", pl.Struct({"a": MOMENT}), {"a": NEW_YEAR}),
        ("DATE '2020-01-01'", pl.Date(), date(2020, 1, 1)),
        ("TIME '01:02:03'", pl.Time(), time(1, 2, 3)),
        ("INTERVAL 1 DAY", pl.String(), "1 day"),
        ("[[INTERVAL 1 DAY]]", pl.String(), "[[1 day]]"),
        ("{'a': INTERVAL 1 DAY}", pl.String(), "{'a': 1 day}"),
        ("TIMETZ '01:02:03+02'", pl.String(), "01:02:03+02"),
        ("'101'::BIT", pl.String(), "101"),
        ("'a'::ENUM('a', 'b')", pl.String(), "a"),
        ("['a'::ENUM('a', 'b')]", pl.String(), "[a]"),
        ("union_value(k := 1)", pl.String(), "1"),
        ("'5d2ab3b4-0e42-4c9b-8ee8-6e51a9ad5a6b'::UUID", pl.String(), "5d2ab3b4-0e42-4c9b-8ee8-6e51a9ad5a6b"),
        ("1::VARIANT", pl.String(), "1"),
        (
            "123456789012345678901234567890123456789012345::BIGNUM",
            pl.String(),
            "1234567890123456789012345678901234567890",
        ),
        ("340282366920938463463374607431768211455::UHUGEINT", pl.String(), "340282366920938463463374607431768211455"),
        ("12::HUGEINT", pl.Decimal(38, 0), Decimal(12)),
        ("1.5::DECIMAL(38, 10)", pl.Decimal(38, 10), Decimal("1.5")),
        ("'{\"a\": 1}'::JSON", pl.String(), '{"a": 1}'),
        ("[1, 2]::INT[2]", pl.Array(pl.Int32, 2), [1, 2]),
        ("'\\xAA'::BLOB", pl.Binary(), b"\xaa"),
        ("'infinity'::DOUBLE", pl.Float64(), float("inf")),
        ("NULL", pl.Null(), None),
    ],
)
def test_a_type_is_shown_as_by_every_engine(
    expression: str, kind: pl.DataType, value: Any, connection: Connection
) -> None:
    found = connection.sql(f"SELECT {expression} AS x")
    assert found.schema["x"] == kind
    [shown] = found["x"].to_list()
    assert shown == value or (isinstance(value, str) and shown.startswith(value))


def test_a_map_is_read(connection: Connection) -> None:
    assert str(connection.arrow("SELECT map {'a': 1} AS x").column("x").to_pylist()) == "[[('a', 1)]]"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT 'infinity'::TIMESTAMP AS x", "column x has a time stamp that is not within 1677 to 2262"),
        ("SELECT '-infinity'::TIMESTAMPTZ AS x", "column x has a time stamp that is not within 1677 to 2262"),
        ("SELECT 'infinity'::TIMESTAMP_NS AS x", "column x has a time stamp that is not within 1677 to 2262"),
        ("SELECT TIMESTAMP '3000-01-01' AS x", "column x has a time stamp that is not within 1677 to 2262"),
        ("SELECT [TIMESTAMP '3000-01-01'] AS x", "a time stamp is not within 1677 to 2262"),
        ("SELECT 'infinity'::DATE AS x", "column x has a date that is not within 0001 to 9999"),
        ("SELECT 1 AS a, 2 AS a", "two columns are named 'a'"),
        ("SELECT 'x'::INT AS x", "Could not convert string 'x' to INT32"),
        ("SELECT nosuch FROM trades", 'column "nosuch" not found'),
        ("SELECT * FROM nosuch", "Table with name nosuch does not exist"),
        ("SELECT error('mine') AS x", "mine"),
        ("SELECT sum(seq) OVER () / 0, 'x'::INT FROM trades", "Could not convert"),
        ("SELECT (seq || 'x')::INT AS x FROM trades ORDER BY ts", "Could not convert"),
        ("SELECT 1e400::DECIMAL(10, 2)", "e"),
    ],
)
def test_what_cannot_be_answered_is_one_line(query: str, says: str, connection: Connection) -> None:
    for ask in (connection.sql, connection.arrow, lambda text: list(connection.stream(text))):
        with pytest.raises(SqlError) as caught:
            ask(query)
        assert says in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
