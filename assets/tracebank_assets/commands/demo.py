"""`tracebank demo`: from nothing to rows in both stores, and three questions asked of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from tracebank.settings import Settings

QUESTIONS = {
    "Trades by venue and symbol, with what the catalogue knows of their units (both stores in one query)": """
SELECT t.venue, t.symbol, count() AS trades, round(sum(t.qty), 3) AS volume, i.qty_unit, i.price_tick
FROM series.trades AS t
INNER JOIN relational.instruments AS i ON i.venue = t.venue AND i.symbol = t.symbol
GROUP BY t.venue, t.symbol, i.qty_unit, i.price_tick
ORDER BY t.venue, t.symbol""",
    "Does the book lean before the price moves? Mean move of the mid over the next ten books, in basis points": """
SELECT symbol, multiIf(imbalance > 0.5, 'bids heavier', imbalance < -0.5, 'asks heavier', 'balanced') AS book_is,
    count() AS books, round(avg(move), 3) AS mean_move_bps
FROM (
    SELECT symbol, (bid_qty_0 - ask_qty_0) / (bid_qty_0 + ask_qty_0) AS imbalance,
        (bid_price_0 + ask_price_0) / 2 AS mid,
        1e4 * (leadInFrame(mid, 10, mid) OVER later - mid) / mid AS move
    FROM series.book
    WHERE state = 'whole'
    WINDOW later AS (PARTITION BY venue, symbol ORDER BY ts, seq ROWS BETWEEN CURRENT ROW AND 10 FOLLOWING)
)
GROUP BY symbol, book_is
ORDER BY symbol, mean_move_bps""",
    "What became of every line of every file": """
SELECT splitByChar('/', f.path)[-1] AS file, c.venue, c.kind, sum(c.lines) AS lines, sum(c.stored) AS stored,
    sum(c.duplicate) AS duplicate, sum(c.ignored) AS ignored
FROM relational.ingest_counts AS c
INNER JOIN relational.ingest_files AS f ON f.sha256 = c.sha256
GROUP BY file, c.venue, c.kind
ORDER BY file, c.venue, c.kind""",
}
"""What the demo asks, by what it means."""


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Folder of market files to ingest besides the synthetic day.")
    ] = None,
) -> None:
    """Make the stores, a synthetic day (and your files), every asset, and show what is stored and what it answers."""
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores import upgrade

    console = Console()
    started = time.perf_counter()
    settings = Settings.load()
    upgrade(settings)
    with shown_on(Console(stderr=True)):
        _materialise(settings, data, console)
    _show_stores(settings, console)
    _ask(settings, console)
    console.print(f"\n[bold]Done in {time.perf_counter() - started:.0f} s.[/bold] Stores and files: {settings.home}")
    console.print('  tracebank sql "SELECT * FROM series.bars LIMIT 5"     ask in SQL')
    console.print("  tracebank ingest PATH…                                 bring your own files")
    console.print("  tracebank bench run                                    measure your databases")
    console.print("  tracebank dev                                          the Dagster UI")


def _materialise(settings: Settings, data: Path | None, console: Console) -> None:
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.market.automation import SYNTHETIC_JOB
    from tracebank_assets.market.ingestion import ingest_paths, summary_table
    from tracebank_assets.market.registration import RegistrationError
    from tracebank_assets.market.synthetic import synthetic_folder
    from tracebank_assets.runs import RunFailed, run_job
    from tracebank_assets.tsdb_benchmark.small_suite import run_small_suite

    try:
        with dagster_instance(settings) as instance:
            run_job(str(SYNTHETIC_JOB.name), instance)
            paths = [synthetic_folder(settings), *([data] if data else [])]
            console.print(summary_table(ingest_paths(settings, paths)))
            run_small_suite(settings, instance, console)
    except (RegistrationError, RunFailed) as error:
        raise click.ClickException(str(error)) from error


def _show_stores(settings: Settings, console: Console) -> None:
    from rich.table import Column, Table

    from tracebank.sql.catalogue import tables

    where = {"relational": settings.relational.render_as_string(), "series": settings.series.render_as_string()}
    for database, url in where.items():
        shown = Table("table", Column("rows", justify="right"), Column("bytes", justify="right"), "what it is")
        shown.title = f"{database} · {url}"
        for entry in tables(settings):
            if (entry.database == "relational") == (database == "relational"):
                size = "" if entry.bytes is None else f"{entry.bytes:,}"
                shown.add_row(entry.name, f"{entry.rows or 0:,}", size, entry.doc)
        console.print(shown)


def _ask(settings: Settings, console: Console) -> None:
    from tracebank.sql.session import connect

    connection = connect(settings)
    for meaning, query in QUESTIONS.items():
        console.print(f"\n[bold]{meaning}[/bold]")
        console.print(query.strip(), style="dim", highlight=False)
        console.print(_table(connection.sql(query)))


def _table(frame: pl.DataFrame) -> object:
    from rich.table import Column, Table

    numeric = frame.select(c for c in frame.columns if frame[c].dtype.is_numeric()).columns
    table = Table(*(Column(name, justify="right" if name in numeric else "left") for name in frame.columns))
    for row in frame.iter_rows():
        table.add_row(*("" if value is None else str(value) for value in row))
    return table
