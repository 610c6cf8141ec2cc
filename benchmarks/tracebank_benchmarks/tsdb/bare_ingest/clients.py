"""The fastest path into each engine, written straight on its client: no checks, no staging, no atomic commit.

Each is a context manager that makes an empty table and gives three calls: write, settle, count.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import polars as pl
import pyarrow as pa

from tracebank.engines.clickhouse import ddl as clickhouse_ddl
from tracebank.engines.duckdb import ddl as duckdb_sql
from tracebank_benchmarks.tsdb.bare_ingest.copy_buffer import HEADER, TRAILER, copy_buffers
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.workloads import Lane
from tracebank_schemas.series import TIMESTAMP, SeriesTable
from tracebank_schemas.tsdb_benchmark import naive

GROUP_ROWS: Final = 131_072
"""Rows of a row group, as our own Parquet files have them."""
POINTS: Final = 20_000
"""Of one request to InfluxDB."""


@dataclass(frozen=True, slots=True)
class Bare:
    """An empty table behind a bare client."""

    write: Callable[[pa.Table], None]
    """Until the engine has acknowledged every row."""
    settle: Callable[[], None]
    """What the layout asks for afterwards: the same statements as on our side."""
    count: Callable[[], int]
    server: int = 0
    """A process of the engine's server, where it names one."""


Opener = Callable[[SeriesTable, Lane, Path], AbstractContextManager[Bare]]


def _declared(table: SeriesTable, lane: Lane) -> SeriesTable:
    return naive(table) if lane is Lane.PAPER else table


@contextmanager
def clickhouse_embedded(table: SeriesTable, lane: Lane, folder: Path) -> Iterator[Bare]:
    """`insert_arrow` of clickhouse-connect on chDB."""
    import clickhouse_connect

    client = clickhouse_connect.get_client(interface="chdb", path=str(folder / "bare"))
    client.command("CREATE DATABASE bare")
    client.database = "bare"
    client.command(clickhouse_ddl.create_table(_declared(table, lane), "bare", clickhouse_ddl.EMBEDDED_SETTINGS))

    def settle() -> None:
        if lane is Lane.IDIOMATIC:
            client.command(f"OPTIMIZE TABLE bare.{table.name} FINAL")
        while client.query("SELECT count() FROM system.merges WHERE database = 'bare'").result_rows[0][0]:
            time.sleep(0.01)

    try:
        yield Bare(
            lambda rows: _nothing(client.insert_arrow(table.name, rows, database="bare")),
            settle,
            lambda: int(client.query(f"SELECT count() FROM bare.{table.name}").result_rows[0][0]),
        )
    finally:
        client.close()


@contextmanager
def duckdb(table: SeriesTable, lane: Lane, folder: Path) -> Iterator[Bare]:
    """INSERT from Arrow, in the order of the lane, and a checkpoint."""
    import duckdb as engine

    connection = engine.connect(str(folder / "bare.duckdb"))
    for statement in duckdb_sql.create_table(_declared(table, lane)):
        connection.execute(statement)
    order = f" ORDER BY {', '.join(table.sort_key)}" if lane is Lane.IDIOMATIC else ""

    def write(rows: pa.Table) -> None:
        fields = [pa.field(f.name, pa.timestamp("ns") if f.type == TIMESTAMP else f.type) for f in rows.schema]
        connection.register("bare_rows", rows.cast(pa.schema(fields)))
        connection.execute(f"INSERT INTO {table.name} SELECT * FROM bare_rows{order}")
        connection.unregister("bare_rows")

    try:
        yield Bare(
            write,
            lambda: _nothing(connection.execute("CHECKPOINT")),
            lambda: int(connection.execute(f"SELECT count(*) FROM {table.name}").fetchall()[0][0]),
        )
    finally:
        connection.close()


@contextmanager
def polars(table: SeriesTable, lane: Lane, folder: Path) -> Iterator[Bare]:
    """`write_parquet` with Zstandard: one file, or one for each day, sorted."""

    def write(rows: pa.Table) -> None:
        frame = pl.DataFrame(rows)
        parts = [frame]
        if lane is Lane.IDIOMATIC:
            days = frame.with_columns(day=pl.col("ts").dt.date()).partition_by("day", include_key=False)
            parts = [day.sort(table.sort_key) for day in days]
        for number, part in enumerate(parts):
            part.write_parquet(folder / f"{number}.parquet", compression="zstd", row_group_size=GROUP_ROWS)

    yield Bare(
        write, lambda: None, lambda: int(pl.scan_parquet(folder / "*.parquet").select(pl.len()).collect().item())
    )


