"""Filters on `relational` reach the relational store, and change no answer: over ClickHouse and DuckDB, SQLite and
PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from clickhouse_connect.driver.client import Client
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    insert,
    text,
)

from tracebank.engines.clickhouse.pushdown import pushed
from tracebank.engines.clickhouse.relational import attach, refresh
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.engines.duckdb.pushdown import Need, needs
from tracebank.engines.duckdb.relational import relational_rows
from tracebank.query.conditions import answered
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.relational import UtcDateTime

METADATA = MetaData()
_STORED = MetaData()
_COLUMNS: dict[str, Callable[[], Column[Any]]] = {
    "k": lambda: Column("k", String(20), primary_key=True),
    "n": lambda: Column("n", Integer, nullable=False),
    "m": lambda: Column("m", Integer),
    "flag": lambda: Column("flag", Boolean),
    "day": lambda: Column("day", Date),
    "moment": lambda: Column("moment", UtcDateTime),
    "naive": lambda: Column("naive", DateTime),
    "name": lambda: Column("name", String),
    "weight": lambda: Column("weight", Float),
    "document": lambda: Column("document", JSON),
    "tripwire": lambda: Column("tripwire", Integer, nullable=False),
}
KEYS = Table("keys", METADATA, *(make() for make in _COLUMNS.values()))
STORED = Table("keys_stored", _STORED, *(make() for make in _COLUMNS.values()))
NAMES = ["a", "ab", "abc", "b", "it's", "back\\slash", "tab\tnew\nline", "Zürich", "100%", "a_c", "日本", "A"]
START = datetime(2024, 1, 1, 23, 30, tzinfo=UTC)
POISON = "poison"
_TRIPS = {
    "sqlite": f"CASE WHEN k = '{POISON}' THEN abs(-9223372036854775807 - 1) ELSE 0 END",
    "postgresql": f"CASE WHEN k = '{POISON}' THEN 1 / (length(k) - 6) ELSE 0 END",
}
"""What the store cannot answer for the poisoned row: a query that makes the store read that row fails."""


def _row(number: int, key: str) -> dict[str, Any]:
    at = START + timedelta(hours=number, microseconds=number)
    return {
        "k": key,
        "n": number,
        "m": None if number % 3 == 0 else number,
        "flag": None if number == 5 else bool(number % 2),
        "day": at.date(),
        "moment": at,
        "naive": at.replace(tzinfo=None),
        "name": None if number == 4 else NAMES[-number % len(NAMES)],
        "weight": number / 4,
        "document": {"number": number},
        "tripwire": 0,
    }


ROWS = [_row(number, key) for number, key in enumerate(NAMES)] + [
    {**_row(99_999, POISON), "name": POISON, "flag": None}
]


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RelationalStore]:
    """A relational store whose table is a view of itself, so that the poisoned row can be told by reading it."""
    url = f"sqlite:///{tmp_path}/relational.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    engine = create_engine(url)
    with engine.begin() as connection:
        _STORED.create_all(connection)
        connection.execute(insert(STORED), ROWS)
        shown = ", ".join(name for name in _COLUMNS if name != "tripwire")
        tripwire = f"{_TRIPS[request.param]} AS tripwire"
        connection.execute(text(f"CREATE VIEW keys AS SELECT {shown}, {tripwire} FROM keys_stored"))
    engine.dispose()
    opened = open_relational(Settings.load(home=tmp_path, relational_url=url))
    yield opened
    opened.close()


@pytest.fixture
def client(store: RelationalStore, tmp_path: Path) -> Iterator[Client]:
    """An engine with the views over the store, and a series table of five rows."""
    series = open_series(Settings.load(home=tmp_path, series_url=f"chdb:///{tmp_path}/series"))
    assert isinstance(series, ClickHouseStore)
    refresh(series, store, METADATA)
    with series.session() as opened:
        attach(opened, store.url, embedded=True, metadata=METADATA)
        opened.command("CREATE DATABASE IF NOT EXISTS series")
        opened.command("CREATE TABLE series.t (n Int32, k String) ENGINE = MergeTree ORDER BY n")
        opened.command("INSERT INTO series.t VALUES (0, 'a'), (1, 'ab'), (1, 'x'), (2, 'x'), (3, 'b')")
        opened.database = "series"
        yield opened


class _Parser:
    """The engine's parser, asked by its client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def ask(self, query: str) -> list[list[Any]]:
        return [list(row) for row in self._client.query(query).result_rows]

    def syntax_tree(self, text: str) -> list[str]:
        raise NotImplementedError(text)


