"""A process that writes to stores and is killed while it does: run by `test_crashes`, one scenario after the other.

Each scenario runs in a child of its own. It is killed with SIGKILL, or the owner of the store is, or both are: before,
in or after a statement, or at a random moment.

Usage: killed_writer.py JSON, a list of {"folder", "kind", "statement", "when", "delay", "append", "who"}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.engines.clickhouse.writer import ClickHouseWriter
from tracebank.stores.faults import StoreError
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable

ROWS = 6_000
DAY = date(2024, 8, 8)
TABLE = SeriesTable(
    "ticks",
    "rows",
    (
        Column("ts", TIMESTAMP, "when"),
        Column("symbol", pa.string(), "what", repeated=True),
        Column("seq", pa.int64(), "number"),
        Column("version", pa.int64(), "which write"),
    ),
    ("symbol", "ts", "seq"),
    (Day("ts"), "symbol"),
)


def frame(version: int, symbol: str = "BTC", rows: int = ROWS) -> pl.DataFrame:
    """Rows of one partition, all of one version."""
    start = pl.lit(datetime(2024, 8, 8, tzinfo=UTC)).cast(pl.Datetime("ns", "UTC"))
    seq = pl.int_range(rows).alias("seq")
    return pl.select(
        (start + pl.duration(nanoseconds=seq)).alias("ts"), pl.lit(symbol).alias("symbol"), seq, version=pl.lit(version)
    ).cast(TABLE.polars_schema)  # type: ignore[arg-type]


def kill_owner(folder: str) -> None:
    """End the store's owner as the kernel does when memory is out."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(Path(f"{folder}.pid").read_text(encoding="ascii")), signal.SIGKILL)


def _die_at(scenario: dict[str, Any]) -> None:
    from clickhouse_connect.driver.httpclient import HttpClient

    command, came = HttpClient.command, False

    def _die() -> None:
        if scenario["who"] != "writer":
            kill_owner(scenario["folder"])
        if scenario["who"] != "owner":
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(self: HttpClient, cmd: str, *rest: Any, **named: Any) -> Any:
        nonlocal came
        if came:
            return command(self, cmd, *rest, **named)
        if scenario["statement"] not in cmd:
            return command(self, cmd, *rest, **named)
        came = True
        if scenario["when"] == "before":
            _die()
        if scenario["when"] == "half":  # a move of which only the first half reached the disk
            staged = cmd.split(" MOVE ")[0].removeprefix("ALTER TABLE ")
            target = cmd.split(" TO TABLE ")[1].split(",")[0]
            partition = cmd.split("PARTITION ID ")[1].split(" TO ")[0]
            command(self, f"ALTER TABLE {target} ATTACH PARTITION ID {partition} FROM {staged}")
            _die()
        if scenario["when"] == "during":
            threading.Timer(scenario["delay"], _die).start()
        result = command(self, cmd, *rest, **named)
        if scenario["when"] == "after":
            _die()
        return result

    HttpClient.command = watched  # type: ignore[method-assign,assignment]


def _run(scenario: dict[str, Any], ready: int) -> None:
    ClickHouseWriter.block_rows = ROWS // 3
    store = ClickHouseStore(make_url(f"chdb:///{scenario['folder']}"))
    store.info()  # the engine has started
    if scenario["kind"] == "point":
        _die_at(scenario)
    os.write(ready, b"!")
    version = 0
    while True:
        version += 1
        try:
            if scenario["append"]:
                store.append(TABLE, [frame(version), frame(version, "ETH"), frame(version, "SOL")])
            else:
                store.replace(TABLE, {"day": DAY, "symbol": "BTC"}, frame(version))
        except StoreError:
            if scenario["who"] != "owner":
                raise
            os.kill(os.getpid(), signal.SIGKILL)  # what it had to say was said
        if scenario["kind"] == "point":
            if scenario["who"] == "owner":  # killed behind the last thing that mattered
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(2, b"the scenario's statement did not come\n")
            os._exit(3)


def main() -> int:
    """Run the scenarios of the argument; 0 when each ended by SIGKILL."""
    for scenario in json.loads(sys.argv[1]):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                _run(scenario, write)
            finally:
                sys.excepthook(*sys.exc_info())
                os._exit(4)
        os.close(write)
        if os.read(read, 1) and scenario["kind"] == "random":
            time.sleep(scenario["delay"])
            if scenario["who"] != "writer":
                kill_owner(scenario["folder"])
            if scenario["who"] == "owner":  # the writer goes on with the next one
                time.sleep(1.0)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        os.close(read)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.stderr.write(f"{scenario} ended with {status}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
