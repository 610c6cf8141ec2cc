"""How fast rows go into the embedded store and come back, beside the bare client with the same rows and the same DDL.

Every repetition measures each step once, in turn, so that the ratios come from one run. Each step opens the engine and
closes it again, ours and the bare ones. The bars: `replace` at most 1.3 times bare `insert_arrow`, `read` to Polars at
most 1.2 times bare `query_arrow`. Run it with `python -m tracebank_benchmarks.market_rates.store`.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

import clickhouse_connect
import numpy as np
import polars as pl
import psutil
import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse import ddl as ddl
from tracebank.engines.clickhouse.reach import owner_of, stop
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank_schemas.market import BOOK, BOOK_DEPTH, TRADES
from tracebank_schemas.series import Partition, SeriesTable

DAY: Final = date(2024, 8, 8)
PARTITION: Final[Partition] = {"day": DAY, "symbol": "BTCUSDT"}
WRITE_BAR: Final = 1.3
READ_BAR: Final = 1.2
_DAY_NS: Final = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """Medians of one step."""

    table: str
    step: str
    rows: int
    wall_seconds: float
    cpu_seconds: float
    wall_ratio: float
    """Of the bare step that it is held against."""
    cpu_ratio: float
    bar: float | None
    """Highest ratio that is good enough; None for a step that is only shown."""


def _keys(rows: int, rng: np.random.Generator) -> pl.DataFrame:
    start = int(datetime(2024, 8, 8, tzinfo=UTC).timestamp()) * 1_000_000_000
    ts = start + np.sort(rng.integers(0, _DAY_NS - 1_000_000_000, rows)) // 1_000_000 * 1_000_000
    time_type = pl.Datetime("ns", "UTC")
    return pl.DataFrame({"ts": ts, "local_ts": ts + rng.integers(100_000, 9_000_000, rows)}).select(
        pl.col("ts").cast(time_type),
        pl.col("local_ts").cast(time_type),
        pl.lit("exchange").alias("clock"),
        pl.lit("binance_spot").alias("venue"),
        pl.lit("BTCUSDT").alias("symbol"),
        pl.int_range(3_000_000_000, 3_000_000_000 + rows).alias("seq"),
    )


def trades(rows: int, seed: int = 0) -> pl.DataFrame:
    """A day of trades: a random walk on a tick of 0.01, exponential quantities."""
    rng = np.random.default_rng(seed)
    walk = np.round(60_000 + np.cumsum(rng.integers(-2, 3, rows)) * 0.01, 2)
    quantity = np.round(rng.exponential(0.05, rows) + 0.00001, 5)
    side = pl.Series(rng.integers(0, 2, rows)).replace_strict({0: "buy", 1: "sell"})
    return _keys(rows, rng).with_columns(price=walk, qty=quantity, side=side).select(TRADES.arrow_schema.names)


def book(rows: int, seed: int = 0) -> pl.DataFrame:
    """A day of ten-level books around a random walk, a level in a hundred unknown."""
    rng = np.random.default_rng(seed)
    middle = 6_000_000 + np.cumsum(rng.integers(-2, 3, rows))
    frame = _keys(rows, rng).with_columns(state=pl.lit("whole"))
    levels = {}
    for side, sign in (("bid", -1), ("ask", 1)):
        depth = np.cumsum(rng.integers(1, 4, (rows, BOOK_DEPTH)), axis=1)
        for level in range(BOOK_DEPTH):
            known = pl.Series(rng.random(rows) > 0.01)
            values = {
                "price": np.round((middle + sign * depth[:, level]) * 0.01, 2),
                "qty": np.round(rng.exponential(0.5, rows) + 0.00001, 5),
            }
            for what, value in values.items():
                levels[f"{side}_{what}_{level}"] = pl.select(pl.when(known).then(pl.Series(value))).to_series()
    return frame.with_columns(**levels).select(BOOK.arrow_schema.names)


class Bench:
    """The steps for one table, on a folder of their own."""

    def __init__(self, folder: Path, table: SeriesTable, frame: pl.DataFrame) -> None:
        self._folder = folder
        self._table = table
        self._frame = frame
        self._arrow: pa.Table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(table.arrow_schema)
        self._store = ClickHouseStore(make_url(f"chdb:///{folder / 'series'}"))
        self._store.info()  # its owner has started
        self._bare = clickhouse_connect.get_client(interface="chdb", path=str(folder / "bare"))
        names = ", ".join(map(ddl.quoted, table.arrow_schema.names))
        where = "toDate32(ts) = '2024-08-08' AND symbol = 'BTCUSDT'"
        self._select = f"SELECT {names} FROM bare.{table.name} WHERE {where} ORDER BY {', '.join(table.sort_key)}"

    def steps(self) -> dict[str, Callable[[], object]]:
        """What is timed, in the order of a repetition."""
        return {
            "bare insert_arrow": self._bare_insert,
            "replace": lambda: self._store.replace(self._table, PARTITION, self._frame),
            "bare query_arrow": self._bare_query,
            "read": lambda: self._store.read(self._table, partition=PARTITION),
        }

    def _bare_insert(self) -> None:
        self._bare.insert_arrow(self._table.name, self._arrow, database="bare")

    def _bare_query(self) -> pa.Table:
        return self._bare.query_arrow(self._select)

    def prepare(self) -> None:
        """Empty the bare table, outside every clock."""
        self._bare.command("CREATE DATABASE IF NOT EXISTS bare")
        self._bare.command(f"DROP TABLE IF EXISTS bare.{self._table.name} SYNC")
        self._bare.command(ddl.create_table(self._table, "bare", ddl.EMBEDDED_SETTINGS))

    def cpu_seconds(self) -> float:
        """CPU time of this process and of the store's owner."""
        spent = psutil.Process(owner_of(self._folder / "series")).cpu_times()
        return time.process_time() + spent.user + spent.system

    def close(self) -> None:
        """Let both engines go."""
        self._bare.close()
        stop(self._folder / "series")

    def agrees(self) -> bool:
        """Whether both sides gave back what went in."""
        ours = self._store.read(self._table, partition=PARTITION)
        bare = pl.DataFrame(self._bare_query()).cast(self._table.polars_schema)
        return ours.equals(self._frame) and bare.equals(self._frame)