FILTERS = [
    "k = 'a'",
    "'a' = k",
    "k IN ('a', 'it''s', '日本')",
    "n = 3",
    "n IN (1, 2)",
    "n BETWEEN 1 AND 2",
    "4 > n AND flag",
    "n < 5 AND NOT flag",
    "flag = true AND n <= 3",
    "day = '2024-01-02'",
    "day IN ('2024-01-01', '2024-01-02')",
    "day < '2024-01-03' AND length(k) = 1",
    "moment < '2024-01-02 03:00:00'",
    "moment >= '2024-01-02 00:30:00' AND moment <= '2024-01-02 03:00:00.000005'",
    "naive = '2024-01-02 00:30:00.000001'",
    "k LIKE 'ab%'",
    "k LIKE 'ab_'",
    "k = 'a' OR n = 2",
    "(n = 7 OR (n = 8 AND length(k) > 1)) AND weight > 0",
    "name = '日本' AND m IS NOT NULL",
]
"""Conditions in the SQL of both engines, each of which the store can answer so far that it leaves the poisoned row."""


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
def test_duckdb_copies_no_rows_that_the_store_can_leave_out(store: RelationalStore, filter_: str) -> None:
    query = f"SELECT k, tripwire FROM relational.keys WHERE {filter_} ORDER BY k"
    found = _on_duckdb(store, query)
    assert found
    assert found == _on_duckdb(store, query.replace(", tripwire", ", 0"), whole=tuple(_COLUMNS)[:-1])


def test_the_poisoned_row_tells_that_the_store_read_it(store: RelationalStore, client: Client) -> None:
    query = "SELECT k, tripwire FROM relational.keys WHERE length(k) = 1"
    with pytest.raises(Exception, match=r"integer overflow|division by zero"):
        _on_duckdb(store, query)
    with pytest.raises(Exception, match=r"integer overflow|division by zero"):
        client.query(query)


def test_filters_reach_the_store_from_clickhouse(store: RelationalStore, client: Client) -> None:
    for filter_ in FILTERS:
        query = f"SELECT k, tripwire FROM relational.keys WHERE {filter_} ORDER BY k"
        found = client.query(_pushed(client, store, query)).result_rows
        assert found, filter_
        assert found == client.query(query.replace(", tripwire", ", 0")).result_rows, filter_


def _pushed(client: Client, store: RelationalStore, query: str, parameters: Mapping[str, object] | None = None) -> str:
    canonical = client.query(f"SELECT formatQuerySingleLine({_literal(query)})").result_rows[0][0]
    return pushed(canonical, _Parser(client), store.url.get_backend_name(), parameters or {}, METADATA)


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _on_duckdb(
    store: RelationalStore, query: str, parameters: Mapping[str, object] | None = None, *, whole: tuple[str, ...] = ()
) -> list[tuple[Any, ...]]:
    """Rows of a query on what it needs of the store, or on these columns of the whole table."""
    found = needs(query, parameters or {}, METADATA, store.url.get_backend_name())
    if whole:
        found = [Need(KEYS, whole, None)]
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("ATTACH ':memory:' AS relational")
        connection.execute("CREATE SCHEMA series")
        connection.execute(
            "CREATE TABLE series.t AS FROM (VALUES (0, 'a'), (1, 'ab'), (1, 'x'), (2, 'x'), (3, 'b')) t(n, k)"
        )
        for need in found:
            connection.register("copied", relational_rows(store, need))
            connection.execute(f"CREATE TABLE relational.main.{need.table.name} AS SELECT * FROM copied")
        return connection.execute(query, dict(parameters or {})).fetchall()


