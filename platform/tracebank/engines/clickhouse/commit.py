"""How staged rows become visible in ClickHouse, and what is done after a crash. No frames here, only tables.

A staging table that is complete is renamed to `_commit_…`: from there on the write is decided, and whoever comes after
a crash finishes it. A table still called `_staging_…` whose writer is gone is swept away. A writer is known by its id
alone, since processes of containers share their numbers: for an embedded store it holds the lock of a file of that
name; on a server it counts as gone when nothing has come from it for an hour.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tracebank.engines.clickhouse.ddl import literal, quoted
from tracebank.holds import Held, held, hold, left_behind
from tracebank.processors import usable_processors

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

ORPHAN_SECONDS: Final = 3600
"""Without a sign from a server's writer for so long, its work counts as abandoned."""
_WORKERS: Final = 4
"""Threads that take a block in, at most: each holds a share of it in memory, and writes parts of its own."""
_BEING_MADE_SECONDS: Final = 60
_AT_ONCE: Final = 100
"""Partitions that one statement moves."""
_WAITING: Final = ("_staging_", "_commit_")


def writing(folder: Path | None, writer: str) -> AbstractContextManager[None]:
    """Hold the sign of life of an embedded store's writer; nothing for a server (None)."""
    return nullcontext() if folder is None else held(folder.parent, _sign(folder, writer).name)


def _sign(folder: Path, writer: str) -> Path:
    return folder.parent / "held" / f"{folder.name}-writer-{writer}"


def spooled(folder: Path, writer: str) -> Path:
    """File of a writer's rows on their way into an embedded store; it goes with the writer."""
    return folder.with_name(f"{folder.name}.spool") / f"{writer}.arrow"


def inserting(into: str, form: str, path: Path) -> str:
    """The statement that takes a file's rows in; Arrow's by as many threads as its batches are worth."""
    if form.lower() == "arrow":
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            workers = min(reader.num_record_batches, usable_processors(), _WORKERS)
            names = ", ".join(map(quoted, reader.schema.names))
        if workers > 1:
            return (
                f"{into} SELECT {names} FROM file({literal(str(path))}, Arrow)"
                f" SETTINGS max_insert_threads = {workers}, max_partitions_per_insert_block = 0"
            )
    return f"{into} FROM INFILE {literal(str(path))} FORMAT {form}"


def stage(client: Client, database: str, table: str, writer: str, partition: str | None) -> None:
    """Make a writer's staging table, in the image of the table that its rows go to.

    Args:
        client: an open session.
        database: where both tables are.
        table: the table that the rows go to.
        writer: the writer's id.
        partition: literal of the partition that they replace; None to add them.
    """
    staged = _path(database, staging_name(table, writer))
    client.command(f"CREATE TABLE {staged} AS {_path(database, table)} COMMENT {literal(partition or '')}")


def staging_name(table: str, writer: str) -> str:
    """Name of the table that a writer's rows wait in."""
    return f"_staging_{table}_{writer}"


def drop_staged(client: Client, database: str, table: str, writer: str) -> None:
    """Throw away a writer's staged rows; a write that is decided is left, and recovery finishes it."""
    client.command(f"DROP TABLE IF EXISTS {_path(database, staging_name(table, writer))} SYNC")


def commit(
    client: Client, database: str, table: str, writer: str, partition: str | None, *, again: bool = False
) -> None:
    """Make a writer's staged rows visible; arguments are those of `stage`.

    Args:
        again: it was tried before, and nobody heard how far that came.
    """
    staged, decided = staging_name(table, writer), f"_commit_{table}_{writer}"
    if not again or _exists(client, database, staged):
        if partition is None:
            _remember(client, database, table, staged)
        client.command(f"RENAME TABLE {_path(database, staged)} TO {_path(database, decided)}")
    if not again or _exists(client, database, decided):
        _finish(client, database, table, decided, again=again)


def _remember(client: Client, database: str, table: str, staged: str) -> None:
    """Note which parts of the table have the content of one that is to be added: those are not it."""
    content = {content for contents in _parts(client, database, staged).values() for content in contents}
    text = (
        "SELECT name FROM system.parts WHERE database = {d:String} AND table = {t:String} AND active"
        " AND hash_of_all_files IN {c:Array(String)}"
    )
    same = client.query(text, parameters={"d": database, "t": table, "c": sorted(content)}).result_rows
    if same:
        note = json.dumps({"partition": "", "same": [str(name) for (name,) in same]})
        client.command(f"ALTER TABLE {_path(database, staged)} MODIFY COMMENT {literal(note)}")


def recover(client: Client, database: str, folder: Path | None) -> None:
    """Finish decided writes and sweep abandoned ones whose writers are gone."""
    for name, age in _left(client, database):
        kind, _, rest = name[1:].partition("_")
        table, _, writer = rest.rpartition("_")
        with _claimed(folder, writer, age) as gone:
            if not gone or not _exists(client, database, name):  # its writer may have ended since
                continue
            if kind == "staging":
                client.command(f"DROP TABLE IF EXISTS {_path(database, name)} SYNC")
            else:
                _finish(client, database, table, name, again=True)


def _exists(client: Client, database: str, table: str) -> bool:
    return bool(client.query(f"EXISTS TABLE {_path(database, table)}").result_rows[0][0])


