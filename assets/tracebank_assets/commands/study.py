"""`tracebank study`: a whole reward study, from nothing to what its probes and ablations tell."""

from __future__ import annotations

from typing import Annotated

import click
import typer


def study(
    name: Annotated[str | None, typer.Argument(help="A study; none lists them.")] = None,
    pretraining_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the base model's training.")] = None,
    tuning_steps: Annotated[int | None, typer.Option(min=1, help="Steps of PPO or DPO.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes of the dictionaries over the activations.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show what is stored of it, and run nothing.")] = False,
) -> None:
    """Train and tune a model, capture activations, train dictionaries, and read the reward out of them.

    What is done already is not done again; a killed study goes on where it was.
    """
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import open_relational, upgrade
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.language_models.keys import BASE, TUNED
    from tracebank_assets.runs import RunFailed
    from tracebank_assets.sparse_features.keys import DICTIONARIES
    from tracebank_assets.sparse_features.whole_study import run_study, studies_table, study_table
    from tracebank_assets.studies import studies

    console = Console()
    if name is None:
        console.print(studies_table(list(studies().values())))
        return
    if name not in studies():
        raise click.ClickException(f"study: {name!r} is not known; use one of {', '.join(studies())}")
    settings = Settings.load()
    upgrade(settings)
    if show:
        store = open_relational(settings)
        console.print(study_table(store, name))
        store.close()
        return
    asked = {
        BASE.to_python_identifier(): {"steps": pretraining_steps},
        TUNED.to_python_identifier(): {"steps": tuning_steps},
        DICTIONARIES.to_python_identifier(): {"epochs": epochs},
    }
    try:
        with dagster_instance(settings) as instance, shown_on(Console(stderr=True)):
            run_study(studies()[name], settings, instance, console, asked)
    except RunFailed as error:
        raise click.ClickException(str(error)) from error