ANSWERS: dict[str, bool] = {
    # Names: a column is the table's own, or it is left alone.
    "SELECT lower(k) AS k FROM relational.keys WHERE k = 'a'": False,
    "WITH 'a' AS k SELECT n FROM relational.keys WHERE k = 'a'": False,
    "SELECT keys.k FROM relational.keys WHERE keys.n = 3": True,
    "SELECT relational.keys.k FROM relational.keys WHERE n = 3": False,
    "SELECT relational.keys.k FROM relational.keys AS x, relational.keys WHERE x.n = 3": False,
    "SELECT x.* FROM relational.keys AS x WHERE x.k LIKE 'a%'": True,
    "SELECT K FROM (SELECT k AS K FROM relational.keys WHERE n < 4) WHERE K = 'ab'": True,
    "WITH keys AS (SELECT 1 AS one) SELECT k FROM relational.keys AS r, keys WHERE r.k = 'a'": True,
    "SELECT n FROM relational.keys WHERE k IN (SELECT k FROM relational.keys WHERE n > 2)": True,
    "SELECT n, (SELECT max(n) FROM relational.keys WHERE k = 'b') AS top FROM relational.keys": True,
    "SELECT k FROM relational.keys WHERE n = 1 UNION ALL SELECT k FROM relational.keys WHERE n = 2": True,
    # Joins: a filter never makes nulls, and never chooses among matches.
    "SELECT t.n, i.k FROM t JOIN relational.keys AS i USING (n) WHERE i.k = 'ab'": True,
    "SELECT t.n, i.k FROM t JOIN relational.keys AS i USING (n) WHERE n = 1": True,
    "SELECT t.n, i.k FROM t JOIN relational.keys AS i ON t.n = i.n WHERE k = 'x'": False,
    "SELECT t.n, i.k FROM relational.keys AS i JOIN t ON t.n = i.n WHERE k = 'ab'": True,
    "SELECT t.n, i.k FROM t, relational.keys AS i WHERE t.n = i.n AND i.n > 1": True,
    "SELECT t.n, i.k FROM t LEFT JOIN relational.keys AS i ON t.n = i.m WHERE i.n = 0": False,
    "SELECT t.n, i.k FROM t RIGHT JOIN relational.keys AS i USING (n) WHERE i.n < 5": True,
    "SELECT t.n, i.k FROM relational.keys AS i LEFT JOIN t USING (n) WHERE i.n < 5": True,
    "SELECT t.n, i.k FROM relational.keys AS i LEFT JOIN t USING (n) WHERE n < 5": True,
    "SELECT t.n, i.k FROM relational.keys AS i RIGHT JOIN t ON t.n = i.m WHERE i.n = 0": False,
    "SELECT t.n, i.k FROM relational.keys AS i FULL JOIN t ON t.n = i.m WHERE i.n = 0": False,
    "SELECT i.k FROM t ANY JOIN relational.keys AS i ON t.n = i.n WHERE i.k = 'ab'": False,
    "SELECT t.n, i.n FROM t ASOF JOIN relational.keys AS i ON t.k = i.k AND t.n >= i.n WHERE i.n < 2": False,
    "SELECT i.k FROM relational.keys AS i SEMI LEFT JOIN t ON t.n = i.n WHERE i.k != '' AND i.n < 3": False,
    "SELECT a.k, b.k FROM relational.keys AS a JOIN relational.keys AS b ON a.n = b.m WHERE a.n < 4 AND b.n > 1": True,
    "SELECT i.k, e FROM relational.keys AS i ARRAY JOIN [1, 2] AS e WHERE i.n = 3": True,
    # Shapes: what the store may answer otherwise is not asked.
    "SELECT k FROM relational.keys WHERE NOT (k = 'a')": False,
    "SELECT k FROM relational.keys WHERE k = 'a' OR length(k) = 2": False,
    "SELECT k FROM relational.keys WHERE k != 'a' AND k NOT IN ('b')": False,
    "SELECT k FROM relational.keys WHERE n = 2.5 OR n > 9223372036854775807": False,
    "SELECT k FROM relational.keys WHERE n > -9223372036854775808 AND n < 9223372036854775807": True,
    "SELECT k FROM relational.keys WHERE n = '3'": False,
    "SELECT k FROM relational.keys WHERE k ILIKE 'A%'": False,
    "SELECT k FROM relational.keys WHERE k LIKE 'a\\_c'": True,
    "SELECT k FROM relational.keys WHERE k LIKE '%b'": False,
    "SELECT k FROM relational.keys WHERE startsWith(k, 'a')": True,
    "SELECT k FROM relational.keys WHERE document = '{\"number\": 3}'": False,
    "SELECT k FROM relational.keys WHERE weight = 0.75": False,
    "SELECT k FROM relational.keys WHERE m IN (1, NULL)": False,
    "SELECT k FROM relational.keys WHERE k = 'a\\0b'": False,
    "SELECT k FROM relational.keys WHERE k IN ('back\\\\slash', 'tab\\tnew\\nline', 'Zürich', '100%')": True,
    "SELECT k FROM relational.keys WHERE (k, n) = ('a', 0)": False,
    "SELECT k FROM relational.keys WHERE k IN ['a', 'b']": True,
    # Days and instants.
    "SELECT k FROM relational.keys WHERE day >= toDate('2024-01-02') AND day < DATE '2024-01-03'": True,
    "SELECT k FROM relational.keys WHERE moment > toDateTime64('2024-01-02 04:30:00', 6, 'Asia/Kolkata')": True,
    "SELECT k FROM relational.keys WHERE moment = '2024-01-02 00:30:00.000001'": True,
    "SELECT k FROM relational.keys WHERE naive BETWEEN '2024-01-01 23:30:00' AND '2024-01-02 01:30:00.000002'": True,
    "SELECT k FROM relational.keys WHERE moment > now() - INTERVAL 1 DAY": False,
    "SELECT k FROM relational.keys WHERE day < toDateTime('2024-01-02', 'Asia/Kolkata')": True,
    "SELECT k FROM relational.keys WHERE moment >= '1900-01-01 00:00:00'": False,
    "SELECT count() FROM relational.keys HAVING count() > 1": False,
}
"""Queries, and whether a filter of theirs may go to the store."""


