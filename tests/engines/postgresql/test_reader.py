"""The role as which queries log in: made, mended, refused, and held to its limits of time and space."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tracebank.engines.postgresql.reader import close_to_everybody, reader_url, role
from tracebank.query.connection import Connection
from tracebank.query.errors import SqlLimit, SqlRefused
from tracebank.settings import Settings, SettingsError
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import upgrade

from .conftest import owner


def _settings(folder: Path, url: str, **more: object) -> Settings:
    return Settings.load(home=folder / "home", series_url=url, relational_url=url, **more)


@contextmanager
def _ordinary(postgres_url: str, rights: str) -> Iterator[str]:
    """URL of the database's owner, an ordinary user, of these rights."""
    url = make_url(postgres_url)
    name = f"{url.database}_owner"
    with closing(psycopg.connect(url.set(drivername="postgresql").render_as_string(False), autocommit=True)) as session:
        session.execute(f"CREATE ROLE \"{name}\" LOGIN {rights} PASSWORD 'own-pass-77'".encode())
        session.execute(f'ALTER DATABASE "{url.database}" OWNER TO "{name}"'.encode())
        yield url.set(username=name, password="own-pass-77").render_as_string(hide_password=False)
        session.execute(f'REASSIGN OWNED BY "{name}" TO CURRENT_USER'.encode())
        session.execute(f'DROP OWNED BY "{name}"'.encode())
        session.execute(f'DROP ROLE "{name}"'.encode())


def test_the_readers_name_follows_from_the_database() -> None:
    assert role("tracebank") == "tracebank_reader"
    names = [role(database) for database in ("Mine", "mine", "x" * 60, "x" * 61, 'a"b', "ż")]
    assert len(set(names)) == len(names)
    assert all(len(name.encode()) < 64 for name in names)