def forget_writers(client: Client, database: str, folder: Path) -> None:
    """Remove the signs of writers that died before they had staged anything; nobody else works yet."""
    recover(client, database, folder)
    for sign in _sign(folder, "").parent.glob(_sign(folder, "*").name):
        if not sign.stat().st_size and time.time() - sign.stat().st_mtime > _BEING_MADE_SECONDS:
            sign.unlink()  # its writer died before it had said who it was
            continue
        with _claimed(folder, sign.name.rpartition("-")[2], 0):
            pass


@contextmanager
def _claimed(folder: Path | None, writer: str, age: int) -> Iterator[bool]:
    """Whether a writer is gone; its sign of life is then held, so that one process alone clears up after it."""
    if folder is None:
        yield age > ORPHAN_SECONDS
        return
    sign = _sign(folder, writer)
    if not sign.exists():
        try:
            found = hold(folder.parent, sign.name)
        except Held:
            yield False
            return
        try:
            yield True
            spooled(folder, writer).unlink(missing_ok=True)
        finally:
            found.release()
        return
    with left_behind(sign, folder.parent) as who:
        yield who is not None
        if who is not None:
            spooled(folder, writer).unlink(missing_ok=True)
            sign.unlink(missing_ok=True)


def _noted(client: Client, database: str, name: str) -> tuple[str, list[str]]:
    """The partition out of a table's note, and the parts that have the content of its own."""
    text = "SELECT comment FROM system.tables WHERE database = {d:String} AND name = {t:String}"
    note = str(client.query(text, parameters={"d": database, "t": name}).result_rows[0][0])
    if not note.startswith("{"):
        return note, []
    told = json.loads(note)
    return str(told["partition"] or ""), list(told.get("same", ()))


def _finish(client: Client, database: str, table: str, decided: str, *, again: bool) -> None:
    """Carry out a decided write; may be done again after a crash in the middle, with the same end."""
    target, source = _path(database, table), _path(database, decided)
    parts, (partition, same) = _parts(client, database, decided), _noted(client, database, decided)
    if not partition:
        _move(client, database, table, decided, parts, _parts(client, database, table, same) if again else {})
    elif parts:
        client.command(f"ALTER TABLE {target} REPLACE PARTITION {partition} FROM {source}")
    else:
        client.command(f"ALTER TABLE {target} DROP PARTITION {partition}")
    client.command(f"DROP TABLE {source} SYNC")
    # Dropping a partition, even one that is not there, makes the engine delete the parts that were replaced.
    client.command(f"ALTER TABLE {target} DROP PARTITION ID 'none'")
    if partition:
        _forget_damage(client, database, table, partition)


def _move(
    client: Client, database: str, table: str, decided: str, parts: dict[str, set[str]], there: dict[str, set[str]]
) -> None:
    """Move every staged partition but those that are there already: an engine that was killed in a move leaves the
    partition in both tables, and its parts are told by their content."""
    target, source = _path(database, table), _path(database, decided)
    moved = [place for place, content in parts.items() if content <= there.get(place, set())]
    for place in moved:
        client.command(f"ALTER TABLE {source} DROP PARTITION ID {literal(place)}")
    waiting = [place for place in parts if place not in moved]
    for start in range(0, len(waiting), _AT_ONCE):
        moves = (f"MOVE PARTITION ID {literal(place)} TO TABLE {target}" for place in waiting[start : start + _AT_ONCE])
        client.command(f"ALTER TABLE {source} {', '.join(moves)}")


def _parts(client: Client, database: str, table: str, without: Sequence[str] = ()) -> dict[str, set[str]]:
    """Content of the parts that have rows, by partition."""
    text = (
        "SELECT partition_id, hash_of_all_files FROM system.parts WHERE database = {d:String} AND table = {t:String}"
        " AND active AND rows > 0 AND name NOT IN {w:Array(String)}"
    )
    found: dict[str, set[str]] = {}
    asked = {"d": database, "t": table, "w": list(without)}
    for place, content in client.query(text, parameters=asked).result_rows:
        found.setdefault(str(place), set()).add(str(content))
    return found


def damaged(database: str) -> str:
    """The query for parts that the engine set aside as broken: table, partition and part."""
    return (
        "SELECT table, ifNull(partition_id, ''), name FROM system.detached_parts"
        f" WHERE database = {literal(database)} AND startsWith(reason, 'broken') ORDER BY ALL"
    )


def _forget_damage(client: Client, database: str, table: str, partition: str) -> None:
    """Damaged parts of a partition that was written anew need not be told of any more."""
    if any(name == table for name, _, _ in client.query(damaged(database)).result_rows):
        target = _path(database, table)
        client.command(f"ALTER TABLE {target} DROP DETACHED PARTITION {partition}", settings={"allow_drop_detached": 1})


def _left(client: Client, database: str) -> list[tuple[str, int]]:
    """Name, and seconds without a sign, of the tables that wait."""
    found: list[Any] = []
    for start in _WAITING:
        text = (
            "SELECT name, toUnixTimestamp(metadata_modification_time) FROM system.tables"
            " WHERE database = {d:String} AND startsWith(name, {s:String})"
        )
        found += client.query(text, parameters={"d": database, "s": start}).result_rows
    return [(str(name), _age(client, database, str(name), int(made))) for name, made in found]


def _age(client: Client, database: str, name: str, made: int) -> int:
    text = (
        "SELECT toUnixTimestamp(max(modification_time)) FROM system.parts"
        " WHERE database = {d:String} AND table = {t:String}"
    )
    last = client.query(text, parameters={"d": database, "t": name}).result_rows[0][0]
    return int(time.time()) - max(int(last or 0), made)


def _path(database: str, name: str) -> str:
    return f"{quoted(database)}.{quoted(name)}"
