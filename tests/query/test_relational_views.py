"""The views over the relational store: the same names, types and answers over SQLite and PostgreSQL."""

from __future__ import annotations

import enum
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    Uuid,
    create_engine,
    insert,
    make_url,
    text,
)

from tracebank.engines.clickhouse import relational as relational_views
from tracebank.engines.clickhouse.reader import ServerReader
from tracebank.engines.clickhouse.relational import attach, refresh, view_ddl
from tracebank.query.column_shapes import shape
from tracebank.query.connection import Connection
from tracebank.query.contract import Limits
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import open_relational, open_series
from tracebank_schemas.relational import BigInt, UtcDateTime

ENGINES = ["sqlite", "postgresql"]
PASSWORD = "correct-horse-7"
"""Given where the test server asks for none: it must not show either."""


class Side(enum.Enum):
    """An enumerated column's values."""

    BUY = 1
    SELL = 2


METADATA = MetaData()
_PAIRS: dict[str, Any] = {
    "small": SmallInteger,
    "whole": Integer,
    "big": BigInt,
    "plain_big": BigInteger,
    "real": Float,
    "flag": Boolean,
    "day": Date,
    "instant": UtcDateTime,
    "zoned": DateTime(timezone=True),
    "naive": DateTime,
    "raw": LargeBinary,
    "document": JSON,
    "side": Enum(Side),
    "amount": Numeric(18, 4),
    "name": String(40),
    "body": Text,
    "key": Uuid,
}
KINDS = Table(
    "kinds",
    METADATA,
    Column("id", Integer, primary_key=True),
    *(Column(name, kind, nullable=False) for name, kind in _PAIRS.items()),
    *(Column(f"{name}_or_null", kind, nullable=True) for name, kind in _PAIRS.items()),
)


def _values(variant: int) -> dict[str, Any]:
    instant = [
        datetime(2024, 2, 29, 23, 59, 59, 999999, UTC),
        datetime(1969, 12, 31, 23, 59, 59, 1, UTC),
        datetime(2024, 7, 1, 2, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))).astimezone(UTC),
    ][variant]
    return {
        "small": [-32768, 0, 32767][variant],
        "whole": [-(2**31), 0, 2**31 - 1][variant],
        "big": [-(2**63), 0, 2**63 - 1][variant],
        "plain_big": [-(2**63), 2**53 + 1, 2**63 - 1][variant],
        "real": [1 / 3, float("inf"), -1e-300][variant],
        "flag": [True, False, True][variant],
        "day": [date(2024, 2, 29), date(1900, 1, 1), date(2299, 12, 31)][variant],
        "instant": instant,
        "zoned": instant,
        "naive": instant.replace(tzinfo=None),
        "raw": [b"\x00\xff'\n\\", b"", bytes(range(256))][variant],
        "document": [{"a": [1, 'é"\\'], "b": None}, [], "text"][variant],
        "side": [Side.BUY, Side.SELL, Side.BUY][variant],
        "amount": [Decimal("12345.6789"), Decimal("-0.0001"), Decimal("0.57")][variant],
        "name": ["Zürich\t'quoted'\\n", "", "日本"][variant],
        "body": ["a\nb", "NULL", "\\N"][variant],
        "key": uuid.UUID(int=variant * 2**100 + 5),
    }


ROWS = [
    {"id": n, **_values(n), **{f"{name}_or_null": value for name, value in (_values(n) if n < 2 else {}).items()}}
    for n in range(3)
]
# SQLAlchemy writes JSON null for None; leaving the column out writes SQL null, which is what is meant here.
for _row in ROWS:
    for _name in _PAIRS:
        _row.setdefault(f"{_name}_or_null", None)

