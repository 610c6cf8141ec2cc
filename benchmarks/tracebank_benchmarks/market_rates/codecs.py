"""What each codec and each sort key costs, in bytes and seconds, on recorded market data: why tables are as declared.

Every candidate is a table in which all columns that can take the codec have it. Bytes come from the engine's own count
per column, on the files' rows as they are. Seconds (CPU) come from many more rows: the same again with later times.
Run it with `python -m tracebank_benchmarks.market_rates.codecs FILES…`; folders of recorder files do too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import polars as pl
import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Column as TableColumn
from rich.table import Table

from tracebank.engines.clickhouse import ddl as ddl
from tracebank_models.market.formats import source_of
from tracebank_models.market.pipeline import load
from tracebank_schemas.market import BOOK, QUOTES, TRADES
from tracebank_schemas.series import SeriesTable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

TABLES: Final = {table.name: table for table in (TRADES, QUOTES, BOOK)}
ANY: Final = ("LZ4", "ZSTD(1)", "ZSTD(3)", "Delta, ZSTD(1)", "DoubleDelta, ZSTD(1)")
WHOLE: Final = ("Delta, LZ4", "T64, LZ4", "T64, ZSTD(1)", "Delta, T64, ZSTD(1)", "GCD, Delta, ZSTD(1)")
FLOAT: Final = ("Gorilla, LZ4", "Gorilla, ZSTD(1)", "FPC(12), ZSTD(1)", "ALP, LZ4", "ALP, ZSTD(1)")
SORT_KEYS: Final = (
    ("venue", "symbol", "ts", "seq"),
    ("venue", "symbol", "seq"),
    ("ts", "venue", "symbol", "seq"),
)
SPEED_VALUES: Final = 8_000_000
"""Values that a timed write has, so that every codec has the same work in a narrow table and in a wide one."""
_WIDE: Final = "min_bytes_for_wide_part = 0"
"""A file a column from the first row: the engine does not count the columns of a small part apart."""
_SETTINGS: Final = {"allow_suspicious_codecs": 1, "enable_alp_codec": 1}


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What one candidate costs."""

    table: str
    codec: str
    bytes_per_row: dict[str, float]
    """By column; columns that cannot take the codec are absent."""
    write_seconds: float
    """CPU seconds to write ten million values of the columns that have it."""
    read_seconds: float
    """CPU seconds to read them."""


def frames(files: Iterable[Path]) -> dict[str, pl.DataFrame]:
    """Rows of recorder files, by table."""
    found: dict[str, list[pl.DataFrame]] = defaultdict(list)
    for file in files:
        for chunk in load([source_of(file)]):
            for name, frame in chunk.batches.items():
                found[name].append(frame.select(TABLES[name].arrow_schema.names))
    return {name: pl.concat(parts) for name, parts in found.items()}


def takes(codec: str, column: pa.DataType) -> bool:
    """Whether a column of that type can have the codec."""
    if pa.types.is_floating(column):
        return codec in ANY or codec in FLOAT
    return (pa.types.is_integer(column) or pa.types.is_timestamp(column)) and (codec in ANY or codec in WHOLE)


def candidate(table: SeriesTable, codec: str) -> SeriesTable:
    """The table with one codec wherever it fits, in one partition."""
    columns = [dataclasses.replace(c, codec=codec if takes(codec, c.type) else "") for c in table.columns]
    return dataclasses.replace(table, name="candidate", columns=tuple(columns), partition_by=())


