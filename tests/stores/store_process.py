"""Small programs that `test_concurrency` runs as processes: store_process.py PROGRAM FOLDER NUMBER."""

from __future__ import annotations

import os
import sys
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pyarrow as pa
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse.reach import beside
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable

TABLE = SeriesTable(
    "writes",
    "rows of several writers",
    (
        Column("ts", TIMESTAMP, "when"),
        Column("writer", pa.int32(), "who"),
        Column("n", pa.int64(), "which of the writer's rows"),
    ),
    ("writer", "n"),
    (Day("ts"), "writer"),
)
DAY = date(1970, 1, 1)
BATCHES, ROWS = 8, 50


def batch(writer: int, number: int) -> pl.DataFrame:
    """The rows of one write."""
    n = pl.int_range(number * ROWS, (number + 1) * ROWS)
    return pl.select(n.alias("ts"), pl.lit(writer).alias("writer"), n.alias("n")).cast(TABLE.polars_schema)  # type: ignore[arg-type]


def write_batches(store: ClickHouseStore, writer: int) -> None:
    """Append and replace in turns: the replaced partition of each writer is another one."""
    for number in range(BATCHES):
        store.append(TABLE, batch(writer, number))
        store.replace(TABLE, {"day": DAY, "writer": 100 + writer}, [batch(100 + writer, n) for n in range(number + 1)])


def _read(store: ClickHouseStore) -> None:
    for _ in range(20):
        rows = store.read(TABLE, columns=["writer", "n"])
        assert rows.height % ROWS == 0


def _size(url: str) -> None:
    ClickHouseStore(make_url(url)).size(TABLE)


def _fork(store: ClickHouseStore, url: str) -> None:
    store.create(TABLE)
    child = os.fork()
    if child == 0:
        store.size(TABLE)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    spawned = get_context("spawn").Process(target=_size, args=(url,))
    spawned.start()
    spawned.join(30)
    sys.exit(os.waitstatus_to_exitcode(status) or spawned.exitcode)


if __name__ == "__main__":
    program, url, number = sys.argv[1], f"chdb:///{sys.argv[2]}", int(sys.argv[3])
    opened = ClickHouseStore(make_url(url), lock_timeout=60)
    if program == "write":
        write_batches(opened, number)
    elif program == "read":
        _read(opened)
    elif program == "owner":
        opened.create(TABLE)
        sys.stdout.write(beside(Path(sys.argv[2]), "pid").read_text(encoding="ascii"))
    elif program == "fork":
        _fork(opened, url)
