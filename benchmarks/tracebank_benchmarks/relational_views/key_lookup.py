"""How long the one SQL takes to find one row of a large relational table by its key.

Run `python -m tracebank_benchmarks.relational_views.key_lookup`. Figures are the median and the least of some
repetitions after one that does not count, each with a key of its own, in milliseconds of wall time: the store asked
alone through SQLAlchemy; ClickHouse in process, already open, on the raw table, on the view with its filter handed on
(the time of rewriting the statement included), and on the view as it is; DuckDB with all that a query there takes, its
opening included.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import func, insert, select

from tracebank.engines.clickhouse.pushdown import pushed
from tracebank.engines.clickhouse.relational import RAW, VIEWS, attach
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.query.connection import Connection
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.ingest import IngestFile

_BATCH = 50_000
_NAME = IngestFile.__tablename__


def _key(number: int) -> str:
    return f"{number:064x}"


def fill(store: RelationalStore, rows: int) -> None:
    """Bring the table to this many rows."""
    with store.session() as session:
        standing = session.scalar(select(func.count()).select_from(IngestFile)) or 0
        moment = datetime(2024, 1, 1, tzinfo=UTC)
        same: dict[str, Any] = {"format": "recorder", "venue": None, "symbol": "BTC", "ignored": {}, "last_ts": None}
        same |= dict.fromkeys(("bytes", "lines", "rows", "rejected"), 1)
        same |= dict.fromkeys(("first_ts", "registered_at"), moment)
        for start in range(standing, rows, _BATCH):
            numbers = range(start, min(start + _BATCH, rows))
            session.execute(insert(IngestFile), [{"sha256": _key(n), "path": f"/{n}", **same} for n in numbers])


def measured(look_up: Callable[[str], int], rows: int, repetitions: int) -> dict[str, float]:
    """Median and least, in milliseconds; each look-up must find its row."""
    taken = []
    for number in range(repetitions + 1):
        key = _key(number * 7919 % rows)
        start = time.perf_counter()
        found = look_up(key)
        taken.append((time.perf_counter() - start) * 1e3)
        assert found == 1, f"{key}: {found} rows"
    return {"p50": round(statistics.median(taken[1:]), 2), "least": round(min(taken[1:]), 2)}


class _Parser:
    def __init__(self, client: Client) -> None:
        self._client = client

    def ask(self, query: str) -> list[list[Any]]:
        return [list(row) for row in self._client.query(query).result_rows]

    def syntax_tree(self, text: str) -> list[str]:
        return [str(row[0]) for row in self.ask(f"EXPLAIN AST {text}")]


def ways(settings: Settings, on_duckdb: Settings, store: RelationalStore) -> Iterator[tuple[str, Callable[[str], int]]]:
    """What is measured, by name."""

    def alone(key: str) -> int:
        with store.reading() as session:
            return len(session.execute(select(IngestFile.__table__).where(IngestFile.sha256 == key)).all())

    def duckdb(key: str) -> int:
        return Connection(on_duckdb).sql(f"SELECT * FROM {VIEWS}.{_NAME} WHERE sha256 = '{key}'").height

    yield "the store alone", alone
    series = open_series(settings)
    assert isinstance(series, ClickHouseStore)
    with series.session() as client:
        attach(client, store.url, embedded=True)
        parser, dialect = _Parser(client), store.url.get_backend_name()

        def answer(database: str, key: str, *, helped: bool = False) -> int:
            text = f"SELECT * FROM {database}.{_NAME} WHERE sha256 = '{key}'"
            return len(client.query(pushed(text, parser, dialect, {}) if helped else text).result_rows)

        yield "ClickHouse, raw table", lambda key: answer(RAW, key)
        yield "ClickHouse, view", lambda key: answer(VIEWS, key, helped=True)
        yield "ClickHouse, view without the filter handed on", lambda key: answer(VIEWS, key)
    yield "DuckDB", duckdb


def main(
    rows: Annotated[int, typer.Option(min=1)] = 1_000_000,
    repetitions: Annotated[int, typer.Option(min=1)] = 20,
    relational_url: Annotated[str, typer.Option(help="An empty store; by default a SQLite file.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure a look-up by key."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        url = relational_url or f"sqlite:///{home}/relational.db"
        settings, on_duckdb = (
            Settings.load(home=home, series_url=series, relational_url=url)
            for series in (f"chdb:///{home}/series", f"duckdb:///{home}/series.duckdb")
        )
        upgrade(settings)
        upgrade(on_duckdb)
        store = open_relational(settings)
        fill(store, rows)
        steps = track(ways(settings, on_duckdb, store), "ways", total=5, console=Console(stderr=True), transient=True)
        found = {way: measured(look_up, rows, repetitions) for way, look_up in steps}
        store.close()
    if as_json:
        typer.echo(json.dumps(found))
        return
    shown = Table(
        "way", "p50, ms", "least", title=f"one of {rows:,} rows by its key, {settings.relational.get_backend_name()}"
    )
    for way, figures in found.items():
        shown.add_row(way, f"{figures['p50']:.1f}", f"{figures['least']:.1f}")
    Console(width=None if sys.stdout.isatty() else 80).print(shown)


if __name__ == "__main__":
    typer.run(main)
