"""Whatever writes or reaches beyond the two schemas is refused by the database; canaries tell."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tracebank.engines.postgresql.reader import reader_url
from tracebank.engines.postgresql.store import conninfo
from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError
from tracebank.settings import Settings

from .conftest import owner
from .hostile import FAMILIES, HONEST

SECRET = "canary-secret-9d1f"
_SETUP = f"""
CREATE TABLE public.canary (n int, secret text DEFAULT '{SECRET}');
INSERT INTO public.canary VALUES (1);
CREATE SEQUENCE public.canary_seq;
SELECT lo_from_bytea(0, '{SECRET}');
CREATE FUNCTION public.canary_writes() RETURNS int LANGUAGE sql AS 'DELETE FROM public.canary; SELECT 1';
CREATE FUNCTION public.canary_definer() RETURNS int LANGUAGE sql SECURITY DEFINER STABLE AS 'SELECT 1';
CREATE PROCEDURE public.canary_calls() LANGUAGE sql AS 'DELETE FROM public.canary';
LISTEN canary;
"""
_STATE = """
SELECT (SELECT array_agg(c::text) FROM public.canary c),
    (SELECT count(*) || ' ' || sum(price) FROM series.trades), (SELECT count(*) FROM public.instruments),
    (SELECT array_agg(r::text ORDER BY oid) FROM pg_authid r WHERE rolname IN ('z', current_user, %(reader)s)),
    (SELECT array_agg(m::text) FROM pg_auth_members m WHERE member = %(reader)s::regrole),
    (SELECT array_agg(s::text) FROM pg_db_role_setting s WHERE setrole = %(reader)s::regrole),
    (SELECT array_agg(d.*::text ORDER BY oid) FROM pg_database d WHERE datname IN ('z', current_database())),
    (SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE relpersistence <> 't'),
    (SELECT count(*) FROM pg_class WHERE relpersistence = 't'), (SELECT count(*) FROM pg_proc),
    (SELECT array_agg(nspname || coalesce(nspacl::text, '') ORDER BY oid) FROM pg_namespace WHERE nspname !~ '^pg_t'),
    (SELECT array_agg(l::text) FROM pg_largeobject l), (SELECT count(*) FROM pg_largeobject_metadata),
    (SELECT last_value || ' ' || is_called FROM public.canary_seq),
    (SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()
        WHERE locktype = 'advisory'), pg_conf_load_time(), pg_postmaster_start_time(),
    (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_replication_origin),
    (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()),
    (SELECT count(*) FROM pg_extension), (SELECT count(*) FROM pg_publication),
    (SELECT count(*) FROM pg_tablespace), (SELECT count(*) FROM pg_event_trigger),
    (SELECT count(*) FROM pg_description),
    (SELECT md5(coalesce(pg_read_file('postgresql.auto.conf'), '')))
"""


@dataclass
class Canaries:
    """What must not change, and what must not be told."""

    owner: psycopg.Connection
    mate: psycopg.Connection
    folder: Path
    reader: str

    def state(self) -> object:
        """Everything in one value."""
        assert self.mate.execute("SELECT 1").fetchone() == (1,)
        files = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        notified = [notice.payload for notice in self.owner.notifies(timeout=0)]
        return self.owner.execute(_STATE.encode(), {"reader": self.reader}).fetchone(), files, notified


@pytest.fixture(scope="session")
def canaries(warehouse: Settings, folder: Path) -> Iterator[Canaries]:
    with (
        closing(owner(warehouse)) as session,
        closing(psycopg.connect(conninfo(reader_url(warehouse), {}), autocommit=True)) as mate,
    ):
        session.execute(_SETUP.encode())
        yield Canaries(session, mate, folder, str(reader_url(warehouse).username))
    shutil.rmtree(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_attempt_changes_or_tells_anything(family: str, warehouse: Settings, canaries: Canaries) -> None:
    connection = Connection(warehouse)
    before = canaries.state()
    secrets = (SECRET, "SCRAM-SHA-256$", str(warehouse.series.password), str(reader_url(warehouse).password))
    pids = {"pid": canaries.owner.info.backend_pid, "mate": canaries.mate.info.backend_pid, "folder": canaries.folder}
    for statement in FAMILIES[family]:
        for name, value in pids.items():
            statement = statement.replace(f"{{{name}}}", str(value))
        try:
            told = str(connection.sql(statement, timeout=20).rows())
        except SqlError as error:
            told = str(error)
            assert "\n" not in told, statement
            assert 10 < len(told) < 1000, statement
        assert canaries.state() == before, statement
        assert not [secret for secret in secrets if secret in told], statement


@pytest.mark.parametrize("query", [line for line in HONEST.splitlines() if line])
def test_an_honest_query_works(query: str, warehouse: Settings) -> None:
    assert Connection(warehouse).sql(query).width > 0


@pytest.mark.parametrize(
    "act",
    [
        "SELECT lo_creat(-1)",
        "SELECT nextval('public.canary_seq')",
        "NOTIFY canary, 'x'",
        "COPY (SELECT 1) TO '{folder}/out'",
        "CREATE ROLE z",
        "SELECT pg_advisory_lock(7)",
    ],
)
def test_the_canaries_notice(act: str, canaries: Canaries) -> None:
    undo = {"CREATE": "DROP ROLE z", "SELECT pg_adv": "SELECT pg_advisory_unlock(7)"}
    before = canaries.state()
    canaries.owner.execute(act.replace("{folder}", str(canaries.folder)).encode())
    assert canaries.state() != before
    for beginning, text in undo.items():
        if act.startswith(beginning):
            canaries.owner.execute(text.encode())