def test_clickhouse_answers_as_without_the_store_s_help(store: RelationalStore, client: Client) -> None:
    with store.session() as session:
        session.execute(delete(STORED).where(STORED.columns.k == POISON))
    for query, goes in ANSWERS.items():
        changed = _pushed(client, store, query)
        assert ("filtered" not in changed, "_relational" in changed) == (True, goes), query
        assert _answer(client, changed) == _answer(client, query), query


def _answer(client: Client, query: str, parameters: dict[str, Any] | None = None) -> tuple[object, ...]:
    """Names, types and rows."""
    found = client.query(query, parameters=parameters)
    return found.column_names, [str(kind) for kind in found.column_types], sorted(map(repr, found.result_rows))


PARAMETERS: list[tuple[str, dict[str, Any], bool]] = [
    ("k = {p:String}", {"p": "it's"}, True),
    ("k = {p:String}", {"p": "tab\tnew\nline"}, True),
    ("k = {p:String}", {"p": 5}, False),
    ("n = {p:Int32}", {"p": 3}, True),
    ("n = {p:Int32}", {"p": "3"}, False),
    ("n BETWEEN {p:UInt8} AND {q:Int64}", {"p": 3, "q": 5}, True),
    ("k IN {p:Array(String)}", {"p": ["a", "back\\slash"]}, True),
    ("day = {p:Date}", {"p": date(2024, 1, 2)}, True),
    ("moment < {p:DateTime64(6, 'UTC')}", {"p": datetime(2024, 1, 2, 4, tzinfo=UTC)}, True),
    ("startsWith(k, {p:String})", {"p": "a"}, True),
]


def test_parameters_go_to_the_store(store: RelationalStore, client: Client) -> None:
    for filter_, parameters, goes in PARAMETERS:
        query = f"SELECT k, n FROM relational.keys WHERE {filter_}"
        changed = _pushed(client, store, query, parameters)
        assert ("_relational" in changed) == goes, (query, parameters)
        assert _answer(client, changed, parameters) == _answer(client, query, parameters), (query, parameters)


