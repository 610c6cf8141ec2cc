"""`tracebank study`: a whole reward study, from nothing to what its probes and ablations tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank_assets.sparse_features.whole_study import Finding


def study(
    name: Annotated[str | None, typer.Argument(help="A study; none lists them.")] = None,
    pretraining_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the base model's training.")] = None,
    tuning_steps: Annotated[int | None, typer.Option(min=1, help="Steps of PPO or DPO.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes of the dictionaries over the activations.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show what is stored of it, and run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The list, or what --show shows, as JSON.")] = False,
    check: Annotated[Path | None, typer.Option(help="Say what the studies of a file would run; runs nothing.")] = None,
) -> None:
    """Train and tune a model, capture activations, train dictionaries, and read the reward out of them.

    What is done already is not done again; a killed study goes on where it was.
    """
    from rich.console import Console

    from tracebank.cli.grid import console
    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.language_models.keys import BASE, TUNED
    from tracebank_assets.runs import RunFailed
    from tracebank_assets.sparse_features.keys import DICTIONARIES
    from tracebank_assets.sparse_features.whole_study import run_study
    from tracebank_assets.studies import studies
    from tracebank_models.reward_probe.study_report import study_report

    if check is not None:
        _check(check, name)
        return
    if name is None:
        _list(as_json)
        return
    if name not in studies():
        raise click.UsageError(f"study: {name!r} is not known; use one of {', '.join(studies())}")
    settings = Settings.load()
    if show:
        _show(settings, name, as_json)
        return
    if as_json:
        raise click.UsageError("--json: goes with --show, or with no study")
    try:
        study_report(studies()[name])  # what it names is read before anything is trained
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    upgrade(settings)
    asked = {
        BASE.to_python_identifier(): {"steps": pretraining_steps},
        TUNED.to_python_identifier(): {"steps": tuning_steps},
        DICTIONARIES.to_python_identifier(): {"epochs": epochs},
    }
    try:
        with dagster_instance(settings) as instance, shown_on(Console(stderr=True)):
            run_study(studies()[name], settings, instance, console(), asked)
    except RunFailed as error:
        raise click.ClickException(str(error)) from error


def _check(file: Path, name: str | None) -> None:
    from tracebank.cli.grid import PROSE, Grid, print_grids
    from tracebank_models.reward_probe.study_file import read_studies
    from tracebank_models.reward_probe.study_report import study_report

    try:
        found = read_studies(file)
        if name is not None and name not in found:
            raise ValueError(f"study: {name!r} is not in {file}; use one of {', '.join(found)}")
        grids = []
        for study in found.values() if name is None else [found[name]]:
            grids.append(grid := Grid("what", ("of the study", PROSE), title=f"{study.name}: as it would run"))
            for row in study_report(study):
                grid.add_row(*row)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    print_grids(grids)


def _list(as_json: bool) -> None:
    from tracebank.cli.as_json import write_json
    from tracebank.cli.grid import print_grids
    from tracebank_assets.sparse_features.whole_study import studies_table, study_rows
    from tracebank_assets.studies import studies

    known = list(studies().values())
    if as_json:
        write_json(study_rows(known))
    else:
        print_grids([studies_table(known)])


def _show(settings: Settings, name: str, as_json: bool) -> None:
    from tracebank.cli.as_json import write_json
    from tracebank.cli.grid import print_grids
    from tracebank_assets.sparse_features.whole_study import study_table

    found = _found(settings, name)
    if not found:
        raise click.UsageError(f"study: {name} has not been run; 'tracebank study {name}' runs it")
    if as_json:
        write_json(found)
    else:
        print_grids([study_table(name, found)])


def _found(settings: Settings, name: str) -> list[Finding]:
    """What is stored of a study; looking makes no store."""
    from sqlalchemy import inspect

    from tracebank.stores.opening import open_relational
    from tracebank_assets.sparse_features.whole_study import findings
    from tracebank_schemas.sparse_autoencoder import DictionaryMetric

    if not settings.relational.host and not Path(str(settings.relational.database)).exists():
        return []
    store = open_relational(settings)
    try:
        stands = inspect(store.engine).has_table(DictionaryMetric.__tablename__)
        return findings(store, name) if stands else []
    finally:
        store.close()
