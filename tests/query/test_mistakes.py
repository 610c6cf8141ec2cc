"""A mistake in a query gets its way out, and no message or list names a database that is hidden."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.query.mistaken import HIDDEN, MISTAKES

from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError
from tracebank.query.mistakes import way_out
from tracebank.settings import Settings


def told(connection: Connection, query: str) -> str:
    """The one line that a query is refused by."""
    with pytest.raises(SqlError) as caught:
        connection.sql(query)
    text = str(caught.value)
    assert "\n" not in text
    assert not any(name in text for name in HIDDEN)
    return text


@pytest.mark.parametrize(("query", "end"), MISTAKES)
def test_a_mistake_gets_its_way_out(query: str, end: str, connection: Connection) -> None:
    assert told(connection, query).endswith(end)


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        ("2024-08-08T09:30:00Z", "'2024-08-08 09:30:00'"),
        ("2024-08-08T09:30:00.000000007Z", "'2024-08-08 09:30:00.000000007'"),
        ("2024-08-08T11:30:00+02:00", "'2024-08-08 09:30:00'"),
        ("2024-08-07T20:30:00.5-0800", "'2024-08-08 04:30:00.5'"),
        ("08/08/2024", "'2024-08-08 00:00:00'"),
    ],
)
def test_a_time_that_the_engine_does_not_read_is_written_for_it(
    moment: str, written: str, connection: Connection
) -> None:
    assert told(connection, f"SELECT * FROM trades WHERE ts >= '{moment}'").endswith(f"; write it as {written}, in UTC")
    connection.sql(f"SELECT * FROM trades WHERE ts >= {written}")


def test_a_time_among_the_parameters_is_written_too(connection: Connection) -> None:
    with pytest.raises(SqlError, match=r"write it as '2024-08-08 09:30:00', in UTC"):
        connection.sql("SELECT {t:DateTime64(9)} AS t", parameters={"t": "2024-08-08T09:30:00Z"})


def test_functions_and_columns_of_a_joined_table_are_suggested(connection: Connection) -> None:
    assert told(connection, "SELECT cuont(*) FROM trades").endswith("Did you mean count()?")
    assert told(connection, "SELECT t.pric FROM trades AS t").endswith("Did you mean t.price?")
    assert told(connection, "SELECT i.venu FROM relational.instruments AS i").endswith("Did you mean i.venue?")


def test_an_empty_home_says_how_to_fill_it(tmp_path: Path) -> None:
    empty = Connection(Settings.load(home=tmp_path, lock_timeout=60))
    for query in ("SELECT * FROM series.trades", "SELECT * FROM bars", "SELECT * FROM relational.features"):
        said = told(empty, query)
        assert "is not there yet: 'tracebank demo' makes rows to try, 'tracebank ingest FILES' takes yours" in said


@pytest.mark.parametrize(
    "query",
    [
        "SELECT name FROM system.databases",
        "SELECT DISTINCT database AS name FROM system.tables",
        "SELECT DISTINCT t.database AS name FROM (SELECT * FROM system.columns) AS t",
        "SELECT DISTINCT table_schema AS name FROM information_schema.tables",
        "SELECT DISTINCT table_schema AS name FROM INFORMATION_SCHEMA.COLUMNS",
        "SELECT schema_name AS name FROM information_schema.schemata",
        "SELECT word AS name FROM system.completions",
        "SHOW DATABASES",
    ],
)
def test_a_hidden_database_is_in_no_list(query: str, connection: Connection) -> None:
    found = set(connection.sql(query)["name"].to_list())
    assert {"series", "relational"} <= found
    assert not {"_relational", "_activations", "default"} & found


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM features",
        "SELECT * FROM _relationl.features",
        "SELECT * FROM relationals.features",
        "SELECT * FROM _activatins.x",
        "SELECT * FROM defaul.x",
        "DESCRIBE TABLE featurs",
        "SELECT feature FROM relational.features WHERE nosuch = 1",
        "SELECT throwIf(feature = 1) FROM relational.features, relational.nosuch",
    ],
)
def test_a_hidden_database_is_in_no_message(query: str, connection: Connection) -> None:
    told(connection, query)


@pytest.mark.parametrize(
    "query",
    [
        "SHOW CREATE TABLE relational.features",
        "SHOW CREATE VIEW relational.features",
        "SELECT create_table_query AS statement FROM system.tables WHERE name = 'features'",
        "SELECT as_select AS statement FROM system.tables WHERE name = 'features'",
        "SELECT VIEW_DEFINITION AS statement FROM information_schema.views WHERE table_name = 'features'",
    ],
)
def test_a_view_shows_its_columns_and_not_the_hidden_database_below(query: str, connection: Connection) -> None:
    (text,) = connection.sql(query)["statement"].to_list()
    assert text.endswith("(rows that lie outside of this engine)")
    assert not any(name in text for name in HIDDEN)
    if "CREATE" in text:
        assert "feature" in text


@pytest.mark.parametrize(
    ("query", "end"),
    [
        ("SELECT price", "; the statement has no FROM"),
        ("SELECT * FROM trades WHERE symbol = BTCUSDT", "; a text stands in single quotes: 'BTCUSDT'"),
        ("SELECT * FROM trades ORDER ts", ". Did you mean ORDER BY?"),
        ("SELECT {s:String}", "; give it: --param s=VALUE, in Python parameters={'s': VALUE}"),
        ("SELECT * FROM trades WHERE symbol = 5", "; compare texts with texts, which stand in single quotes"),
        ("SELECT * FROM trades WHERE", "(end of query)"),
        ("SELECT (1", "is never closed"),
        ("SELECT -0.0", "does not give -0. back, so it cannot be checked"),
        ("-- nothing", "the query is empty"),
    ],
)
def test_a_mistake_of_this_engine_gets_its_way_out(query: str, end: str, connection: Connection) -> None:
    assert told(connection, query).endswith(end)


@pytest.mark.parametrize(("query", "end"), [("SELECT (')', 1", "closed"), ("SELECT '(' || ')')", "opened")])
def test_parentheses_are_counted_outside_of_texts(query: str, end: str) -> None:
    assert way_out(query, 'syntax error at or near "1"').endswith(f"; a parenthesis is not {end}")


def test_what_is_no_known_mistake_stays_as_it_is() -> None:
    assert way_out("SELECT 1 / 0", "Division by zero") == "Division by zero"


def test_the_connection_says_what_it_is_and_has_its_tables(warehouse: Settings) -> None:
    import tracebank

    assert {name for name in dir(tracebank) if not name.startswith("__")} == {"connect", "Connection"}
    with tracebank.connect(warehouse) as db:
        assert repr(db).startswith("<tracebank: series chdb://")
        found = db.tables()
    assert {("series", "trades", 100), ("relational", "instruments", 1)} <= set(
        found.select("database", "table", "rows").iter_rows()
    )


def test_a_password_is_not_in_what_the_connection_says(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:hunter2@host/db"
    assert "hunter2" not in repr(Connection(Settings.load(home=tmp_path, relational_url=url)))
