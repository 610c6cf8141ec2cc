"""The market group with its series store on DuckDB and on PostgreSQL: the same rows, bars, checks and answers."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import make_url

from tracebank.cli.inspection import inspect
from tracebank.engines.postgresql.reader import role
from tracebank.query.catalogue import tables
from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError, SqlRefused
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.migrations import status
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_assets.market.ingestion import ingest_paths
from tracebank_assets.market.questions import questions
from tracebank_models.market.synthetic_exchange import FeedDefects, Manifest, SyntheticMarket, write_day
from tracebank_schemas.catalogue import METADATA, TABLES
from tracebank_schemas.market import BARS, BOOK, QUOTES, TRADES
from tracebank_schemas.quality import QualityMeasure

DEFECTS = FeedDefects(gaps=0.001, duplicates=0.01, late=0.01, unreadable=0.002)
MARKET = SyntheticMarket(day=date(2024, 8, 8), duration_s=90, seed=5, defects=DEFECTS)
ENGINES = ("duckdb", "postgresql")
_POSTGRES = os.environ.get("TRACEBANK_TEST_POSTGRES_URL", "")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_day(MARKET, tmp_path_factory.mktemp("recorded"))


def _materialised(settings: Settings, recorded: Manifest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    upgrade(settings)
    ingest_paths(settings, [recorded.files[0].path.parents[1]], max_rejected_share=0.1)
    return settings


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def _database() -> Iterator[str]:
    """A PostgreSQL database for this module."""
    if not _POSTGRES:
        pytest.skip("no PostgreSQL: set TRACEBANK_TEST_POSTGRES_URL, e.g. to what '.ci/postgres start' prints")
    name = f"tracebank_test_{uuid.uuid4().hex[:16]}"
    server = create_engine(_POSTGRES, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield make_url(_POSTGRES).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            connection.execute(text(f'DROP ROLE IF EXISTS "{role(name)}"'))
        server.dispose()


@pytest.fixture(scope="module")
def stored(engine: str, recorded: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Stores of the engine, the market's day materialised; on PostgreSQL both are one database."""
    home = tmp_path_factory.mktemp(engine)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setitem(Settings.model_config, "env_file", None)
        series, relational = f"duckdb:///{home}/series.duckdb", f"sqlite:///{home}/relational.db"
        if engine == "postgresql":
            series = relational = stack.enter_context(_database())
        settings = Settings.load(home=home, series_url=series, relational_url=relational)
        yield _materialised(settings, recorded, patch)


