"""`series.activations`: the vectors of every shard under one folder, read in place by ClickHouse, never copied.

The files lie behind a table of the engine `File`, which lists them once, when it is made. So it is made anew, under a
name that follows from the list, whenever the list has changed, and the view is put on it in one step: a query that runs
keeps the list that it began with. These tables lie in a database of the engine `Memory`, as the raw ones of
`relational` do; the folder's address goes with the engine.

Columns that come from a file's path decide which files are opened. Writing shards is `tracebank_models.activations`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tracebank.engines.clickhouse.ddl import column_type, literal, quoted
from tracebank_schemas.series import Column

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


NAME: Final = "activations"
"""The view, in the database of the series."""

DOC: Final = "Activations of language models, a token a row, read in place from the shards of activation_shards."

COLUMNS: Final = (
    Column("activation_hash", pa.string(), "of model, site, corpus and dtype; opens only the files of its folder"),
    Column("shard", pa.int64(), "number of the file in its folder; opens only that one"),
    Column("document", pa.int64(), "number of the document in the corpus"),
    Column("position", pa.int32(), "of the token in the document, from 0"),
    Column("token_id", pa.int32(), "token"),
    Column("activation", pa.list_(pa.float32()), "the vector; its length is the width of the site"),
)
"""What the view shows."""

FILES: Final = "_activations"
"""Database of the tables over files, in the engine's memory."""

_SHOWN: Final = (
    "CAST(splitByChar('/', _path)[-2] AS String) AS activation_hash,"
    " CAST(extract(_path, '([0-9]+)[.]arrow$') AS Int64) AS shard, document, position, token_id, activation"
)
_SHARD: Final = re.compile(r"shard-.*[.]arrow")
_PATTERN: Final = frozenset("*?{}")
_WORD: Final = re.compile(rf"\b{NAME}\b", re.IGNORECASE)
_attaching: Final = threading.Lock()
"""Held from the listing to the view, so that a thread with an older list does not come last."""


def named_in(query: str) -> bool:
    """Whether a statement may mean the view, so that the files have to be listed."""
    return _WORD.search(query) is not None


def attach(client: Client, database: str, root: Path, *, embedded: bool) -> str:
    """Put the view on the files that are there now; nothing is done where it stands on them already.

    Args:
        client: a session of the series store that may write.
        database: of the series.
        root: folder of the folders of shards; it need not be there yet.
        embedded: whether the engine sees this machine's files.

    Returns:
        Why there is no such view, in one line; empty where there is one.
    """
    if found := sorted(_PATTERN & set(str(root))):
        return f"{root} has {' '.join(found)} in its name, which ClickHouse takes for a pattern; use another folder"
    with _attaching:
        listed = _listed(root)
        table = _name(root, listed)
        client.command(f"CREATE DATABASE IF NOT EXISTS {FILES} ENGINE = Memory")
        standing = _tables(client, FILES)
        if table not in standing and (reason := _create(client, table, root, listed, embedded)):
            client.command(f"DROP TABLE IF EXISTS {quoted(database)}.{NAME}")
            return reason
        on = _tables(client, database).get(NAME, "")
        if on != table:
            client.command(_view(database, table))
            # A query that has found the view may not have found its table yet: that one stays for a while.
            for other in standing.keys() - {table, on}:
                client.command(f"DROP TABLE IF EXISTS {FILES}.{quoted(other)}")
    return ""


def _name(root: Path, listed: list[str]) -> str:
    """Name of the table over these files; it differs as well where the view would."""
    parts = [str(root), *listed, _SHOWN, _declared(COLUMNS)]
    return "shards_" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _listed(root: Path) -> list[str]:
    """Shards by their path below the root, in order."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(root) as folders:
        for folder in folders:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as files:
                found += [f"{folder.name}/{file.name}" for file in files if _SHARD.fullmatch(file.name)]
    return sorted(found)


def _tables(client: Client, database: str) -> dict[str, str]:
    """Tables of a database with their comments."""
    text = "SELECT name, comment FROM system.tables WHERE database = {d:String}"
    return {str(name): str(comment) for name, comment in client.query(text, parameters={"d": database}).result_rows}


def _create(client: Client, table: str, root: Path, listed: list[str], embedded: bool) -> str:
    """Make the table over the files; or say why a server does not see them."""
    from clickhouse_connect.driver.exceptions import Error

    name, stored = f"{FILES}.{quoted(table)}", _declared(COLUMNS[2:])
    pattern = literal(f"{root}/*/shard-*.arrow")
    files = f"CREATE TABLE IF NOT EXISTS {name} ({stored}) ENGINE = File(Arrow, {pattern})"
    if embedded and listed:
        client.command(files)
        return ""
    if not embedded:
        try:
            client.command(files)
        except Error:
            return _unseen(root)
        seen = _seen(client, table)
        if seen and seen >= len(listed):
            return ""
        client.command(f"DROP TABLE IF EXISTS {name}")
        if listed:
            return _unseen(root)
    # A table over no files would break whoever reads all of `system.tables`.
    client.command(f"CREATE TABLE IF NOT EXISTS {name} ({stored}, _path String) ENGINE = Memory")
    return ""


def _unseen(root: Path) -> str:
    return f"the ClickHouse server does not see {root}; mount it there, at that path and within its user_files"


def _seen(client: Client, table: str) -> int:
    """Files behind a table; the engine tells none at all by a fault."""
    from clickhouse_connect.driver.exceptions import Error

    text = "SELECT length(data_paths) FROM system.tables WHERE database = {d:String} AND name = {t:String}"
    try:
        return int(client.query(text, parameters={"d": FILES, "t": table}).result_rows[0][0])
    except Error:
        return 0


def _view(database: str, table: str) -> str:
    return (
        f"CREATE OR REPLACE VIEW {quoted(database)}.{NAME} ({_declared(COLUMNS)})"
        f" AS SELECT {_SHOWN} FROM {FILES}.{quoted(table)} COMMENT {literal(table)}"
    )


def _declared(columns: tuple[Column, ...]) -> str:
    return ", ".join(f"{quoted(column.name)} {column_type(column)}" for column in columns)