QUERIES = [
    "SELECT * FROM relational.kinds ORDER BY id",
    "DESCRIBE relational.kinds",
    "SELECT name, type FROM system.columns WHERE database = 'relational' AND table = 'kinds' ORDER BY position",
    "SELECT id, hex(raw), hex(raw_or_null), toTypeName(raw) FROM relational.kinds ORDER BY id",
    "SELECT id FROM relational.kinds WHERE flag AND day > '2000-01-01' ORDER BY id",
    "SELECT id FROM relational.kinds WHERE instant >= toDateTime64('2024-02-29 23:59:59.999999', 6, 'UTC') ORDER BY id",
    "SELECT side, count() AS n, max(instant), sum(amount) FROM relational.kinds GROUP BY side ORDER BY side",
    "SELECT id, JSONExtractArrayRaw(document, 'a') AS a, isNull(flag_or_null) FROM relational.kinds ORDER BY id",
    "SELECT k.id, n.number FROM numbers(5) AS n JOIN relational.kinds AS k ON k.id = n.number ORDER BY k.id",
]


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A series store beside a relational store of the engine asked for, with three rows of every type."""
    url = make_url(f"sqlite:///{tmp_path}/relational.db")
    if request.param == "postgresql":
        given = make_url(request.getfixturevalue("postgres_url"))
        url = given if given.password else given.set(password=PASSWORD)
    engine = create_engine(url)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(KINDS), ROWS)
    found = Settings.load(home=tmp_path, series_url=f"chdb:///{tmp_path}/series", relational_url=_told_whole(url))
    relational = open_relational(found)
    refresh(open_series(found), relational, METADATA)
    relational.close()
    engine.dispose()
    return found


def _told_whole(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@pytest.fixture(autouse=True)
def _attached_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries find the tables of this test's metadata attached."""
    opened = Connection.open

    def attached(connection: Connection, *query: Any, **options: Any) -> Any:
        with open_series(connection.settings).session() as client:
            attach(client, connection.settings.relational, embedded=True, metadata=METADATA)
        return opened(connection, *query, **options)

    monkeypatch.setattr(Connection, "open", attached)


def _expected() -> pl.DataFrame:
    """The rows as the query must give them, made without a database."""
    import json

    def shown(name: str, value: Any) -> Any:
        if value is None:
            return "null" if name.startswith("document") else None
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC)
        if name.startswith("document"):
            return json.dumps(value)
        if isinstance(value, enum.Enum):
            return value.name
        return str(value) if isinstance(value, uuid.UUID) else value

    kinds = {"small": pl.Int16, "whole": pl.Int32, "id": pl.Int32, "amount": pl.Decimal(18, 4), "flag": pl.Boolean}
    times = ("instant", "zoned", "naive")
    names = [column.name for column in KINDS.columns if not column.name.startswith("raw")]
    columns = []
    for name in names:
        stem = name.removesuffix("_or_null")
        kind = pl.Datetime("ns", "UTC") if stem in times else kinds.get(stem)
        columns.append(pl.Series(name, [shown(name, row[name]) for row in ROWS], dtype=kind))
    return pl.DataFrame(columns)


@pytest.mark.parametrize("settings", ENGINES, indirect=True)
def test_every_type_comes_back_as_it_was_written(settings: Settings) -> None:
    names = ", ".join(f"`{name}`" for name in _expected().columns)
    found = Connection(settings).sql(f"SELECT {names} FROM relational.kinds ORDER BY id")
    assert found.schema == _expected().schema
    assert found.equals(_expected())


@pytest.mark.parametrize("settings", ENGINES, indirect=True)
def test_bytes_come_back_as_they_were_written(settings: Settings) -> None:
    found = Connection(settings).sql("SELECT hex(raw) AS a, hex(raw_or_null) AS b FROM relational.kinds ORDER BY id")
    assert found["a"].to_list() == [row["raw"].hex().upper() for row in ROWS]
    assert found["b"].to_list() == [ROWS[0]["raw"].hex().upper(), "", None]


@pytest.mark.parametrize("settings", ENGINES, indirect=True)
def test_nullable_columns_are_nullable_and_others_are_not(settings: Settings) -> None:
    described = Connection(settings).sql("DESCRIBE relational.kinds")
    types = dict(zip(described["name"], described["type"], strict=True))
    for name in _PAIRS:
        assert not types[name].startswith("Nullable")
        assert types[f"{name}_or_null"] == f"Nullable({types[name]})"


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_the_same_queries_give_the_same_over_both(settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    url = f"sqlite:///{other}/relational.db"
    engine = create_engine(url)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(KINDS), ROWS)
    engine.dispose()
    on_sqlite = Settings.load(home=other, series_url=f"chdb:///{other}/series", relational_url=url)
    relational = open_relational(on_sqlite)
    refresh(open_series(on_sqlite), relational, METADATA)
    relational.close()
    for query in QUERIES:
        if query.startswith("SELECT *"):
            query = query.replace("SELECT *", "SELECT * EXCEPT (raw, raw_or_null)")
        here, there = Connection(settings).sql(query), Connection(on_sqlite).sql(query)
        assert here.schema == there.schema, query
        assert here.equals(there), query


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_instants_are_right_whatever_zone_the_server_speaks(settings: Settings) -> None:
    _set(settings, "timezone", "Asia/Kolkata")
    found = Connection(settings).sql("SELECT instant FROM relational.kinds ORDER BY id")
    assert found["instant"].to_list() == [row["instant"] for row in ROWS]


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("name", "value"), [("datestyle", "German"), ("bytea_output", "escape")])
def test_a_server_that_writes_dates_or_bytes_otherwise_is_refused(settings: Settings, name: str, value: str) -> None:
    _set(settings, name, value)
    relational = open_relational(settings)
    try:
        with pytest.raises(StoreError, match=f"{name} is '{value}.*ALTER ROLE"):
            refresh(open_series(settings), relational, METADATA)
    finally:
        relational.close()


