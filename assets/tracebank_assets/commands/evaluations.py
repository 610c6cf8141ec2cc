"""`tracebank eval`: facts edited, swaps scored, runs listed, and two runs compared item by item."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import click
import typer

from tracebank_assets.commands.catalogue import catalogue

if TYPE_CHECKING:
    import dagster as dg

    from tracebank.settings import Settings

evaluations = typer.Typer(
    name="eval",
    help="Models evaluated: facts edited, identifiers swapped, every sample kept.",
    no_args_is_help=True,
    suggest_commands=False,
)


@contextmanager
def _running() -> Iterator[tuple[Settings, dg.DagsterInstance]]:
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.runs import RunFailed

    settings = Settings.load()
    upgrade(settings)
    try:
        with dagster_instance(settings) as instance, shown_on(Console(stderr=True)):
            yield settings, instance
    except RunFailed as error:
        raise click.ClickException(str(error)) from error


@evaluations.command("swaps")
def swaps(
    models: Annotated[
        list[str] | None, typer.Argument(help="Plans, ids of the Hub or folders; none: the ladder of code.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Examples; all where it is not given.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of pretraining, of models that are missing.")] = None,
) -> None:
    """Score identifier swaps and their controls; a killed one goes on where it was."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.evaluations_shown import losses_grid
    from tracebank_assets.identifier_swaps.launches import score_swaps
    from tracebank_models.identifier_swaps.ladder import LADDER

    names = models or list(LADDER)
    with _running() as (settings, instance):
        score_swaps(settings, instance, names, {"count": count} if count else None, steps)
    with catalogue() as (_, relational):
        print_grids([losses_grid(relational, names)])


@evaluations.command("edits")
def edits(
    model: Annotated[str, typer.Argument(help="Plan such as world_neox, id of the Hub, or folder.")],
    method: Annotated[str, typer.Option(help="Editors, with commas between; empty: all.")] = "",
    records: Annotated[
        str, typer.Option(help="JSON of CounterFact or zsRE, or hf://datasets/…; empty: the model's own world.")
    ] = "",
    count: Annotated[int, typer.Option(min=1, help="First so many cases.")] = 200,
    sequential: Annotated[bool, typer.Option("--sequential", help="One after another into the same model.")] = False,
    radius: Annotated[float | None, typer.Option(min=1e-9, help="Of FT-L, in place of its own.")] = None,
) -> None:
    """Edit facts into a model, and score what else moved; a killed one goes on where it was."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.evaluations_shown import edits_grid
    from tracebank_assets.model_editing.launches import edit_facts
    from tracebank_models.model_editing.editors import EDITORS, editor_class

    chosen = [one.strip() for one in method.split(",") if one.strip()] or list(EDITORS)
    try:
        for one in chosen:
            editor_class(one)
    except ValueError as error:
        raise click.UsageError(f"--method: {error}") from error
    config = {"dataset": records, "count": count, "sequential": sequential, "radius": radius}
    with _running() as (settings, instance):
        edit_facts(settings, instance, model, chosen, config)
    with catalogue() as (_, relational):
        print_grids([edits_grid(relational, model, chosen)])


@evaluations.command("runs")
def runs() -> None:
    """List the runs that stand, the newest first."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.evaluations_shown import runs_grid

    with catalogue() as (_, relational):
        print_grids([runs_grid(relational)])


@evaluations.command("compare")
def compare(
    first: Annotated[str, typer.Argument(help="Key of a run, or its first characters.")],
    second: Annotated[str, typer.Argument(help="Of the other.")],
    flips: Annotated[int, typer.Option(min=0, help="Items that flipped to show.")] = 10,
) -> None:
    """Compare two runs over the items that both have: differences with intervals, and which items flipped."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.evaluations_shown import compared_grids

    with catalogue() as (_, relational):
        print_grids(compared_grids(relational, first, second, flips))
