"""`tracebank rl`: policies trained with knowledge and without, and modes compared."""

from __future__ import annotations

from typing import Annotated, Any

import click
import typer

from tracebank_assets.commands.catalogue import catalogue

safe_rl = typer.Typer(
    name="rl",
    help="Policies trained with knowledge of what is safe, and without.",
    no_args_is_help=True,
    suggest_commands=False,
)


@safe_rl.command("train")
def train(
    environment: Annotated[str, typer.Argument(help="Such as CartPole-v1 or PointGoal1-v0.")],
    modes: Annotated[str, typer.Option(help="With commas between; empty: the usual ones.")] = "",
    seeds: Annotated[int, typer.Option(min=1, max=10, help="The first so many.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each training, in place of the usual.")] = None,
    knowledge: Annotated[
        list[str] | None, typer.Option(help="A formula, in place of what the environment knows; may stand again.")
    ] = None,
    predictor: Annotated[bool, typer.Option("--predictor", help="Show critics predicted next states.")] = False,
    shuffled: Annotated[bool, typer.Option("--shuffled", help="The control: satisfaction of other steps.")] = False,
    keep: Annotated[str, typer.Option(help="Steps that are kept: training, evaluation or nothing.")] = "training",
) -> None:
    """Train policies of one environment, seed by seed, then compare all that stand."""
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.runs import RunFailed
    from tracebank_assets.safe_rl.keys import ENVIRONMENTS
    from tracebank_assets.safe_rl.launches import train_policies

    if environment not in ENVIRONMENTS:
        raise click.UsageError(f"environment: {environment!r} is not allowed; allowed: {', '.join(ENVIRONMENTS)}")
    if keep not in ("training", "evaluation", "nothing"):
        raise click.UsageError(f"--keep: {keep!r} is not allowed; allowed: training, evaluation, nothing")
    config: dict[str, Any] = {"predictor": predictor, "shuffled": shuffled, "steps_of": keep}
    chosen = [one.strip() for one in modes.split(",") if one.strip()]
    config |= {"modes": chosen} if chosen else {}
    config |= {"formulas": knowledge} if knowledge else {}
    config |= {"learner": {"steps": steps}} if steps else {}
    settings = Settings.load()
    upgrade(settings)
    try:
        with dagster_instance(settings) as instance, shown_on(Console(stderr=True)):
            train_policies(instance, environment, range(seeds), config)
    except RunFailed as error:
        raise click.ClickException(str(error)) from error
    show(environment)


@safe_rl.command("show")
def show(environment: Annotated[str, typer.Argument(help="Such as CartPole-v1.")]) -> None:
    """Show modes over their seeds, beside the reward alone."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.safe_rl.shown import modes_grids

    with catalogue() as (_, relational):
        print_grids(modes_grids(relational, environment))


@safe_rl.command("export")
def export(
    run: Annotated[str, typer.Argument(help="Key of a run, or its first characters; relational.rl_runs has them.")],
    dataset: Annotated[str, typer.Argument(help="Of Minari, such as cartpole/deficit-v0.")],
) -> None:
    """Write the whole episodes of a run as a dataset of Minari, where MINARI_DATASETS_PATH says."""
    from tracebank_assets.safe_rl.exchange import export_run

    with catalogue() as (settings, relational):
        try:
            episodes, steps = export_run(settings, relational, run, dataset)
        except ModuleNotFoundError as error:
            raise click.ClickException(f"{error.name} is missing; pip install 'tracebank[reinforcement]'") from error
    click.echo(f"{dataset}: {episodes:,} episodes, {steps:,} steps")