def measure(folder: Path, table: SeriesTable, frame: pl.DataFrame, repetitions: int) -> list[Rate]:
    """Time every step of one table, `repetitions` times in turn after one warming round.

    Raises:
        RuntimeError: what came back is not what went in.
    """
    bench = Bench(folder, table, frame)
    wall: dict[str, list[float]] = {name: [] for name in bench.steps()}
    cpu: dict[str, list[float]] = {name: [] for name in bench.steps()}
    rounds = track(range(repetitions + 1), f"store, {table.name}", console=Console(stderr=True), transient=True)
    for _ in rounds:
        bench.prepare()
        for name, step in bench.steps().items():
            wall_start, cpu_start = time.perf_counter(), bench.cpu_seconds()
            step()
            wall[name].append(time.perf_counter() - wall_start)
            cpu[name].append(bench.cpu_seconds() - cpu_start)
    agrees = bench.agrees()
    bench.close()
    if not agrees:
        raise RuntimeError(f"table {table.name}: what came back is not what went in")
    against = {"replace": ("bare insert_arrow", WRITE_BAR), "read": ("bare query_arrow", READ_BAR)}
    medians = {name: (statistics.median(wall[name][1:]), statistics.median(cpu[name][1:])) for name in wall}
    rates = []
    for name, (wall_s, cpu_s) in medians.items():
        other, bar = against.get(name, (name, None))
        ratios = wall_s / medians[other][0], cpu_s / medians[other][1]
        rates.append(Rate(table.name, name, frame.height, wall_s, cpu_s, *ratios, bar))
    return rates


def main(
    trade_rows: Annotated[int, typer.Option(min=1)] = 3_000_000,
    book_rows: Annotated[int, typer.Option(min=1)] = 300_000,
    repetitions: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure the embedded store against the bare client; ends with 1 when a bar is missed."""
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(Path(folder) / "trades", TRADES, trades(trade_rows), repetitions)
        rates += measure(Path(folder) / "book", BOOK, book(book_rows), repetitions)
    missed = [rate for rate in rates if rate.bar is not None and rate.cpu_ratio > rate.bar]
    if as_json:
        typer.echo(json.dumps({"rates": [asdict(rate) for rate in rates], "bars_hold": not missed}))
    else:
        _show(rates)
    raise typer.Exit(1 if missed else 0)


def _show(rates: list[Rate]) -> None:
    right = ("rows", "wall s", "CPU s", "million rows/s", "x bare (wall)", "x bare (CPU)", "bar")
    table = Table("table", "step", *(Column(text, justify="right") for text in right))
    for rate in rates:
        table.add_row(
            rate.table,
            rate.step,
            f"{rate.rows:,}",
            f"{rate.wall_seconds:.3f}",
            f"{rate.cpu_seconds:.3f}",
            f"{rate.rows / rate.wall_seconds / 1e6:.2f}",
            f"{rate.wall_ratio:.2f}",
            f"{rate.cpu_ratio:.2f}",
            "" if rate.bar is None else f"{rate.bar:g}",
        )
    Console(width=max(Console().width, 110)).print(table)


if __name__ == "__main__":
    typer.run(main)
