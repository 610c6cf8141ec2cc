"""How staged rows become visible in ClickHouse, and what is done after a crash. No frames here, only tables.

A staging table that is complete is renamed to `_commit_…`: from there on the write is decided, and whoever opens the
store after a crash finishes it. A table still called `_staging_…` whose writer is gone is swept away. Either carries a
note (a table comment) of who writes what, and of the rows that stood before the move, by which a move that was carried
out just before a crash is told from one that was not.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

import psutil

from tracebank.engines.clickhouse.ddl import literal, quoted

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

ORPHAN_SECONDS: Final = 3600
"""Age at which work left by a writer on another machine counts as abandoned."""
_SAME_START_SECONDS: Final = 2.0
"""How far apart two readings of one process's start may lie: they are taken against a clock that may be set."""

writing: Final[set[str]] = set()
"""Ids of the writers of this process that are under way, which recovery must leave alone."""
_one_at_a_time: Final = threading.RLock()
"""Embedded: commits and recovery of one process follow each other, so that the counts in a note hold."""


def staging_name(table: str, writer: str) -> str:
    """Name of the table that a writer's rows wait in."""
    return f"_staging_{table}_{writer}"


def stage(client: Client, database: str, table: str, writer: str, partition: str | None) -> None:
    """Make a writer's staging table, in the image of the table that its rows go to."""
    note = {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "host": socket.gethostname(),
        "partition": partition,
    }
    staged = _path(database, staging_name(table, writer))
    client.command(f"CREATE TABLE {staged} AS {_path(database, table)} COMMENT {literal(json.dumps(note))}")


def drop_staged(client: Client, database: str, table: str, writer: str) -> None:
    """Throw away a writer's staged rows. A move that is half done is left: it is decided, and recovery finishes it."""
    client.command(f"DROP TABLE IF EXISTS {_path(database, staging_name(table, writer))} SYNC")
    for _, note, _ in _left(client, database, _commit_name(table, writer)):
        if not note.get("moved"):
            client.command(f"DROP TABLE IF EXISTS {_path(database, _commit_name(table, writer))} SYNC")


def commit(client: Client, database: str, table: str, writer: str, partition: str | None, embedded: bool) -> None:
    """Make a writer's staged rows visible.

    Args:
        client: an open session.
        database: where both tables are.
        table: the table that the rows go to.
        writer: the writer's id.
        partition: literal of the partition that they replace; None to add them.
        embedded: the engine dies with this process, and nobody else writes now.
    """
    with _one_at_a_time:
        staged = staging_name(table, writer)
        if partition is None and embedded:
            [(_, note, _)] = _left(client, database, staged)
            _remark(client, database, staged, note | {"before": _rows_by_partition(client, database, table)})
        commit_name = _commit_name(table, writer)
        client.command(f"RENAME TABLE {_path(database, staged)} TO {_path(database, commit_name)}")
        _finish(client, database, table, commit_name)


def recover(client: Client, database: str) -> None:
    """Finish decided writes and sweep abandoned ones whose writers are gone."""
    with _one_at_a_time:
        for name, note, age in _left(client, database):
            stage_name, _, rest = name[1:].partition("_")
            table, _, writer = rest.rpartition("_")
            if _alive(note, writer, age):
                continue
            if stage_name == "staging":
                client.command(f"DROP TABLE IF EXISTS {_path(database, name)} SYNC")
            else:
                _finish(client, database, table, name)


def _finish(client: Client, database: str, table: str, staged: str) -> None:
    """Carry out a decided write; may be done again after a crash in the middle, with the same end."""
    [(_, note, _)] = _left(client, database, staged)
    target, source = _path(database, table), _path(database, staged)
    rows = _rows_by_partition(client, database, staged)
    if note["partition"] is None:
        _move(client, database, table, staged, note)
    elif rows:
        client.command(f"ALTER TABLE {target} REPLACE PARTITION {note['partition']} FROM {source}")
    else:
        client.command(f"ALTER TABLE {target} DROP PARTITION {note['partition']}")
    client.command(f"DROP TABLE {source} SYNC")
    # Dropping a partition, even one that is not there, makes the engine delete the parts that were replaced.
    client.command(f"ALTER TABLE {target} DROP PARTITION ID 'none'")


def _move(client: Client, database: str, table: str, staged: str, note: dict[str, Any]) -> None:
    """Move every staged partition.

    An engine that was killed in a move leaves the partition in both tables: the counts in the note tell that.
    """
    target, source = _path(database, table), _path(database, staged)
    before = note.get("before") if note["pid"] != os.getpid() else None
    now = _rows_by_partition(client, database, table)
    waiting = _rows_by_partition(client, database, staged)
    for done, (partition_id, rows) in enumerate(waiting.items()):
        if done == 1:
            _remark(client, database, staged, note | {"moved": True})
        if before is not None and now.get(partition_id, 0) == before.get(partition_id, 0) + rows:
            client.command(f"ALTER TABLE {source} DROP PARTITION ID {literal(partition_id)}")
        else:
            client.command(f"ALTER TABLE {source} MOVE PARTITION ID {literal(partition_id)} TO TABLE {target}")


def _rows_by_partition(client: Client, database: str, table: str) -> dict[str, int]:
    text = (
        "SELECT partition_id, sum(rows) AS n FROM system.parts WHERE database = {d:String} AND table = {t:String}"
        " AND active GROUP BY partition_id HAVING n > 0"
    )
    found = client.query(text, parameters={"d": database, "t": table}).result_rows
    return {str(partition_id): int(rows) for partition_id, rows in found}


def _left(client: Client, database: str, name: str | None = None) -> list[tuple[str, dict[str, Any], int]]:
    """Name, note and age in seconds of the staged tables, or of the one called `name`."""
    which = "name = {n:String}" if name else "(startsWith(name, '_staging_') OR startsWith(name, '_commit_'))"
    found = client.query(
        "SELECT name, comment, dateDiff('second', metadata_modification_time, now()) FROM system.tables"
        f" WHERE database = {{d:String}} AND {which}",
        parameters={"d": database, "n": name or ""},
    ).result_rows
    return [(str(name), json.loads(comment), int(age)) for name, comment, age in found]


def _remark(client: Client, database: str, name: str, note: dict[str, Any]) -> None:
    client.command(f"ALTER TABLE {_path(database, name)} MODIFY COMMENT {literal(json.dumps(note))}")


def _commit_name(table: str, writer: str) -> str:
    return f"_commit_{table}_{writer}"


def _path(database: str, name: str) -> str:
    return f"{quoted(database)}.{quoted(name)}"


def _alive(note: dict[str, Any], writer: str, age: int) -> bool:
    if note["host"] != socket.gethostname():
        return age < ORPHAN_SECONDS
    if note["pid"] == os.getpid():
        return writer in writing
    try:
        started = psutil.Process(note["pid"]).create_time()
    except psutil.NoSuchProcess:
        return False
    return bool(abs(started - note["started"]) < _SAME_START_SECONDS)
