"""`tracebank ingest PATH…`: register market files and materialise the days and symbols that they hold."""

from pathlib import Path
from typing import Annotated

import click
import typer


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of files.", show_default=False)],
    venue: Annotated[str | None, typer.Option(help="Venue, where neither content nor path tells it.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol, where neither content nor path tells it.")] = None,
    max_rejected_share: Annotated[
        float, typer.Option(help="Share of unreadable lines above which a file is refused whole.")
    ] = 0.01,
) -> None:
    """Register market files and materialise the days and symbols that they hold."""
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_assets.market.ingestion import ingest_paths, summary_table
    from tracebank_assets.market.registration import RegistrationError
    from tracebank_assets.runs import RunFailed

    console = Console(stderr=True)
    settings = Settings.load()
    upgrade(settings)
    try:
        with shown_on(console):
            done = ingest_paths(settings, paths, venue=venue, symbol=symbol, max_rejected_share=max_rejected_share)
    except RegistrationError as error:
        raise click.UsageError(str(error)) from error
    except RunFailed as error:
        raise click.ClickException(str(error)) from error
    Console().print(summary_table(done))
