"""The relational store: migrations, models that agree with them, writes that may be done again, and its faults."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import func, inspect, select, text
from sqlalchemy.engine import make_url
from tests.filled import filled
from tests.upgraded import upgraded

from tracebank.engines.postgresql.query import in_one_database
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.migrations import _config, one_at_a_time, status, upgrade
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.opening import upgrade as upgrade_all
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.catalogue import METADATA, TABLES
from tracebank_schemas.ingest import IngestCount, IngestFile, Instrument, RejectedRow
from tracebank_schemas.language_model import LanguageModel, LayerDivergence
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.relational import resolved_path, stored_path


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings on each of the two engines."""
    url = f"sqlite:///{tmp_path / 'r.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return Settings.load(home=tmp_path / "home", relational_url=url)


@pytest.fixture
def store(both: Settings) -> RelationalStore:
    """An upgraded store on each of the two engines."""
    opened = open_relational(both)
    if both.relational.get_backend_name() == "sqlite":
        upgraded(both)
    else:
        with opened.migrating() as connection:
            command.upgrade(_config(connection), "head")
    yield opened
    opened.close()


def _file(**changed: object) -> dict[str, object]:
    row: dict[str, object] = {
        "sha256": "a" * 64,
        "path": "/data/ü.gz",
        "format": "recorder",
        "venue": None,
        "symbol": "BTC",
        "mapping": None,
        "bytes": 2**40,
        "lines": 10,
        "rows": 9,
        "rejected": 1,
        "ignored": {"depth": 3},
        "first_ts": datetime(2024, 8, 8, 1, 2, 3, 456789, tzinfo=UTC),
        "last_ts": None,
        "registered_at": datetime(2024, 8, 8, tzinfo=timezone(timedelta(hours=2))),
    }
    return row | changed


def test_upgrade_from_nothing_and_again(both: Settings) -> None:
    series, relational = open_series(both), open_relational(both)
    before = status(series, relational)
    assert (before.revision, before.current) == (None, False)
    assert {d.table for d in before.series} == set(TABLES)
    for _ in range(2):
        after = upgrade(series, relational)
        assert after.current
        assert after.revision == after.head
    with relational.connection() as connection:
        assert set(METADATA.tables) <= set(inspect(connection).get_table_names())
    relational.close()


def test_models_and_migrations_agree(store: RelationalStore, both: Settings) -> None:
    found = status(open_series(both), store)
    assert found.relational == []
    with store.connection() as connection:
        connection.execute(text("ALTER TABLE instruments ADD COLUMN stray INTEGER"))
    assert ["stray" in difference for difference in status(open_series(both), store).relational] == [True]


def test_downgrade_takes_everything_back(store: RelationalStore, both: Settings) -> None:
    with store.connection() as connection:
        command.downgrade(_config(connection), "base")
    with store.connection() as connection:
        assert set(inspect(connection).get_table_names()) - {"alembic_version"} == set()
    assert upgrade(open_series(both), store).current


def test_a_migration_that_fails_leaves_nothing(both: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    relational = open_relational(both)
    with relational.connection() as connection:
        connection.execute(text("CREATE TABLE rejected_rows (x INTEGER)"))
    with pytest.raises(StoreError, match="already exists"):
        upgrade(open_series(both), relational)
    with relational.connection() as connection:
        assert set(inspect(connection).get_table_names()) == {"rejected_rows"}
    relational.close()


_UPGRADE = """
import sys
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.opening import upgrade as upgrade_all
from tracebank.stores.migrations import upgrade
settings = Settings.load(home=sys.argv[1], relational_url=sys.argv[2])
relational = open_relational(settings)
relational.info()
print("ready", flush=True)
sys.stdin.readline()
assert upgrade(open_series(settings), relational).current
"""


def test_a_store_that_a_newer_version_made_is_told_of_and_left_alone(both: Settings) -> None:
    upgrade_all(both)
    relational = open_relational(both)
    with relational.connection() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"stands at revision 9999, which this version of tracebank \(\d+\)") as caught:
        upgrade_all(both)
    assert "\n" not in str(caught.value)
    with relational.reading() as session:
        assert session.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9999"
    relational.close()


