"""What an upgrade does beyond making tables: tables of earlier versions get native partitions, each in one transaction
with its rows, and queries get the role as which they log in."""

from __future__ import annotations

import sys
import uuid

import psycopg

from tracebank.engines.postgresql import ddl
from tracebank.engines.postgresql.partitions import divided, exists, levels, parts, value
from tracebank.engines.postgresql.reader import make_reader
from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.settings import Settings
from tracebank_schemas.catalogue import TABLES
from tracebank_schemas.series import Day, PartitionValue, SeriesTable


def completed(settings: Settings, store: PostgreSQLStore, _: object) -> dict[str, tuple[str, ...]]:
    """Divide what stands undivided, and make or mend the reader.

    Returns:
        `remarks`: what the owner may not do for the reader, a line each.

    Raises:
        StoreError: the owner may not make roles, or the engine failed.
    """
    for table in TABLES.values() if store.partitioned else ():
        divide(store, table)
    return {"remarks": make_reader(settings)}


def divide(store: PostgreSQLStore, table: SeriesTable) -> bool:
    """Give a table native partitions, if it stands and has none. Killed, it stands as before.

    Returns:
        Whether it was changed.
    """
    with store.session() as session, session.transaction():
        if not exists(session, store.place(table)) or store.divided(session, table):
            return False
        session.execute(f"LOCK TABLE {store.place(table)} IN ACCESS EXCLUSIVE MODE".encode())
        if store.divided(session, table):
            return False
        sys.stderr.write(f"tracebank: dividing {store.schema}.{table.name} into partitions\n")
        _move(store, session, table)
    return True


def _move(store: PostgreSQLStore, session: psycopg.Connection, table: SeriesTable) -> None:
    place, old = store.place(table), f"before_{uuid.uuid4().hex}"
    session.execute(f"CREATE SCHEMA IF NOT EXISTS {ddl.quoted(parts(store.schema))}".encode())
    session.execute(f"ALTER TABLE {place} RENAME TO {old}".encode())
    for text in ddl.create_table(table, place, divided(table, 0)):
        session.execute(text.encode())
    source, names = ddl.path(store.schema, old), ddl.names(table)
    for values, rows in _standing(session, table, source):
        leaf = store.leaf(table, values)
        stage = ddl.path(parts(store.schema), f"stage_{uuid.uuid4().hex}")
        session.execute(f"CREATE TABLE {stage} ({ddl.columns(table)})".encode())
        leaf.attach(session, stage, rows)
    session.execute(f"INSERT INTO {place} ({names}) SELECT {names} FROM {source}".encode())
    session.execute(f"DROP TABLE {source}".encode())
    for text in ddl.create_index(table, place) if store.indexed else []:
        session.execute(text.encode())


def _standing(
    session: psycopg.Connection, table: SeriesTable, source: str
) -> list[tuple[dict[str, PartitionValue], int]]:
    """Every partition's values and rows."""
    keys = levels(table)
    columns = [
        f"({ddl.quoted(key.column)} AT TIME ZONE 'UTC')::date" if isinstance(key, Day) else ddl.quoted(key.column)
        for key in keys
    ]
    grouped = f" GROUP BY {', '.join(columns)}" if columns else ""
    text = f"SELECT {', '.join([*columns, 'count(*)'])} FROM {source}{grouped}"
    found = session.execute(text.encode()).fetchall()
    return [
        ({key.name: value(table, key, str(part)) for key, part in zip(keys, row, strict=False)}, int(row[-1]))
        for row in found
        if row[-1]
    ]
