"""The role as which queries log in: it may read two schemas and nothing else, and the database holds it to that.

Roles are the server's, not the database's: each database has its own. Its password follows from the owner's, so that
it is stored nowhere and every machine that has the owner's URL knows it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL

from tracebank.engines.postgresql.relational import VIEWS, in_one_database
from tracebank.engines.postgresql.store import PostgreSQLStore, wait_for
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError

CLOSED: Final = (
    r"^(lo_.*|loread|lowrite|pg_(try_)?advisory_.*|pg_notify|pg_logical_.*|pg_(cancel|terminate)_backend|pg_reload_conf"
    r"|pg_rotate_.*|pg_read_.*|pg_ls_.*|pg_stat_file|pg_file_.*|pg_export_snapshot|set_config|dblink.*"
    r"|pg_replication_.*|pg_(create|drop|copy)_.*slot.*)$"
)
"""Functions that reach files, sessions or settings, or keep something; on a new database everybody may call most."""

_SETTINGS: Final = {
    "default_transaction_read_only": "on",
    "idle_in_transaction_session_timeout": "1min",
    "client_connection_check_interval": "2s",
}
_SCARCE: Final = {"temp_file_limit": "10GB"}
"""Settings that only a superuser may give."""

_OPEN: Final = """
SELECT DISTINCT p.oid::regprocedure::text FROM pg_proc p CROSS JOIN LATERAL aclexplode(
    coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE' AND p.proname ~ %s ORDER BY 1
"""

_MORE: Final = """
SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
    OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid)
    OR has_database_privilege(current_database(), 'CREATE')
    OR EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = ANY(%(schemas)s) AND has_schema_privilege(n.oid, 'CREATE'))
    OR EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY(%(schemas)s)
        AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
FROM pg_roles r WHERE r.rolname = current_user
"""


def role(database: str) -> str:
    """Name of the database's reader."""
    if re.fullmatch(r"[a-z][a-z0-9_]{0,40}", database):
        return f"{database}_reader"
    return f"tracebank_{hashlib.sha256(database.encode()).hexdigest()[:24]}_reader"


def reader_url(settings: Settings) -> URL:
    """As whom queries log in: what `TRACEBANK_READER_URL` says, else the database's reader."""
    if settings.reader is not None:
        return settings.reader
    url = settings.series.set(drivername="postgresql+psycopg")
    database = str(url.database)
    return url.set(username=role(database), password=_password(url, role(database)))


def _password(url: URL, name: str) -> str | None:
    """The reader's password; none where the owner needs none either."""
    if url.password is None:
        return None
    return hmac.new(str(url.password).encode(), f"{url.database}\0{name}".encode(), hashlib.sha256).hexdigest()


def check(session: psycopg.Connection, url: URL) -> None:
    """Refuse to read as somebody who may do more than that.

    Raises:
        StoreError: names the statement to run.
    """
    found = session.execute(_MORE, {"schemas": ["series", VIEWS, "public"]}).fetchone()
    if found is None or found[0]:
        name = sql.Identifier(role(str(url.database))).as_string()
        raise StoreError(
            f"reader {url.username}: may do more than read; let queries log in as the reader that 'tracebank db"
            f" upgrade' makes: unset TRACEBANK_READER_URL, or run: CREATE ROLE {name} LOGIN NOINHERIT PASSWORD '…' and"
            " set it to that role, or set TRACEBANK_READER_TRUSTED=true if this is meant"
        )


def make_reader(settings: Settings) -> tuple[str, ...]:
    """Make the reader, or mend it. Safe to run again, and beside other upgrades.

    Returns:
        What the owner may not close, a line each, and what holds instead.

    Raises:
        StoreError: the owner may not make roles; names the statement to run.
    """
    url = reader_url(settings)
    store = PostgreSQLStore(settings.series.set(drivername="postgresql+psycopg"))
    if url.username == store.url.username:
        return ()  # who owns the tables may read them, and must not lose the rest
    with store.session() as session, session.transaction():
        wait_for(session, f"reader {url.username}")
        if settings.reader is None:
            _make_role(session, url, str(store.url.username))
            _revoke(session, str(url.username), store.schema)
        _grant(session, str(url.username), store.schema)
        for user in {str(u.username) for u in (settings.series, settings.relational) if u.username}:
            close_to_everybody(session, user)
        left = _left(session, str(url.username), _limits(session, str(url.username)))
    if in_one_database(settings.series, settings.relational):  # another's schema of that name is none of ours
        with PostgreSQLStore(settings.relational).session() as session, session.transaction():
            _grant(session, str(url.username), VIEWS)
    return tuple(left)


def _run(session: psycopg.Connection, text: str, *names: str) -> None:
    session.execute(sql.SQL(text).format(*map(sql.Identifier, names)))