ON_DUCKDB: dict[str, bool] = {
    "SELECT lower(k) AS k FROM relational.keys WHERE k = 'a'": False,
    "SELECT K, \"N\" FROM RELATIONAL.Keys WHERE K = 'a' AND keys.n = 0": True,
    "SELECT x.k FROM relational.main.keys x WHERE x.n == 3": True,
    "WITH keys AS (SELECT 1 AS one) SELECT k FROM relational.keys AS r, keys WHERE r.k = 'a'": True,
    "FROM relational.keys SELECT k WHERE k = 'a'": True,
    "SELECT n FROM relational.keys WHERE k IN (SELECT k FROM series.t)": False,
    "SELECT k FROM relational.keys WHERE n = 1 UNION ALL SELECT k FROM relational.keys WHERE n = 2": True,
    "SELECT k FROM relational.keys WHERE n = 1 UNION ALL SELECT k FROM relational.keys": False,
    "SELECT t.n, i.k FROM series.t JOIN relational.keys AS i USING (n) WHERE i.k = 'ab'": True,
    "SELECT t.n, i.k FROM series.t JOIN relational.keys AS i USING (n) WHERE n = 1": True,
    "SELECT t.n, i.k FROM series.t, relational.keys AS i WHERE t.n = i.n AND i.n > 1": True,
    "SELECT t.n, i.k FROM series.t LEFT JOIN relational.keys AS i ON t.n = i.m WHERE i.n = 0": False,
    "SELECT t.n, i.k FROM series.t RIGHT JOIN relational.keys AS i USING (n) WHERE i.n < 5": True,
    "SELECT t.n, i.k FROM relational.keys AS i LEFT JOIN series.t USING (n) WHERE i.n < 5": True,
    "SELECT t.n, i.k FROM relational.keys AS i FULL JOIN series.t ON t.n = i.m WHERE i.n = 0": False,
    "SELECT i.k FROM relational.keys AS i SEMI JOIN series.t ON t.n = i.n WHERE i.n < 3": False,
    "SELECT i.k FROM relational.keys AS i ANTI JOIN series.t ON t.n = i.n WHERE i.n < 5": False,
    "SELECT i.k, t.n FROM relational.keys AS i POSITIONAL JOIN series.t WHERE i.n = 3": False,
    "SELECT t.n, i.n FROM series.t ASOF JOIN relational.keys AS i ON t.k = i.k AND t.n >= i.n WHERE i.n < 2": False,
    "SELECT k FROM relational.keys i NATURAL JOIN series.t WHERE i.n = 0": False,
    "SELECT i.k FROM (series.t LEFT JOIN relational.keys AS i ON t.n = i.m) WHERE i.n = 0": False,
    "SELECT b FROM relational.keys AS b(a, b) WHERE b = 1": False,
    "SELECT i FROM relational.keys AS i WHERE i.k = 'a'": True,
    "SELECT #2 FROM relational.keys WHERE k = 'a'": True,
    "SELECT COLUMNS('k|n') FROM relational.keys WHERE k = 'a'": True,
    "SELECT count(*) FROM relational.keys": False,
    "SELECT count(*) FROM relational.keys TABLESAMPLE 100% WHERE n < 3": False,
    "SELECT rowid, k FROM relational.keys WHERE n = 2": False,
    "SELECT count(*) AS n FROM query_table('relational.keys') WHERE k = 'a'": False,
    "SELECT k FROM relational.keys WHERE n = -5 OR NOT (flag)": False,
    "SELECT k FROM relational.keys WHERE k ILIKE 'A%'": False,
    "SELECT k FROM relational.keys WHERE k LIKE 'a!_c' ESCAPE '!'": False,
    "SELECT k FROM relational.keys WHERE starts_with(k, '100%')": True,
    "SELECT k FROM relational.keys WHERE n = '3'": False,
    "SELECT k FROM relational.keys WHERE document LIKE '{%' AND weight = 0.75": False,
    "SELECT k FROM relational.keys WHERE day >= DATE '2024-01-02' AND day < '2024-01-03'::DATE": True,
    "SELECT k FROM relational.keys WHERE moment = TIMESTAMPTZ '2024-01-02 00:30:00.000001+00'": False,
    "SELECT k FROM relational.keys WHERE moment < TIMESTAMP '2024-01-02'": True,
    "SELECT k FROM relational.keys WHERE moment >= '2024-01-02 00:30:00.000001'": True,
}
"""Queries, and whether rows are left out of the copy."""


