"""`tracebank units`: graphs of neurons and features made, searched by tokens, and shown beside what they predict."""

from __future__ import annotations

from typing import Annotated

import click
import typer

from tracebank_assets.commands.catalogue import catalogue

units = typer.Typer(
    name="units",
    help="Neurons and features as graphs of the tokens that they fire on.",
    no_args_is_help=True,
    suggest_commands=False,
)


@units.command("build")
def build(
    names: Annotated[
        list[str], typer.Argument(help="MODEL/layers.N.neurons, MODEL/neurons for all layers, or a dictionary.")
    ],
    count: Annotated[int | None, typer.Option("--units", min=1, help="So many of each, drawn by chance.")] = None,
    substitutes: Annotated[int, typer.Option(min=0, help="Other words tried in place of an important one.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
) -> None:
    """Make graphs and score them on other texts; what stands is not made again, and a killed one goes on."""
    import dagster as dg
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.explorer.launches import keep_units
    from tracebank_assets.neuron_graphs.launches import make_graphs
    from tracebank_assets.neuron_graphs.units import all_layers
    from tracebank_assets.runs import RunFailed

    settings = Settings.load()
    upgrade(settings)
    config = {"substitutes": substitutes, "seed": seed, **({"units": count} if count else {})}
    try:
        with catalogue() as (_, relational):
            asked = {name: config for given in names for name in all_layers(relational, given)}
        with dagster_instance(settings) as instance, shown_on(Console(stderr=True)):
            made = make_graphs(settings, instance, asked)
            keep_units(settings, instance, list(asked))
    except (RunFailed, dg.Failure) as error:
        raise click.ClickException(str(getattr(error, "description", None) or error)) from error
    for name, assets in made.items():
        told = f"made {', '.join(assets)}" if assets else "stands: nothing was made"
        click.echo(f"{name}: {told}", err=True)
    show_scores(list(made))


def show_scores(names: list[str]) -> None:
    """Print how well graphs do, a line a dictionary."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.neuron_graphs.shown import scores_table

    with catalogue() as (_, relational):
        print_grids([scores_table(relational, names)])


@units.command("search")
def search(
    question: Annotated[str, typer.Argument(help='Such as: import after:from, unless:not, any:" a".')],
    within: Annotated[str, typer.Option(help="Only dictionaries whose names begin so.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most rows.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Find the units that fire on tokens, after others, or unless others stand there.

    Terms are joined by "and". In quotes a term may hold blanks, : and quotes (as \\").
    """
    from tracebank.cli.as_json import write_json
    from tracebank.cli.grid import print_grids
    from tracebank_assets.neuron_graphs.shown import found_table, found_units

    with catalogue() as (_, relational):
        found = found_units(relational, question, within)
    if as_json:
        write_json(found.head(limit).to_dicts())
    elif found.is_empty():
        raise click.ClickException(f"no unit answers {question!r}")
    else:
        print_grids([found_table(found, question, limit)])


@units.command("show")
def show(
    unit: Annotated[str, typer.Argument(help="As MODEL/layers.3.neurons/17, or DICTIONARY/17.")],
    text: Annotated[
        str | None, typer.Option(help="A text of yours; else the texts that it fires on most are shown.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="The graph alone, for others: node_link, graphml or dot.")
    ] = None,
) -> None:
    """Show a unit: graph, scores, examples, and what is predicted beside what it does on a text."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.neuron_graphs.shown import exported_graph, unit_grids

    with catalogue() as (settings, relational):
        if form is not None:
            click.echo(exported_graph(relational, unit, form))
        else:
            print_grids(unit_grids(settings, relational, unit, text))
