"""`tracebank fairness`: worlds run under mitigations, and gaps compared."""

from __future__ import annotations

from typing import Annotated, Any

import click
import typer

from tracebank_assets.commands.catalogue import catalogue

fairness = typer.Typer(
    name="fairness",
    help="Worlds in which decisions change people, under mitigations, and gaps over time.",
    no_args_is_help=True,
    suggest_commands=False,
)
_COMMAS = "With commas between"


@fairness.command("run")
def run(
    world: Annotated[str, typer.Argument(help="Such as lending_7.")],
    seeds: Annotated[int, typer.Option(min=1, max=10, help="The first so many.")] = 1,
    mitigations: Annotated[str, typer.Option(help=f"{_COMMAS}; empty: all.")] = "",
    every: Annotated[str, typer.Option(help=f"Periods from fit to fit; 0: fitted once. {_COMMAS}.")] = "10,0",
    labels: Annotated[str, typer.Option(help=f"What models are fitted to again. {_COMMAS}.")] = "accepted",
    feedback: Annotated[str, typer.Option(help=f"Share of the scale that full unrest takes. {_COMMAS}.")] = "0",
    varied: Annotated[str, typer.Option(help="Mitigations under all labels and feedbacks; empty: all.")] = "",
    people: Annotated[int, typer.Option(min=1, help="Of a population.")] = 2_000,
    periods: Annotated[int, typer.Option(min=1, help="After which a run ends.")] = 65,
    sample: Annotated[int, typer.Option(min=1, help="People of each period that are remembered.")] = 1_000,
    rows: Annotated[int, typer.Option(min=1, help="Most people that one fit is of.")] = 4_000,
    nulls: Annotated[bool, typer.Option(help="Run with permuted groups, and with equal ones, beside.")] = True,
) -> None:
    """Run a world seed by seed, then sum up all that stand; a seed that is run again is replaced."""
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.fairness.launches import run_worlds
    from tracebank_assets.runs import RunFailed

    _refuse_unknown(world)
    config: dict[str, Any] = {
        "mitigations": _listed(mitigations),
        "every": [_number("every", one, int) for one in _listed(every)],
        "labels": _listed(labels),
        "feedback": [_number("feedback", one, float) for one in _listed(feedback)],
        "varied": _listed(varied),
        "people": people,
        "periods": periods,
        "nulls": nulls,
        "retraining": {"sample": sample, "rows": rows},
    }
    for name in ("every", "labels", "feedback"):
        if not config[name]:
            raise click.UsageError(f"--{name}: nothing is not allowed; allowed: one or more, with commas between")
    settings = Settings.load()
    upgrade(settings)
    try:
        with dagster_instance(settings) as instance, shown_on(Console(stderr=True)):
            run_worlds(instance, [world], seeds, config)
    except RunFailed as error:
        raise click.ClickException(str(error)) from error
    show(world, config["labels"][0], config["feedback"][0])


@fairness.command("show")
def show(
    world: Annotated[str, typer.Argument(help="Such as lending_7.")],
    labels: Annotated[str, typer.Option(help="What models were fitted to again.")] = "accepted",
    feedback: Annotated[float, typer.Option(help="Share of the scale that full unrest takes.")] = 0.0,
    statistic: Annotated[str, typer.Option(help="mean over periods, last ten of them, or slope.")] = "mean",
) -> None:
    """Show gaps by mitigation, and what each changes, over seeds."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.fairness.shown import STATISTICS, gaps_grids

    _refuse_unknown(world)
    if statistic not in STATISTICS:
        raise click.UsageError(f"--statistic: {statistic!r} is not allowed; allowed: {', '.join(STATISTICS)}")
    with catalogue() as (_, relational):
        print_grids(gaps_grids(relational, world, labels, feedback, statistic))


def _refuse_unknown(world: str) -> None:
    from tracebank_models.fairness_worlds.names import WORLD_NAMES

    if world not in WORLD_NAMES:
        raise click.UsageError(f"world: {world!r} is not allowed; allowed: {', '.join(WORLD_NAMES)}")


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _number(name: str, text: str, kind: type[int] | type[float]) -> int | float:
    try:
        return kind(text)
    except ValueError:
        allowed = "whole numbers" if kind is int else "numbers"
        raise click.UsageError(f"--{name}: {text!r} is not allowed; allowed: {allowed}, with commas between") from None
