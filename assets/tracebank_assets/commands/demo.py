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


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Folder of market files to ingest besides the synthetic day.")
    ] = None,
) -> None:
    """Make the stores, a synthetic day (and your files), every asset, and show what is stored and what it answers."""
    from rich.console import Console

    from tracebank.holds import held
    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade

    console = Console()
    started = time.perf_counter()
    settings = Settings.load()
    with held(settings.home, "demo"):
        upgrade(settings)
        with shown_on(Console(stderr=True)):
            _materialise(settings, data, console)
        _show_stores(settings, console)
        _ask(settings, console)
    console.print(f"\n[bold]Done in {time.perf_counter() - started:.0f} s.[/bold] Stores and files: {settings.home}")
    console.print('  tracebank sql "SELECT * FROM series.bars LIMIT 5"     ask in SQL')
    console.print("  tracebank ingest PATH…                                 bring your own files")
    console.print("  tracebank bench run                                    measure your databases")
    console.print("  tracebank study                                        models, dictionaries, probes")
    console.print("  tracebank dev                                          the Dagster UI")


def _materialise(settings: Settings, data: Path | None, console: Console) -> None:
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.market.automation import SYNTHETIC_JOB
    from tracebank_assets.market.ingestion import ingest_paths, summary_table
    from tracebank_assets.market.survey import RegistrationError
    from tracebank_assets.market.synthetic import synthetic_folder
    from tracebank_assets.runs import RunFailed, run_job
    from tracebank_assets.sparse_features.whole_study import DEMO, run_study
    from tracebank_assets.studies import studies
    from tracebank_assets.tsdb_benchmark.small_suite import run_small_suite

    try:
        with dagster_instance(settings) as instance:
            run_job(str(SYNTHETIC_JOB.name), instance)
            paths = [synthetic_folder(settings), *([data] if data else [])]
            console.print(summary_table(ingest_paths(settings, paths)))
            run_small_suite(settings, instance, console)
            run_study(studies()["small-ppo"], settings, instance, console, DEMO)
    except (RegistrationError, RunFailed) as error:
        raise click.ClickException(str(error)) from error


def _show_stores(settings: Settings, console: Console) -> None:
    from rich.table import Column, Table

    from tracebank.query.catalogue import tables

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
    from tracebank.query.connection import connect
    from tracebank.stores.opening import open_series
    from tracebank_assets.groups import group_modules

    connection = connect(settings)
    engine = open_series(settings).engine
    asked = [entry for module in group_modules("questions") for entry in module.questions(engine).items()]
    for meaning, query in asked:
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