def test_duckdb_answers_as_on_whole_tables(store: RelationalStore) -> None:
    with store.session() as session:
        session.execute(delete(STORED).where(STORED.columns.k == POISON))
    for query, goes in ON_DUCKDB.items():
        found = needs(query, {}, METADATA, store.url.get_backend_name())
        assert [need.table.name for need in found] == ["keys"], query
        assert (found[0].condition is not None) == goes, query
        on_whole = _on_duckdb(store, query, whole=tuple(_COLUMNS))
        assert sorted(map(repr, _on_duckdb(store, query))) == sorted(map(repr, on_whole)), query


def test_duckdb_s_parameters_go_to_the_store(store: RelationalStore) -> None:
    query = "SELECT k FROM relational.keys WHERE k = $k AND n IN ($n, 99) AND day = $day"
    parameters = {"k": "it's", "n": 4, "day": date(2024, 1, 2)}
    (need,) = needs(query, parameters, METADATA, store.url.get_backend_name())
    assert len(relational_rows(store, need)) == 1
    assert _on_duckdb(store, query, parameters) == [("it's",)]


def test_duckdb_copies_the_columns_that_are_named() -> None:
    def columns(query: str) -> tuple[str, ...]:
        (need,) = needs(query, {}, METADATA, "sqlite")
        return need.columns

    assert columns("SELECT K FROM relational.keys AS i WHERE i.flag") == ("k", "flag")
    assert columns("SELECT count(*) FROM relational.keys") == ("k",)
    assert columns("SELECT t.k FROM series.t JOIN relational.keys USING (n)") == ("k", "n")
    for query in ("SELECT * EXCLUDE (k) FROM relational.keys", "FROM relational.keys", "TABLE relational.keys"):
        assert columns(query) == tuple(_COLUMNS)


def test_statements_that_look_at_the_catalogue_find_every_table_whole() -> None:
    for query in ("DESCRIBE relational.keys", "SELECT * FROM duckdb_tables()", "EXPLAIN SELECT k FROM relational.keys"):
        assert needs(query, {}, METADATA, "sqlite") == [Need(KEYS, tuple(_COLUMNS), None)]
    assert needs("SELECT 'keys' AS k FROM series.t", {}, METADATA, "sqlite") == []


_MANY = ", ".join(f"'key {number}'" for number in range(9_000))
_EITHER = " OR ".join(f"n = {number}" for number in range(2_000))


@pytest.mark.parametrize(
    ("filter_", "goes", "found"),
    [
        (f"k IN ({_MANY}, 'a')", True, 1),
        (f"k IN ({_MANY}, {_MANY}, 'a')", False, 1),
        (_EITHER, False, len(NAMES)),
    ],
    ids=["many", "too many", "either"],
)
def test_long_statements_are_answered_by_duckdb(store: RelationalStore, filter_: str, goes: bool, found: int) -> None:
    query = f"SELECT count(*) AS c FROM relational.keys WHERE {filter_}"
    (need,) = needs(query, {}, METADATA, store.url.get_backend_name())
    assert (need.condition is not None) == goes
    assert _on_duckdb(store, query) == [(found,)]


@pytest.mark.parametrize(
    "filter_",
    [f"k IN ({_MANY}, 'a')", _EITHER, "NOT (" * 100 + "n = 3" + ")" * 100, "length(k) = 1 AND " * 200 + "n = 3"],
    ids=["many", "either", "deep", "conjunction"],
)
def test_long_and_deep_statements_are_answered_by_clickhouse(
    store: RelationalStore, client: Client, filter_: str
) -> None:
    query = f"SELECT count() AS c FROM relational.keys WHERE {filter_}"
    changed = _pushed(client, store, query)
    assert client.query(changed).result_rows == client.query(query).result_rows


def test_text_is_ordered_by_the_store_only_where_it_orders_as_the_engines_do() -> None:
    column = KEYS.columns.k
    assert answered(column, "<", ["b"], "sqlite") is not None
    assert answered(column, "<", ["b"], "postgresql") is None
    assert answered(column, "prefix", ["%a"], "postgresql") is None
    assert answered(Column("k", String(collation="NOCASE")), "=", ["b"], "sqlite") is None
