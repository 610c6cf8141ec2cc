"""`tracebank ingest PATH…`: register market files and materialise the days and symbols that they hold."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

if TYPE_CHECKING:
    from tracebank_assets.market.ingestion import Ingested


def ingest(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files, or folders of files.", show_default=False)] = None,
    venue: Annotated[str | None, typer.Option(help="Venue, where neither content nor path tells it.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol, where neither content nor path tells it.")] = None,
    mapping: Annotated[
        str | None, typer.Option(help="How files are read that have columns of their own: a TOML file, or a name.")
    ] = None,
    mappings: Annotated[bool, typer.Option("--mappings", help="List the mappings that are shipped.")] = False,
    max_rejected_share: Annotated[
        float, typer.Option(help="Share of unreadable lines above which a file is refused whole.")
    ] = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with every file that was skipped.")] = False,
) -> None:
    """Register market files and materialise the days and symbols that they hold.

    Files in folders that are of no market are skipped, and named. A file that is refused does not keep the others out;
    the exit code tells of it.
    """
    if mappings:
        print_mappings(as_json=as_json)
        return
    if not paths:
        raise click.UsageError("no path is given: files, or folders of files")
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_assets.market import ingestion
    from tracebank_assets.market.survey import RegistrationError, files_of
    from tracebank_assets.runs import RunFailed

    console = Console(stderr=True)
    settings = Settings.load()
    upgrade(settings)
    try:
        with shown_on(console):
            done = ingestion.ingest(
                settings, paths, venue=venue, symbol=symbol, mapping=mapping, max_rejected_share=max_rejected_share
            )
    except RegistrationError as error:
        raise click.UsageError(str(error)) from error
    except RunFailed as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        sys.stdout.write(ingestion.as_json(done) + "\n")
    else:
        print_account(done, paths)
    if done.failed:
        raise click.ClickException(f"nothing was loaded of {files_of(done.failed)}, see above")


def print_account(done: "Ingested", paths: list[Path]) -> None:
    """Print what became of every line to stdout, and of every file that was not read to stderr."""
    from rich.console import Console

    from tracebank.cli.grid import print_grids
    from tracebank_assets.market.ingestion import summary_table
    from tracebank_assets.market.survey import files_of, listed

    if done.files:
        print_grids([summary_table(done.files)])
    console = Console(stderr=True, highlight=False, markup=False)
    for what, files in (("skipped", done.skipped), ("failed", done.failed)):
        if files:
            console.print(f"{what} {files_of(files)}:")
        for line in listed(files, paths):
            console.print(f"  {line}")


def print_mappings(*, as_json: bool) -> None:
    """Print the mappings that are shipped: name, table and what they are for."""
    from tracebank.cli.grid import PROSE, Grid, print_grids
    from tracebank_models.market.mapping import parsed, shipped

    found = {name: parsed(text) for name, text in shipped().items()}
    if as_json:
        listed = [{"name": name, "table": one.table, "about": one.about} for name, one in found.items()]
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
        return
    table = Grid("mapping", "table", ("what it reads", PROSE))
    for name, one in found.items():
        table.add_row(name, one.table, one.about)
    print_grids([table])