@pytest.fixture(scope="module")
def reference(recorded: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The same on the default stores."""
    home = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Settings.model_config, "env_file", None)
        urls = {"series_url": f"chdb:///{home}/series", "relational_url": f"sqlite:///{home}/relational.db"}
        yield _materialised(Settings.load(home=home, **urls), recorded, patch)


def _measures(settings: Settings) -> dict[tuple[str, str, str], tuple[float, int]]:
    store = open_relational(settings)
    try:
        with store.session() as session:
            found = session.scalars(select(QualityMeasure)).all()
            return {(m.partition, m.venue, m.check_name): (m.value, m.checked) for m in found}
    finally:
        store.close()


def test_rows_bars_and_checks_are_those_of_the_default_store(reference: Settings, stored: Settings) -> None:
    ours, theirs = open_series(stored), open_series(reference)
    for table in (TRADES, QUOTES, BOOK):
        assert_frame_equal(ours.read(table), theirs.read(table), check_row_order=False)
    assert_frame_equal(ours.read(BARS), theirs.read(BARS), rel_tol=1e-12, check_row_order=False)
    assert ours.read(BARS).height > 0
    assert _measures(stored) == _measures(reference)


def test_one_sql_reaches_both_stores(stored: Settings) -> None:
    found = Connection(stored).sql(
        "SELECT t.venue, t.symbol, count(*) AS trades, max(t.ts) AS last, i.price_unit FROM series.trades t"
        " JOIN relational.instruments i ON i.venue = t.venue AND i.symbol = t.symbol"
        " GROUP BY t.venue, t.symbol, i.price_unit ORDER BY t.venue, t.symbol"
    )
    rows = open_series(stored).read(TRADES)
    expected = rows.group_by("venue", "symbol").agg(pl.len().alias("trades")).sort("venue", "symbol")
    assert_frame_equal(found.select("venue", "symbol", pl.col("trades").cast(pl.UInt32)), expected)
    assert found.schema["last"] == pl.Datetime("ns", "UTC")
    last = found["last"].max()
    assert last is not None
    assert abs((rows["ts"].max() - last).total_seconds()) < 1e-5  # type: ignore[operator,union-attr]


def test_the_demos_questions_have_the_same_answers(reference: Settings, stored: Settings) -> None:
    ours, theirs = questions(open_series(stored).engine), questions(open_series(reference).engine)
    assert list(ours) == list(theirs)
    for meaning, query in ours.items():
        found, expected = Connection(stored).sql(query), Connection(reference).sql(theirs[meaning])
        assert found.height > 0
        plain = {name: pl.Int64 for name, kind in expected.schema.items() if kind.is_integer()}
        assert_frame_equal(found.cast(plain), expected.cast(plain), abs_tol=0.0011, check_row_order=False)


def test_every_relational_table_can_be_asked(stored: Settings) -> None:
    for name, table in METADATA.tables.items():
        found = Connection(stored).sql(f"SELECT * FROM relational.{name}")
        assert found.columns == [column.name for column in table.columns]
    files = Connection(stored).sql("SELECT sha256, lines, ignored FROM relational.ingest_files")
    assert files.schema == {"sha256": pl.String, "lines": pl.Int64, "ignored": pl.String}
    assert files.height > 0


def test_limits_streams_and_parameters(stored: Settings, engine: str) -> None:
    connection = Connection(stored)
    mark = "$least" if engine == "duckdb" else "%(least)s"
    query = f"SELECT price FROM trades WHERE price > {mark}"
    total = open_series(stored).read(TRADES).filter(pl.col("price") > 100).height
    assert total > 10
    assert connection.sql(query, parameters={"least": 100}).height == total
    assert connection.sql(query, parameters={"least": 100}, limit=7).height == 7
    assert sum(batch.num_rows for batch in connection.stream(query, parameters={"least": 100})) == total


REFUSED = {
    "both": [
        "DELETE FROM series.trades",
        "INSERT INTO series.trades SELECT * FROM series.trades",
        "DROP TABLE series.trades",
        "CREATE TABLE series.x (a INTEGER)",
        "SELECT 1; DROP TABLE series.trades",
        "COPY series.trades TO '/tmp/h'",
        "SET threads = 1",
        "",
        "SELEC 1",
        "SELECT * FROM series.tradez",
    ],
    "duckdb": [
        "SELECT * FROM read_csv('secret.csv')",
        "SELECT * FROM 'secret.csv'",
        "SELECT * FROM glob('*')",
        "ATTACH 'x.db'",
        "SELECT * FROM settings",
        "INSTALL httpfs",
        "PRAGMA enable_external_access = true",
        "CALL pragma_version()",
    ],
    "postgresql": [
        "WITH gone AS (DELETE FROM series.trades RETURNING *) SELECT * FROM gone",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT lo_import('/etc/passwd')",
        "SELECT query_to_xml('delete from trades', true, true, '')",
        "SELECT * FROM public.instruments",
        "/* x */ DO $$ BEGIN END $$",
        "SELECT * INTO series.x FROM series.trades",
    ],
}


def test_nothing_is_written_and_nothing_else_reached(
    stored: Settings, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.csv").write_text("a\nhunter2\n")
    monkeypatch.chdir(tmp_path)
    before = {name: open_series(stored).size(table).rows for name, table in TABLES.items()}
    for query in REFUSED["both"] + REFUSED[engine]:
        with pytest.raises(SqlError) as caught:
            Connection(stored).sql(query)
        assert "\n" not in str(caught.value), query
        assert len(str(caught.value)) < 600, query
    assert {name: open_series(stored).size(table).rows for name, table in TABLES.items()} == before
    with pytest.raises(SqlRefused, match="read-only"):
        Connection(stored).sql("DELETE FROM series.trades")


def test_the_catalogue_the_status_and_the_doctor_know_the_stores(stored: Settings, engine: str) -> None:
    found = {f"{entry.database}.{entry.name}": entry for entry in tables(Connection(stored))}
    assert set(found) == {f"series.{name}" for name in TABLES} | {f"relational.{name}" for name in METADATA.tables}
    assert found["series.trades"].rows == open_series(stored).read(TRADES).height
    relational = open_relational(stored)
    assert status(open_series(stored), relational).current
    relational.close()
    assert upgrade(stored).current
    store = next(entry for entry in inspect(stored) if entry.name == "series store")
    assert store.state == "ok"
    assert engine in store.detail


def test_postgresql_says_when_the_relational_store_is_elsewhere(postgres_url: str, tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path, series_url=postgres_url)
    upgrade(settings)
    assert Connection(settings).sql("SELECT count(*) AS n FROM series.trades").rows() == [(0,)]
    with pytest.raises(SqlError, match=r"is not; set TRACEBANK_RELATIONAL_URL to the series store's database"):
        Connection(settings).sql("SELECT * FROM relational.instruments")


def test_somebody_elses_schema_is_left_alone(postgres_url: str, tmp_path: Path) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA relational"))
        connection.execute(text("CREATE TABLE relational.mine (a int)"))
    with pytest.raises(StoreError, match="schema relational is not tracebank's"):
        upgrade(Settings.load(home=tmp_path, series_url=postgres_url, relational_url=postgres_url))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM relational.mine")).scalar() == 0
    engine.dispose()


@pytest.mark.parametrize("query", ["EXPLAIN SELECT * FROM series.trades", "SHOW search_path", "SHOW TABLES"])
def test_statements_that_tell_are_answered(stored: Settings, engine: str, query: str) -> None:
    if query == "SHOW TABLES" and engine == "postgresql":
        with pytest.raises(SqlError):
            Connection(stored).sql(query)
    else:
        found = Connection(stored).sql(query)
        assert found.height > 0
        assert found.width > 0


def test_a_duckdb_store_that_is_not_made_yet_says_so(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path, series_url=f"duckdb:///{tmp_path}/none.duckdb")
    with pytest.raises(Exception, match="not made yet; 'tracebank demo' makes rows"):
        Connection(settings).sql("SELECT 1")
    assert not (tmp_path / "none.duckdb").exists()
