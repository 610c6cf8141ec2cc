"""Where the servers of the suite are: every `TRACEBANK_BENCH_*` variable, declared once, read from `.env` too.

The platform's own stores are not here (`tracebank.settings`), and nothing here connects.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from tracebank.settings import Settings

PREFIX: Final = "TRACEBANK_BENCH_"

VARIABLES: Final[dict[str, dict[str, str]]] = {
    "clickhouse": {
        "CLICKHOUSE_URL": "clickhouse://user:password@host:8123/ (clickhouses:// for TLS)",
        "CLICKHOUSE_CLUSTER": "name of a cluster behind that server, for ON CLUSTER and Replicated tables",
    },
    "postgresql": {"POSTGRES_URL": "postgresql+psycopg://user:password@host:5432/database"},
    "timescaledb": {
        "TIMESCALEDB_URL": "timescaledb+psycopg://user:password@host:5432/database; by default POSTGRES_URL's server",
    },
    "influxdb1": {"INFLUXDB1_URL": "influxdb://user:password@host:8086/"},
    "influxdb2": {
        "INFLUXDB2_URL": "http://host:8086/",
        "INFLUXDB2_TOKEN": "a token that may make buckets",
        "INFLUXDB2_ORG": "the organisation; by default tracebank",
    },
    "influxdb3": {
        "INFLUXDB3_URL": "http://host:8181/",
        "INFLUXDB3_TOKEN": "a token; none for a server without authorisation",
    },
    "kdb": {
        "KDB_URL": "kdb://user:password@host:5000/; without it q runs in process where QLIC names a licence",
        "KDB_FOLDER": "folder of the q server's machine for partitioned tables",
    },
}
"""Variables, without their prefix, by engine: what each holds. Engines that are not named need none."""

CAPS: Final[dict[str, str]] = {
    "THREADS": "threads that every engine may use; by default the CPUs of this process",
    "MEMORY": "memory that every engine may use",
}
"""Variables, without their prefix, that hold for every engine alike."""


def names(engine: str) -> list[str]:
    """Whole names of an engine's variables, the one that names the server first."""
    return [PREFIX + name for name in VARIABLES.get(engine, {})]


def read_env_file() -> None:
    """Give this process and its children the suite's variables of the `.env` file that the platform's settings read.

    A variable that is set already stands, as with the platform's own.
    """
    file = Settings.model_config.get("env_file")
    if not isinstance(file, str | Path):
        return
    known = {name for engine in VARIABLES for name in names(engine)} | {PREFIX + name for name in CAPS}
    for name, value in dotenv_values(file).items():
        if name in known and value:
            os.environ.setdefault(name, value)