def _one(session: psycopg.Connection, text: str, *values: object) -> object:
    found = session.execute(text.encode(), values).fetchone()
    return found[0] if found else None


def _make_role(session: psycopg.Connection, url: URL, owner: str) -> None:
    name = str(url.username)
    may = _one(session, "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    there = _one(session, "SELECT true FROM pg_roles WHERE rolname = %s", name)
    if not may and there:
        return  # somebody else made it
    if not may:
        raise StoreError(
            f"series store {url.set(username=owner).render_as_string()}: {owner} may not make {name}, as which queries"
            f" log in; as a superuser run: ALTER ROLE {sql.Identifier(owner).as_string()} CREATEROLE, then 'tracebank"
            " db upgrade' again; or set TRACEBANK_READER_URL"
        )
    if not there:
        _run(session, "CREATE ROLE {} LOGIN NOINHERIT", name)
    for attribute in ("super", "createrole", "createdb", "replication", "bypassrls"):
        if _one(session, f"SELECT rol{attribute} FROM pg_roles WHERE rolname = %s", name):
            _run(session, f"ALTER ROLE {{}} NO{'SUPERUSER' if attribute == 'super' else attribute}", name)
    # The server is given what it would make of the password, so that no log of statements has it.
    hashed = session.pgconn.encrypt_password(str(url.password).encode(), name.encode()) if url.password else None
    text = sql.SQL("ALTER ROLE {} LOGIN NOINHERIT PASSWORD {}")
    session.execute(text.format(sql.Identifier(name), sql.Literal(hashed.decode() if hashed else None)))
    groups = session.execute(
        "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        " JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = %s",
        (name,),
    ).fetchall()
    for (group,) in groups:
        _run(session, "REVOKE {} FROM {}", group, name)


def _standing(session: psycopg.Connection, *schemas: str) -> list[str]:
    return [schema for schema in schemas if _one(session, "SELECT true FROM pg_namespace WHERE nspname = %s", schema)]


def _revoke(session: psycopg.Connection, name: str, series: str) -> None:
    _run(session, "REVOKE CREATE, TEMPORARY ON DATABASE {} FROM {}", session.info.dbname, name)
    for schema in _standing(session, series, VIEWS, "public"):
        _run(session, "REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {}", schema, name)
        _run(session, "REVOKE ALL ON SCHEMA {} FROM {}", schema, name)


def _grant(session: psycopg.Connection, name: str, schema: str) -> None:
    if _standing(session, schema):
        _run(session, "GRANT USAGE ON SCHEMA {} TO {}", schema, name)
        _run(session, "GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}", schema, name)
        _run(session, "ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT ON TABLES TO {}", schema, name)


def close_to_everybody(session: psycopg.Connection, user: str) -> None:
    """Take from everybody what a reader must not have; `user`, one of the stores', keeps it. Where the owner may not,
    the server warns and goes on."""
    there = _one(session, "SELECT true FROM pg_roles WHERE rolname = %s", user)
    _run(session, "REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC", session.info.dbname)
    _run(session, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    for (function,) in session.execute(_OPEN, (CLOSED,)).fetchall():
        if there:
            _run(session, f"GRANT EXECUTE ON FUNCTION {function} TO {{}}", user)
        session.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC".encode())


def _limits(session: psycopg.Connection, name: str) -> list[str]:
    """Give the role its settings; the names of those that the owner may not give."""
    refused = []
    for setting, value in {**_SETTINGS, **_SCARCE}.items():
        text = sql.SQL("ALTER ROLE {} SET {} = {}")
        try:
            with session.transaction():
                session.execute(text.format(sql.Identifier(name), sql.Identifier(setting), sql.Literal(value)))
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue):
            refused.append(setting)
    return refused


def _left(session: psycopg.Connection, name: str, settings: list[str]) -> list[str]:
    """What stays open, and the statement that closes it."""
    found = []
    quoted = sql.Identifier(name).as_string()
    if settings:
        found.append(
            f"reader {name}: {', '.join(settings)} not set; a superuser may run:"
            f" ALTER ROLE {quoted} SET {settings[0]} = '{({**_SETTINGS, **_SCARCE})[settings[0]]}'"
        )
    if _one(session, "SELECT has_database_privilege(%s, current_database(), 'TEMPORARY')", name):
        found.append(f"reader {name}: may make temporary tables; the database's owner may revoke TEMPORARY FROM PUBLIC")
    if functions := session.execute(_OPEN, (CLOSED,)).fetchall():
        found.append(
            f"reader {name}: may call {functions[0][0]} and {len(functions) - 1} more like it, in a session that is"
            " read-only and ends with the query; docs/sql.md has the statement by which a superuser closes them"
        )
    return found