def test_its_password_follows_from_the_owners(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:secret-77@h/d"
    first, again = (reader_url(_settings(tmp_path, url)) for _ in range(2))
    assert first == again
    assert len(str(first.password)) == 64
    others = [url.replace("/d", "/e"), url.replace("77", "78")]
    assert first.password not in [reader_url(_settings(tmp_path, other)).password for other in others]
    assert reader_url(_settings(tmp_path, "postgresql+psycopg://me@h/d")).password is None


def test_an_upgrade_mends_the_reader(postgres_url: str, tmp_path: Path) -> None:
    settings = _settings(tmp_path, postgres_url)
    assert upgrade(settings).remarks == ()
    name, connection = reader_url(settings).username, Connection(settings)
    with closing(owner(settings)) as session:
        for harm in (
            f'GRANT pg_read_all_data TO "{name}"',
            f'GRANT INSERT ON series.trades TO "{name}"',
            f'GRANT CREATE ON SCHEMA series TO "{name}"',
            f'ALTER ROLE "{name}" CREATEDB',
            f'GRANT DELETE ON public.instruments TO "{name}"',
        ):
            session.execute(harm.encode())
            with pytest.raises(StoreError, match="may do more than read") as caught:
                connection.sql("SELECT 1 AS a")
            assert "\n" not in str(caught.value)
            upgrade(settings)
            assert connection.sql("SELECT 1 AS a").rows() == [(1,)]
        session.execute(f"ALTER ROLE \"{name}\" PASSWORD 'other'".encode())
        with pytest.raises(StoreError, match=f"queries log in as {name}, which 'tracebank db upgrade' makes and mends"):
            connection.sql("SELECT 1 AS a")
        upgrade(settings)
        assert connection.sql("SELECT count(*) AS n FROM relational.instruments").rows() == [(0,)]


def test_what_it_lacks_is_told_with_the_statement(postgres_url: str, tmp_path: Path) -> None:
    settings = _settings(tmp_path, postgres_url)
    upgrade(settings)
    name = reader_url(settings).username
    with closing(owner(settings)) as session:
        session.execute(f'REVOKE SELECT ON series.trades, relational.instruments FROM "{name}"'.encode())
        for query, schema in (("trades", "series"), ("relational.instruments", "relational")):
            grant = f'run: GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO "{name}"'
            with pytest.raises(SqlRefused, match=grant):
                Connection(settings).sql(f"SELECT * FROM {query}")
            session.execute(grant.removeprefix("run: ").encode())
            Connection(settings).sql(f"SELECT * FROM {query}")
        session.execute(f'REVOKE USAGE ON SCHEMA series FROM "{name}"'.encode())
        with pytest.raises(SqlRefused, match=f'run: GRANT USAGE ON SCHEMA series TO "{name}"'):
            Connection(settings).sql("SELECT * FROM series.trades")


def test_an_ordinary_owner_may_make_it_and_is_told_what_stays_open(postgres_url: str, tmp_path: Path) -> None:
    with _ordinary(postgres_url, "CREATEROLE") as url:
        settings = _settings(tmp_path, url)
        remarks = upgrade(settings).remarks
        assert [remark.partition(": ")[2].split()[0] for remark in remarks] == ["temp_file_limit", "may"]
        assert all("\n" not in remark for remark in remarks)
        connection = Connection(settings)
        assert connection.sql("SELECT count(*) AS n FROM trades").rows() == [(0,)]
        for attempt in ("public.instruments", "pg_authid"):
            with pytest.raises(SqlRefused, match="permission denied"):
                connection.sql(f"SELECT * FROM {attempt}")
        with closing(psycopg.connect(_plain(reader_url(settings)), autocommit=True)) as reader:
            reader.execute("SET default_transaction_read_only = off")
            for text in ("CREATE TEMP TABLE z (n int)", "CREATE TABLE public.z (n int)", "CREATE SCHEMA z"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(text.encode())
        with closing(psycopg.connect(_plain(postgres_url), autocommit=True)) as superuser:
            close_to_everybody(superuser, str(make_url(url).username))
        assert [remark for remark in upgrade(settings).remarks if "may call" in remark] == []


def _plain(url: object) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)  # type: ignore[arg-type]


def test_an_owner_who_may_not_make_roles_is_told_the_statement(postgres_url: str, tmp_path: Path) -> None:
    with _ordinary(postgres_url, "NOCREATEROLE") as url:
        settings = _settings(tmp_path, url)
        name = make_url(url).username
        with pytest.raises(StoreError, match=f'run: ALTER ROLE "{name}" CREATEROLE, then') as caught:
            upgrade(settings)
        assert "\n" not in str(caught.value)
        assert "own-pass-77" not in str(caught.value)
        with closing(psycopg.connect(_plain(postgres_url), autocommit=True)) as session:
            session.execute(f'ALTER ROLE "{name}" CREATEROLE'.encode())
            upgrade(settings)
            session.execute(f'ALTER ROLE "{name}" NOCREATEROLE'.encode())
        upgrade(settings)
        assert Connection(settings).sql("SELECT 1 AS a").rows() == [(1,)]


def test_another_reader_is_taken_and_an_owner_refused_unless_trusted(warehouse: Settings, tmp_path: Path) -> None:
    url = warehouse.series.render_as_string(hide_password=False)
    mine = _settings(tmp_path, url, reader_url=url)
    with pytest.raises(StoreError, match=r"may do more than read; .*run: CREATE ROLE .* TRACEBANK_READER_TRUSTED=true"):
        Connection(mine).sql("SELECT 1 AS a")
    trusted = _settings(tmp_path, url, reader_url=url, reader_trusted=True)
    assert Connection(trusted).sql("SELECT current_user::text AS a").rows() == [(warehouse.series.username,)]
    with pytest.raises(SqlRefused, match="read-only transaction"):
        Connection(trusted).sql("SELECT txid_current() FROM trades FOR UPDATE")
    reader = reader_url(warehouse).render_as_string(hide_password=False)
    given = _settings(tmp_path, url, reader_url=reader)
    assert Connection(given).sql("SELECT count(*) AS n FROM trades").rows() == [(100,)]
    with pytest.raises(SettingsError, match=r"TRACEBANK_READER_URL: 'nonsense' is not accepted"):
        _settings(tmp_path, url, reader_url="nonsense")


def test_a_query_beyond_its_time_or_space_is_one_line(warehouse: Settings) -> None:
    connection = Connection(warehouse)
    with pytest.raises(SqlLimit, match=r"longer than 0\.2 s"):
        connection.sql("SELECT pg_sleep(30)", timeout=0.2)
    with pytest.raises(SqlLimit, match=r"longer than 0\.2 s"):
        connection.sql("SELECT count(*) AS n FROM generate_series(1, 1000000000000) AS g", timeout=0.2)
    name = reader_url(warehouse).username
    with closing(owner(warehouse)) as session:
        session.execute(f"ALTER ROLE \"{name}\" SET temp_file_limit = '1MB'".encode())
        with pytest.raises(SqlLimit, match="temporary file size exceeds"):
            connection.sql("SELECT g FROM generate_series(1, 1000000) AS g ORDER BY -g", memory=16 << 20)
        session.execute(f"ALTER ROLE \"{name}\" SET temp_file_limit = '10GB'".encode())
    assert _sessions(warehouse) == 0


def _sessions(settings: Settings) -> int:
    with closing(owner(settings)) as session:
        text = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state = 'active'"
        found = session.execute(text, (reader_url(settings).username,)).fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("query", ["SELECT pg_sleep(60)", "SELECT g FROM generate_series(1, 1000000000) AS g"])
def test_an_interrupted_query_ends_on_the_server(query: str, warehouse: Settings) -> None:
    started = threading.Event()

    def interrupt() -> None:
        while not _sessions(warehouse):
            started.wait(0.05)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Connection(warehouse).arrow(query)
    thread.join()
    with closing(owner(warehouse)) as session:
        while _sessions(warehouse):
            session.execute("SELECT pg_sleep(0.05)")


def test_a_stream_that_is_left_ends_on_the_server(warehouse: Settings) -> None:
    stream = Connection(warehouse).stream("SELECT g FROM generate_series(1, 3000000) AS g")
    assert next(stream).num_rows > 0
    stream.close()
    with closing(owner(warehouse)) as session:
        while _sessions(warehouse):
            session.execute("SELECT pg_sleep(0.05)")


def test_an_upgrade_takes_nothing_from_an_owner_who_reads(postgres_url: str, tmp_path: Path) -> None:
    settings = _settings(tmp_path, postgres_url, reader_url=postgres_url, reader_trusted=True)
    for _ in range(2):
        assert upgrade(settings).remarks == ()
    with closing(owner(settings)) as session:
        text = (
            "SELECT count(*) FROM information_schema.table_privileges WHERE grantee = %s AND privilege_type = 'INSERT'"
        )
        granted = session.execute(text, (settings.series.username,)).fetchone()
        assert granted is not None
        assert granted[0] > 20
        session.execute("CREATE ROLE somebody_else LOGIN NOINHERIT PASSWORD 'else-77'")
        try:
            other = make_url(postgres_url).set(username="somebody_else", password="else-77")
            given = _settings(tmp_path, postgres_url, reader_url=other.render_as_string(hide_password=False))
            assert upgrade(given).remarks == ()
            assert Connection(given).sql("SELECT count(*) AS n FROM trades").rows() == [(0,)]
        finally:
            session.execute("DROP OWNED BY somebody_else")
            session.execute("DROP ROLE somebody_else")


def test_anothers_schema_of_the_views_name_is_not_opened(postgres_url: str, tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path / "home", series_url=postgres_url)
    with closing(owner(settings)) as session:
        session.execute("CREATE SCHEMA relational CREATE TABLE mine (n int)")
    upgrade(settings)
    with pytest.raises(SqlRefused, match="permission denied for schema relational") as caught:
        Connection(settings).sql("SELECT n FROM relational.mine")
    assert "GRANT" not in str(caught.value)