def _set(settings: Settings, name: str, value: str) -> None:
    """Change a setting of the test's own database, for connections to come."""
    engine = create_engine(settings.relational)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE \"{settings.relational.database}\" SET {name} = '{value}'"))
    engine.dispose()


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_the_password_is_in_no_file_and_no_answer(settings: Settings) -> None:
    password = str(settings.relational.password)
    assert len(password) >= 6, "the test needs a password that cannot occur by chance"
    connection = Connection(settings)
    assert connection.sql("SELECT count() AS n FROM relational.kinds")["n"].to_list() == [3]
    with open_series(settings).session() as client:
        attach(client, settings.relational, embedded=True, metadata=METADATA)
        _assert_absent(password, settings.home)
    _assert_absent(password, settings.home)
    names = connection.sql(
        "SELECT concat(database, '.`', name, '`') AS name FROM system.tables"
        " WHERE database IN ('system', 'information_schema') AND name NOT LIKE '%numbers%'"
        " AND name NOT IN ('zeros', 'zeros_mt', 'primes', 'documentation', 'stack_trace', 'unicode')"
    )["name"].to_list()
    assert len(names) > 80
    statements = [f"SELECT toString(tuple(*)) AS row FROM {name} LIMIT 5000" for name in names]
    statements += [
        "SHOW CREATE VIEW relational.kinds",
        "SHOW CREATE TABLE _relational.kinds",
        "SHOW CREATE DATABASE _relational",
        "SHOW PROCESSLIST",
    ]
    with open_series(settings).session() as client:
        attach(client, settings.relational, embedded=True, metadata=METADATA)
        reader = ServerReader(client, client, "default", Limits(60, 1 << 30), None)
        told = {statement: _told(reader, statement) for statement in statements}
    assert "PostgreSQL" in told["SHOW CREATE TABLE _relational.kinds"]
    assert [statement for statement, answer in told.items() if password in answer] == []


def _told(reader: ServerReader, statement: str) -> str:
    """Everything that the engine says to a statement, be it an answer or an error."""
    try:
        return str(reader.ask(statement))
    except Exception as error:
        return str(error)


def _assert_absent(password: str, folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if password.encode() in path.read_bytes()]


def test_a_store_that_is_down_is_told_in_one_line_without_the_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg://reader:hunter2secret@127.0.0.1:1/db"
    settings = Settings.load(home=tmp_path, series_url=f"chdb:///{tmp_path}/series", relational_url=url)
    series = open_series(settings)
    with series.session() as client:
        attach(client, settings.relational, embedded=True, metadata=METADATA)
        client.command("CREATE DATABASE relational")
        client.command(view_ddl(KINDS, "postgresql"))
    connection = Connection(settings)
    assert connection.sql("SELECT 1 AS a").rows() == [(1,)]
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1") as caught:
        connection.sql("SELECT id FROM relational.kinds")
    assert "hunter2secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    _assert_absent("hunter2secret", tmp_path)


def test_views_of_models_that_are_gone_are_removed(tmp_path: Path) -> None:
    settings = Settings.load(
        home=tmp_path, series_url=f"chdb:///{tmp_path}/series", relational_url=f"sqlite:///{tmp_path}/relational.db"
    )
    engine = create_engine(settings.relational)
    more = MetaData()
    Table("kept", more, Column("id", Integer, primary_key=True))
    Table("gone", more, Column("id", Integer, primary_key=True))
    more.create_all(engine)
    engine.dispose()
    fewer = MetaData()
    Table("kept", fewer, Column("id", Integer, primary_key=True))
    relational = open_relational(settings)
    assert refresh(open_series(settings), relational, more) == ["gone", "kept"]
    assert refresh(open_series(settings), relational, fewer) == ["kept"]
    relational.close()
    assert Connection(settings).sql("SHOW TABLES FROM relational")["name"].to_list() == ["kept"]


