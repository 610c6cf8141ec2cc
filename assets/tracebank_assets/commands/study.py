"""`tracebank study`: a whole reward study, from nothing to what its probes and ablations tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank.stores.relational import RelationalStore
    from tracebank_assets.sparse_features.launches import Configs
    from tracebank_models.reward_probe.study import Study


def study(
    name: Annotated[str | None, typer.Argument(help="A study; none lists them.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=999_999_999, help="Seed of the study; none: the seeds of its file, or 0.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, max=1_000, help="Run seeds 0 to N-1, one after another.")] = None,
    pretraining_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the base model's training.")] = None,
    tuning_steps: Annotated[int | None, typer.Option(min=1, help="Steps of PPO or DPO.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes of the dictionaries over the activations.")] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show what is stored of all its seeds, and run nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The list, or what --show shows, as JSON.")] = False,
    check: Annotated[Path | None, typer.Option(help="Say what the studies of a file would run; runs nothing.")] = None,
) -> None:
    """Train and tune a model, capture activations, train dictionaries, and read the reward out of them.

    What is up to date is not made again; a killed study goes on where it was.
    """
    from tracebank.settings import Settings
    from tracebank_assets.language_models.keys import BASE, TUNED
    from tracebank_assets.sparse_features.keys import DICTIONARIES
    from tracebank_assets.studies import studies
    from tracebank_models.reward_probe.study_report import study_report

    if check is not None:
        _check(check, name)
        return
    settings = Settings.load()
    if seed is not None and seeds is not None:
        raise click.UsageError("--seeds: goes without --seed")
    if name is None:
        _list(settings, as_json)
        return
    if name not in studies():
        raise click.UsageError(f"study: {name!r} is not known; use one of {', '.join(studies())}")
    if show:
        _show(settings, name, as_json)
        return
    if as_json:
        raise click.UsageError("--json: goes with --show, or with no study")
    try:
        study_report(studies()[name])  # what it names is read before anything is trained
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    asked = {
        BASE: {"steps": pretraining_steps},
        TUNED: {"steps": tuning_steps},
        DICTIONARIES: {"epochs": epochs},
    }
    one = studies()[name]
    chosen = range(seeds) if seeds is not None else one.seeds if seed is None else [seed]
    _run(settings, [replace(one, seed=number) for number in chosen], asked)
    _show(settings, name, as_json)


def _run(settings: Settings, chosen: list[Study], asked: Configs) -> None:
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.stores.opening import upgrade
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.runs import RunFailed
    from tracebank_assets.sparse_features.launches import run_study

    upgrade(settings)
    try:
        with dagster_instance(settings) as instance, shown_on(Console(stderr=True)):
            for one in chosen:
                made = [key.path[-1] for key in run_study(one, instance, asked)]
                told = f"made {', '.join(made)}" if made else "is up to date: nothing was made"
                click.echo(f"{one.key}: {told}", err=True)
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


def _list(settings: Settings, as_json: bool) -> None:
    from tracebank.cli.as_json import write_json
    from tracebank.cli.grid import print_grids
    from tracebank_assets.sparse_features.findings import seeds_of, studies_table, study_rows
    from tracebank_assets.studies import studies

    known = list(studies().values())
    store = _standing(settings)
    seeds = seeds_of(store) if store else {}
    if as_json:
        write_json(study_rows(known, seeds))
    else:
        print_grids([studies_table(known, seeds)])


def _show(settings: Settings, name: str, as_json: bool) -> None:
    from tracebank.cli.as_json import write_json
    from tracebank.cli.grid import print_grids
    from tracebank_assets.sparse_features.findings import findings, study_table

    store = _standing(settings)
    found = findings(store, name) if store else []
    if not found:
        raise click.UsageError(f"study: {name} has not been run; 'tracebank study {name}' runs it")
    if as_json:
        write_json(found)
    else:
        print_grids([study_table(name, found)])


def _standing(settings: Settings) -> RelationalStore | None:
    """The relational store, where it has the tables; looking makes no store."""
    from sqlalchemy import inspect

    from tracebank.stores.opening import open_relational
    from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

    if not settings.relational.host and not Path(str(settings.relational.database)).exists():
        return None
    store = open_relational(settings)
    columns = inspect(store.engine)
    if not columns.has_table(SparseAutoencoder.__tablename__):
        store.close()
        return None
    return store
