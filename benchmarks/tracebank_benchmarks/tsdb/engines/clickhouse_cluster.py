"""DDL of the suite's tables on a ClickHouse cluster: replicated local tables on every node, a distributed table before
them. Text only; who runs it is the engine's business.
"""

from __future__ import annotations

from typing import Final

from tracebank.engines.clickhouse.ddl import create_table, literal, quoted
from tracebank_schemas.series import SeriesTable

SETTINGS: Final = {"distributed_product_mode": "local", "insert_distributed_sync": 1, "prefer_localhost_replica": 1}
"""Rows of a symbol lie on one shard, so that joins by symbol are done there; an insert ends when all shards have it."""


def create_database(database: str, cluster: str) -> str:
    """The database, on every node."""
    return f"CREATE DATABASE IF NOT EXISTS {quoted(database)} ON CLUSTER {quoted(cluster)}"


def local_name(table: SeriesTable) -> str:
    """Name of the table that holds a node's own rows."""
    return f"{table.name}_local"


def create_tables(table: SeriesTable, database: str, cluster: str) -> list[str]:
    """The local table and the distributed one; shards by symbol, so that a symbol's rows are never apart.

    `{shard}`, `{replica}` and `{database}` are macros of the server's own.
    """
    name, local = f"{quoted(database)}.{quoted(table.name)}", f"{quoted(database)}.{quoted(local_name(table))}"
    on_cluster = f" ON CLUSTER {quoted(cluster)}"
    path = "/clickhouse/tables/{shard}/{database}/" + local_name(table)
    replicated = f"ReplicatedMergeTree({literal(path)}, '{{replica}}')"
    plain = create_table(table, database)
    shards = f"Distributed({literal(cluster)}, {literal(database)}, {literal(local_name(table))}, cityHash64(symbol))"
    return [
        plain.replace(f"{name} (", f"{local}{on_cluster} (", 1).replace(
            "ENGINE = MergeTree", f"ENGINE = {replicated}", 1
        ),
        f"CREATE TABLE IF NOT EXISTS {name}{on_cluster} AS {local}\nENGINE = {shards}",
    ]


def optimize(table: SeriesTable, database: str, cluster: str) -> str:
    """Merge what every node holds into one part a partition."""
    return f"OPTIMIZE TABLE {quoted(database)}.{quoted(local_name(table))} ON CLUSTER {quoted(cluster)} FINAL"


def drop_database(database: str, cluster: str) -> str:
    """Remove the database and its tables, on every node."""
    return f"DROP DATABASE IF EXISTS {quoted(database)} ON CLUSTER {quoted(cluster)} SYNC"