@pytest.mark.parametrize("column", [Column("c", Time), Column("c", Numeric)])
def test_a_type_without_a_common_form_is_refused(column: Column[Any]) -> None:
    Table("t", MetaData(), column)
    with pytest.raises(StoreError, match=r"column t\.c|Numeric needs a scale"):
        shape(column, "sqlite")


def test_sqlite_being_written_by_another_process_is_read(tmp_path: Path) -> None:
    settings = Settings.load(
        home=tmp_path, series_url=f"chdb:///{tmp_path}/series", relational_url=f"sqlite:///{tmp_path}/relational.db"
    )
    relational = open_relational(settings)
    with relational.connection() as connection:
        METADATA.create_all(connection)
        connection.execute(insert(KINDS), ROWS[:1])
    refresh(open_series(settings), relational, METADATA)
    script = (
        "import sqlite3, sys\n"
        f"c = sqlite3.connect({str(tmp_path / 'relational.db')!r})\n"
        "c.execute('BEGIN IMMEDIATE'); c.execute('DELETE FROM kinds')\n"
        "print('writing', flush=True); sys.stdin.readline()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        assert Connection(settings).sql("SELECT count() AS n FROM relational.kinds")["n"].to_list() == [1]
    relational.close()


class _Counting:
    """A client that counts what it is asked."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked: list[str] = []

    def query(self, statement: str) -> Any:
        self.asked.append(statement)
        return self._client.query(statement)

    def command(self, statement: str) -> Any:
        self.asked.append(statement)
        return self._client.command(statement)


def _with_rows(url: URL, rows: list[dict[str, Any]]) -> None:
    engine = create_engine(url)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(KINDS), rows)
    engine.dispose()


def test_the_store_is_attached_again_only_when_it_is_another(tmp_path: Path) -> None:
    url = make_url(f"sqlite:///{tmp_path}/relational.db")
    _with_rows(url, ROWS)
    settings = Settings.load(home=tmp_path, series_url=f"chdb:///{tmp_path}/series", relational_url=str(url))
    with open_series(settings).session() as client:

        def attached(to: URL) -> tuple[int, int]:
            """Statements that it took, and rows that are seen."""
            counting = _Counting(client)
            assert attach(counting, to, embedded=True, metadata=METADATA)  # type: ignore[arg-type]
            return len(counting.asked), int(client.query("SELECT count() FROM _relational.kinds").result_rows[0][0])

        first = attached(url)
        assert first[0] > 1
        assert attached(url) == (1, 3)
        for path in tmp_path.glob("relational.db*"):
            path.unlink()
        _with_rows(url, ROWS[:1])
        assert attached(url) == (first[0], 1)
        other = make_url(f"sqlite:///{tmp_path}/other.db")
        _with_rows(other, ROWS[:2])
        assert attached(other) == (first[0], 2)
        assert attached(url) == (first[0], 1)


def test_a_changed_password_attaches_the_store_again() -> None:
    url = make_url("postgresql+psycopg://reader:first@db.example/tracebank")
    mark = relational_views.mark(url)
    assert mark == relational_views.mark(make_url(str(url).replace("***", "first")))
    assert mark != relational_views.mark(url.set(password="second"))
    assert "first" not in mark


def test_views_stand_while_others_are_made_and_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_url(f"sqlite:///{tmp_path}/relational.db")
    _with_rows(url, ROWS)
    settings = Settings.load(home=tmp_path, series_url=f"chdb:///{tmp_path}/series", relational_url=str(url))
    series, relational = open_series(settings), open_relational(settings)
    refresh(series, relational, METADATA)
    monkeypatch.setattr(relational_views, "view_select", lambda *_: "SELECT (")
    with pytest.raises(StoreError, match=r"(?i)syntax error"):
        refresh(series, relational, METADATA)
    relational.close()
    monkeypatch.undo()
    with series.session() as client:
        attach(client, url, embedded=True, metadata=METADATA)
        assert client.query("SELECT count() FROM relational.kinds").result_rows == [(3,)]
        engine = client.query("SELECT engine FROM system.databases WHERE name = 'relational'").result_rows
        assert engine == [("Atomic",)]  # there CREATE OR REPLACE changes one view for the other in one step


def test_the_module_names_its_databases() -> None:
    assert (relational_views.VIEWS, relational_views.RAW) == ("relational", "_relational")