def longer(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    """That many rows: the same again and again, later each time."""
    span, steps = frame.select(
        (pl.col("ts").max() - pl.col("ts").min()).cast(pl.Int64).alias("span"),
        (pl.col("seq").max() - pl.col("seq").min() + 1).alias("steps"),
    ).row(0)
    again = [
        frame.with_columns(pl.col("ts", "local_ts") + pl.duration(nanoseconds=span * at), pl.col("seq") + steps * at)
        for at in range(-(-rows // frame.height))
    ]
    return pl.concat(again)[:rows]


def _write(client: Client, table: SeriesTable, rows: pa.Table, path: Path) -> float:
    client.command("CREATE DATABASE IF NOT EXISTS codecs")
    client.command("DROP TABLE IF EXISTS codecs.candidate SYNC")
    client.command(ddl.create_table(table, "codecs", _WIDE))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=262_144)
    names = ", ".join(map(ddl.quoted, rows.column_names))
    started = time.process_time()
    client.command(f"INSERT INTO codecs.candidate ({names}) FROM INFILE {ddl.literal(str(path))} FORMAT Arrow")
    return time.process_time() - started


def _bytes(client: Client, rows: int) -> dict[str, float]:
    client.command("OPTIMIZE TABLE codecs.candidate FINAL")
    found = client.query(
        "SELECT column, sum(column_data_compressed_bytes) FROM system.parts_columns"
        " WHERE database = 'codecs' AND table = 'candidate' AND active GROUP BY column"
    ).result_rows
    return {str(name): int(size) / rows for name, size in found}


def _read(client: Client, names: list[str]) -> float:
    hashes = ", ".join(f"sum(cityHash64({ddl.quoted(name)}))" for name in names)
    started = time.process_time()
    client.query(f"SELECT {hashes} FROM codecs.candidate")
    return time.process_time() - started


def cost(client: Client, folder: Path, table: SeriesTable, frame: pl.DataFrame, codec: str, repetitions: int) -> Cost:
    """Bytes of every column that can take the codec, and the time that ten million values of them take."""
    changed = candidate(table, codec)
    _write(client, changed, _arrow(frame), folder / "rows.arrow")
    sizes = _bytes(client, frame.height)
    names = [column.name for column in changed.columns if takes(codec, column.type)]
    columns = tuple(column for column in changed.columns if column.name in {"ts", "local_ts", "seq", *names})
    slim = dataclasses.replace(changed, columns=columns, sort_key=("ts", "seq"), unique_key=())
    many = longer(frame.select(slim.arrow_schema.names), SPEED_VALUES // len(names))
    rows = _arrow(many.sort("ts", "seq"))
    scale = 1e7 / (many.height * len(names))
    writes = [_write(client, slim, rows, folder / "rows.arrow") * scale for _ in range(repetitions)]
    reads = [_read(client, names) * scale for _ in range(repetitions)]
    return Cost(table.name, codec, {n: sizes[n] for n in names}, statistics.median(writes), statistics.median(reads))


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def sort_costs(client: Client, folder: Path, table: SeriesTable, frame: pl.DataFrame) -> Iterator[tuple[str, float]]:
    """Bytes per row of the declared table under other sort keys."""
    for key in SORT_KEYS:
        changed = dataclasses.replace(table, name="candidate", sort_key=key, partition_by=())
        _write(client, changed, _arrow(frame), folder / "rows.arrow")
        yield ", ".join(key), sum(_bytes(client, frame.height).values())


def bare_client(folder: Path) -> contextlib.closing[Client]:
    """A client of the engine in this process."""
    import clickhouse_connect

    return contextlib.closing(clickhouse_connect.get_client(interface="chdb", path=str(folder)))


def _files(paths: list[Path]) -> list[Path]:
    return sorted(f for path in paths for f in (path.iterdir() if path.is_dir() else [path]) if f.is_file())


def main(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Recorder files, or folders of them.")],
    repetitions: Annotated[int, typer.Option(min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure codecs and sort keys for trades, quotes and book."""
    found = frames(_files(paths))
    costs: list[Cost] = []
    keys: dict[str, dict[str, float]] = {}
    work = [(name, codec) for name in found for codec in (*ANY, *WHOLE, *FLOAT)]
    with tempfile.TemporaryDirectory() as name, bare_client(Path(name) / "store") as client:
        for setting, value in _SETTINGS.items():
            client.set_client_setting(setting, value)
        for table, codec in track(work, "codecs", console=Console(stderr=True), transient=True):
            costs.append(cost(client, Path(name), TABLES[table], found[table], codec, repetitions))
        for table, frame in found.items():
            keys[table] = dict(sort_costs(client, Path(name), TABLES[table], frame))
    rows = {table: frame.height for table, frame in found.items()}
    if as_json:
        shown: dict[str, Any] = {"rows": rows, "codecs": [dataclasses.asdict(c) for c in costs], "sort_keys": keys}
        typer.echo(json.dumps(shown))
        return
    for table in found:
        _show(table, rows[table], [c for c in costs if c.table == table], keys[table])


def _grouped(sizes: dict[str, float]) -> dict[str, float]:
    """Columns of the book's levels as one figure a kind: the mean over levels and sides."""
    groups: dict[str, list[float]] = defaultdict(list)
    for name, size in sizes.items():
        groups[name[4:-2] + "_N" if name[:4] in ("bid_", "ask_") and name[-1].isdigit() else name].append(size)
    return {name: statistics.mean(group) for name, group in groups.items()}


def _show(table: str, rows: int, costs: list[Cost], keys: dict[str, float]) -> None:
    console = Console(width=max(Console().width, 120))
    names = list(dict.fromkeys(name for one in costs for name in _grouped(one.bytes_per_row)))
    title = f"{table}: bytes per row, {rows:,} rows; CPU s for ten million values"
    shown = Table("codec", *(TableColumn(n, justify="right") for n in (*names, "write", "read")), title=title)
    for one in costs:
        sizes = _grouped(one.bytes_per_row)
        cells = [f"{sizes[name]:.3f}" if name in sizes else "" for name in names]
        shown.add_row(one.codec, *cells, f"{one.write_seconds:.2f}", f"{one.read_seconds:.2f}")
    console.print(shown)
    by_key = Table(
        "sort key", TableColumn("bytes per row", justify="right"), title=f"{table}: as declared, by sort key"
    )
    for key, size in keys.items():
        by_key.add_row(key, f"{size:.2f}")
    console.print(by_key)


if __name__ == "__main__":
    typer.run(main)