def test_processes_that_upgrade_at_once(both: Settings) -> None:
    command = [sys.executable, "-c", _UPGRADE, str(both.home), both.relational_url.get_secret_value()]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(3)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in running:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors[-2000:]


def test_an_upgrade_waits_for_one_that_is_under_way(both: Settings) -> None:
    command = [sys.executable, "-c", _UPGRADE, str(both.home), both.relational_url.get_secret_value()]
    pipe = subprocess.PIPE
    relational = open_relational(both)
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with relational.connection() as connection:  # in SQLite this alone holds the file
        one_at_a_time(connection)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate("\n", timeout=2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors[-2000:]
    relational.close()


def test_values_come_back_as_they_went(store: RelationalStore) -> None:
    with store.session() as session:
        store.upsert(session, IngestFile, [_file()])
    with store.session() as session:
        row = session.get_one(IngestFile, "a" * 64).row()
    assert row == _file()
    assert row["first_ts"].tzinfo == UTC
    assert row["registered_at"] == datetime(2024, 8, 7, 22, tzinfo=UTC)


def test_upsert_again_changes_nothing_and_overwrites_what_changed(store: RelationalStore) -> None:
    with store.session() as session:
        store.upsert(session, IngestFile, [_file()])
    for rows in ([_file()], [_file(rows=5)], [_file(rows=5)]):
        with store.session() as session:
            store.upsert(session, IngestFile, rows)
            assert session.scalar(select(func.count()).select_from(IngestFile)) == 1
    with store.session() as session:
        assert session.get_one(IngestFile, "a" * 64).rows == 5


def test_upsert_of_many_rows_and_of_none(store: RelationalStore) -> None:
    rows = [{"sha256": "a" * 64, "line": line, "file": "f", "reason": "r", "text": "t"} for line in range(1, 40_001)]
    with store.session() as session:
        store.upsert(session, IngestFile, [_file()])
        store.upsert(session, RejectedRow, rows)
        store.upsert(session, RejectedRow, [])
        assert session.scalar(select(func.count()).select_from(RejectedRow)) == 40_000


def test_upsert_refuses_rows_of_different_columns(store: RelationalStore) -> None:
    def write() -> None:
        with store.session() as session:
            store.upsert(session, IngestFile, [_file(), _file(stray=1)])

    with pytest.raises(ValueError, match=r"rows of ingest_files differ in their columns; give each \['bytes', "):
        write()


def test_upsert_by_a_key_of_many_columns(store: RelationalStore) -> None:
    key = {"sha256": "a" * 64, "venue": "v", "symbol": "s", "day": date(2024, 8, 8), "table_name": "t", "kind": "k"}
    with store.session() as session:
        store.upsert(session, IngestFile, [_file()])
        for lines in (1, 2):
            store.upsert(session, IngestCount, [key | {"lines": lines}])
        assert session.scalars(select(IngestCount.lines)).all() == [2]


def test_a_failed_transaction_writes_nothing(store: RelationalStore) -> None:
    def write() -> None:
        with store.session() as session:
            store.upsert(session, IngestFile, [_file()])
            raise RuntimeError("after the write")

    with pytest.raises(RuntimeError, match="after the write"):
        write()
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(IngestFile)) == 0


def test_a_transaction_opened_for_reading_writes_nothing(store: RelationalStore) -> None:
    def write() -> None:
        with store.reading() as session:
            assert session.scalar(select(func.count()).select_from(IngestFile)) == 0
            store.upsert(session, IngestFile, [_file()])

    def write_when_it_ends() -> None:
        with store.reading() as session:
            session.add(IngestFile(**_file()))

    for wrong in (write, write_when_it_ends):
        with pytest.raises(StoreError, match=r"read-?only.*; it was opened with reading\(\).*session\(\)"):
            wrong()
    with store.session() as session:  # the pool's connection is none the worse
        store.upsert(session, IngestFile, [_file()])
    with store.reading() as session:
        assert session.scalar(select(func.count()).select_from(IngestFile)) == 1