@contextmanager
def postgresql(table: SeriesTable, lane: Lane, folder: Path) -> Iterator[Bare]:  # noqa: ARG001 - a server has no folder
    """Binary COPY of buffers that NumPy builds, in one transaction."""
    import psycopg

    from tracebank.engines.postgresql import ddl as postgresql_ddl

    url = os.environ["TRACEBANK_BENCH_POSTGRES_URL"].replace("postgresql+psycopg:", "postgresql:")
    schema, declared = f"bare_{uuid.uuid4().hex[:12]}", _declared(table, lane)
    place = f"{schema}.{table.name}"
    connection = psycopg.connect(url, autocommit=True)

    def run(text: str) -> list[tuple[Any, ...]]:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []

    def write(rows: pa.Table) -> None:
        names = postgresql_ddl.names(declared)
        text = f"COPY {place} ({names}) FROM STDIN (FORMAT BINARY)"
        with connection.transaction(), connection.cursor() as cursor, cursor.copy(text.encode()) as copy:
            copy.write(HEADER)
            for buffer in copy_buffers(rows):
                copy.write(buffer)
            copy.write(TRAILER)

    def settle() -> None:
        if lane is Lane.IDIOMATIC:
            for text in postgresql_ddl.create_index(table, place):
                run(text)
            run(f"CREATE INDEX ON {place} USING brin (ts)")
        run(f"VACUUM (ANALYZE) {place}")
        run("CHECKPOINT")

    try:
        for text in (f"CREATE SCHEMA {schema}", *postgresql_ddl.create_table(declared, place)):
            run(text)
        yield Bare(write, settle, lambda: int(run(f"SELECT count(*) FROM {place}")[0][0]), connection.info.backend_pid)
    finally:
        run(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        connection.close()


@contextmanager
def influxdb1(table: SeriesTable, lane: Lane, folder: Path) -> Iterator[Bare]:  # noqa: ARG001 - a server has no folder
    """Lines that Polars builds, posted on one connection; times that tie within a symbol move on by a nanosecond.

    Names are taken to need no escapes.
    """
    url = urlsplit(os.environ["TRACEBANK_BENCH_INFLUXDB1_URL"])
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 8086)
    database = f"bare_{uuid.uuid4().hex[:12]}"

    def ask(text: str) -> Any:
        connection.request("POST", "/query?" + urlencode({"q": text, "db": database}))
        return json.loads(connection.getresponse().read())

    def write(rows: pa.Table) -> None:
        lines = pl.DataFrame(rows).select(_line(table, lane)).to_series()
        array: Any = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        ends, text = memoryview(array.buffers()[1]).cast("q"), memoryview(array.buffers()[2])
        target = "/write?" + urlencode({"db": database, "precision": "ns"})
        for start in range(0, len(array), POINTS):
            stop = min(start + POINTS, len(array))
            connection.request("POST", target, bytes(text[ends[start] : ends[stop]]))
            answer = connection.getresponse()
            if answer.status != 204:
                raise RuntimeError(f"InfluxDB: {answer.read()[:200]!r}")
            answer.read()

    def count() -> int:
        series = ask(f'SELECT count("seq") FROM "{table.name}"')["results"][0].get("series", [])
        return int(series[0]["values"][0][1]) if series else 0

    try:
        ask(f'CREATE DATABASE "{database}"')
        yield Bare(write, lambda: None, count)
    finally:
        ask(f'DROP DATABASE "{database}"')
        connection.close()


def _line(table: SeriesTable, lane: Lane) -> pl.Expr:
    """Line protocol with the tags and fields that our own layout of the lane has."""
    if lane is Lane.PAPER and table.name != "bench_trades":
        raise UnsupportedError("the paper lane keeps a book row as two points, which no bare path is written for")
    tags = ["symbol", "venue"] if lane is Lane.PAPER else [c.name for c in table.columns if c.repeated]
    parts: list[Any] = [pl.lit(table.name)]
    for name in sorted(tags):
        parts += [pl.lit(f",{name}="), pl.col(name)]
    fields = [_field(column.name, column.type) for column in table.columns if column.name not in tags]
    if lane is Lane.IDIOMATIC and table.name == "bench_trades":
        fields.append([pl.lit("notional="), (pl.col("price") * pl.col("qty")).cast(pl.String)])
    for number, field in enumerate(fields):
        parts += [pl.lit("," if number else " "), *field]
    tie = pl.int_range(pl.len()).over("symbol", "ts")
    return pl.concat_str([*parts, pl.lit(" "), pl.col("ts").cast(pl.Int64) + tie, pl.lit("\n")])


def _field(name: str, kind: pa.DataType) -> list[pl.Expr]:
    if kind == pa.string():
        return [pl.lit(f'{name}="'), pl.col(name), pl.lit('"')]
    if kind == pa.float64():
        return [pl.lit(f"{name}="), pl.col(name).cast(pl.String)]
    return [pl.lit(f"{name}="), pl.col(name).cast(pl.Int64).cast(pl.String), pl.lit("i")]


def _nothing(_: object) -> None:
    return None


CLIENTS: Final[dict[str, Opener]] = {
    "clickhouse_embedded": clickhouse_embedded,
    "duckdb": duckdb,
    "polars": polars,
    "postgresql": postgresql,
    "influxdb1": influxdb1,
}
"""By the suite's names of engines."""