def test_reading_waits_for_no_writer(store: RelationalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebank.stores.relational.SQLITE_WAIT", 0.1)
    other = RelationalStore(store.url)
    with store.session() as session:
        store.upsert(session, IngestFile, [_file()])
        session.flush()
        with other.reading() as reader:  # would fail, were it to wait for the writer above
            assert reader.scalar(select(func.count()).select_from(IngestFile)) == 0
            if store.url.get_backend_name() == "sqlite":
                with pytest.raises(StoreError, match="locked"), other.session() as writer:
                    writer.connection()
    other.close()


def test_views_in_postgresql_outlive_an_upgrade_that_fails(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load(home=tmp_path, series_url=postgres_url, relational_url=postgres_url)
    upgrade_all(settings)
    views = text("SELECT count(*) FROM pg_views WHERE schemaname = 'relational'")
    relational = open_relational(settings)

    def fails(*_: object) -> None:
        raise RuntimeError("killed in the migration")

    monkeypatch.setattr("tracebank.stores.migrations.command.upgrade", fails)
    with pytest.raises(RuntimeError, match="killed in the migration"):
        upgrade_all(settings)
    with relational.reading() as session:
        assert session.scalar(views) == len(METADATA.tables)
    monkeypatch.undo()
    with relational.connection() as connection:
        connection.execute(text("DROP VIEW relational.instruments"))
    upgrade_all(settings)
    with relational.reading() as session:
        assert session.scalar(views) == len(METADATA.tables)
    relational.close()


@pytest.mark.parametrize(
    ("series", "found"),
    [
        ("postgresql+psycopg://reader@db/tracebank", True),
        ("timescaledb+psycopg://db:5432/tracebank", True),
        ("postgresql+psycopg://db/other", False),
        ("clickhouse://db/tracebank", False),
    ],
)
def test_views_stand_in_postgresql_only_where_both_stores_are_one_database(series: str, found: bool) -> None:
    assert in_one_database(make_url(series), make_url("postgresql+psycopg://owner@db/tracebank")) == found


def test_foreign_keys_hold(store: RelationalStore) -> None:
    def orphan() -> None:
        with store.session() as session:
            session.add(RejectedRow(sha256="b" * 64, line=1, file="f", reason="r", text="t"))

    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        orphan()
    with store.session() as session:
        store.upsert(session, IngestFile, [_file()])
        session.add(RejectedRow(sha256="a" * 64, line=1, file="f", reason="r", text="t"))
    with store.session() as session:
        session.delete(session.get_one(IngestFile, "a" * 64))
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(RejectedRow)) == 0


def _model(name: str, **changed: object) -> dict[str, object]:
    return filled(LanguageModel, model=name, **changed)


def _divergence(model: str, layer: int = 0) -> dict[str, object]:
    return {"model": model, "layer": layer, "definition": "d", "parent": "p", "value": 0.5}


def test_what_is_replaced_keeps_what_refers_to_it_and_what_is_gone_takes_it_along(store: RelationalStore) -> None:
    def standing() -> list[str]:
        with store.reading() as session:
            return list(session.scalars(select(LayerDivergence.model).order_by(LayerDivergence.model)))

    of_study = LanguageModel.model.startswith("tuned")
    with store.session() as session:
        # What refers to a row may be written before it: all of it is looked at when the transaction ends.
        store.upsert(session, LayerDivergence, [_divergence(name) for name in ("tuned", "tuned@8", "base")])
        store.replace(session, LanguageModel, of_study, [_model("tuned"), _model("tuned@8")])
        store.replace(session, LanguageModel, LanguageModel.model == "base", [_model("base")])
    assert standing() == ["base", "tuned", "tuned@8"]
    with store.session() as session:
        store.replace(session, LanguageModel, of_study, [_model("tuned", method="dpo")])
    assert standing() == ["base", "tuned"]
    with store.session() as session:
        assert session.get_one(LanguageModel, "tuned").method == "dpo"
        store.replace(session, LanguageModel, of_study, [])
    assert standing() == ["base"]


def test_a_row_of_nothing_is_refused_with_what_to_do(store: RelationalStore) -> None:
    def write() -> None:
        with store.session() as session:
            store.upsert(session, LayerDivergence, [_divergence("nobody")])

    with pytest.raises(StoreError, match=r"(?i)foreign key.*; what a row refers to has to be there") as caught:
        write()
    assert "\n" not in str(caught.value)


def test_paths_in_the_home_are_read_from_the_home_that_reads_them(both: Settings, store: RelationalStore) -> None:
    paths = {"here": f"{both.home}/language_models/m", "hub": "Qwen/Qwen3", "elsewhere": "/data/models/m"}
    with store.session() as session:
        store.upsert(session, LanguageModel, [_model(name, path=path) for name, path in paths.items()])
    moved = RelationalStore(store.url, Path("/moved"))
    for opened, home in ((store, both.home), (moved, Path("/moved"))):
        with opened.reading() as session:
            found = {row.model: row.path for row in session.scalars(select(LanguageModel))}
            here = select(LanguageModel.model).where(LanguageModel.path == f"{home}/language_models/m")
            assert session.scalars(here).all() == ["here"]
        assert found == paths | {"here": f"{home}/language_models/m"}
    moved.close()


def test_a_path_is_known_to_be_in_the_home_by_another_name_of_it(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    assert stored_path(f"{tmp_path}/link/a", tmp_path / "home") == "./a"
    assert stored_path(f"{tmp_path}/homes/a", tmp_path / "home") == f"{tmp_path}/homes/a"
    assert stored_path(str(tmp_path / "home"), tmp_path / "home") == "./."
    assert resolved_path("./a", Path("/moved")) == "/moved/a"


def test_a_time_without_a_zone_is_refused(store: RelationalStore) -> None:
    def write() -> None:
        with store.session() as session:
            store.upsert(session, IngestFile, [_file(registered_at=datetime(2024, 8, 8))])

    with pytest.raises(
        StoreError, match=r"date-time datetime\.datetime\(2024, 8, 8, 0, 0\) has no time zone"
    ) as caught:
        write()
    assert "\n" not in str(caught.value)


def test_sessions_of_threads_wait_for_each_other(store: RelationalStore) -> None:
    """A transaction that reads and then writes does not fail because another wrote in between."""
    from concurrent.futures import ThreadPoolExecutor

    key = {"venue": "v", "symbol": "s"}
    plain = {"kind": "spot", "price_unit": "USD", "qty_unit": "BTC", "price_tick": 0.0, "qty_step": None}
    with store.session() as session:
        session.add(Instrument(**key, **plain, first_ts=None, last_ts=None))

    def count(_: int) -> None:
        with store.session() as session:
            row = session.get_one(Instrument, ("v", "s"), with_for_update=True)
            row.price_tick = (row.price_tick or 0.0) + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(40)))
    with store.session() as session:
        assert session.get_one(Instrument, ("v", "s")).price_tick == 40


def test_info_names_the_engine(store: RelationalStore, both: Settings) -> None:
    info = store.info()
    assert info.engine == both.relational.get_backend_name()
    assert info.version[0].isdigit()


def test_a_table_that_is_missing_says_what_to_do(both: Settings) -> None:
    relational = open_relational(both)

    def read() -> None:
        with relational.session() as session:
            session.scalars(select(Materialization)).all()

    with pytest.raises(StoreError, match=r"materializations.*; run 'tracebank db upgrade'") as caught:
        read()
    assert "\n" not in str(caught.value)
    relational.close()


SECRET = "p@ss:w/rd é%41"


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid:5432"])
def test_a_server_that_is_not_there_gives_one_line_without_the_password(host: str) -> None:
    name, port = host.split(":")
    url = make_url("postgresql+psycopg://x/db").set(
        username="me", password=SECRET, host=name, port=int(port), query={"connect_timeout": "2"}
    )
    with pytest.raises(StoreError, match=r"relational store postgresql\+psycopg://me:\*\*\*@") as caught:
        RelationalStore(url).info()
    message = str(caught.value)
    assert "\n" not in message
    assert "p@ss" not in message
    assert "p%40ss" not in message


def test_a_wrong_password_is_not_shown(postgres_url: str) -> None:
    url = make_url(postgres_url).set(password="not the right one")
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        RelationalStore(url).info()
    assert "not the right one" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_bytes(b"this is not a database, and long enough to be told from an empty one" * 20)
    with pytest.raises(StoreError, match=r"relational store sqlite:///.*r\.db: file is not a database"):
        RelationalStore(make_url(f"sqlite:///{tmp_path / 'r.db'}")).info()


def test_a_folder_in_the_place_of_the_file_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file"):
        RelationalStore(make_url(f"sqlite:///{tmp_path}")).info()
