"""`tracebank demo`: from nothing to rows in both stores, and three questions asked of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import click
import typer

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from rich.console import Console

    from tracebank.cli.grid import Grid
    from tracebank.settings import Settings


_STUDY: Final = "small-ppo"
_NEXT: Final = {
    'tracebank sql "SELECT * FROM series.bars LIMIT 5"': "ask in SQL",
    "tracebank ingest PATH…": "bring your own files",
    "tracebank bench run": "measure your databases",
    "tracebank study": "models, probes",
    "tracebank units search import": "what neurons fire on",
    "tracebank eval edits world_demo": "facts edited, and what moved",
    "tracebank rl train CartPole-v1 --seeds 5": "policies that know what is safe",
    "tracebank forecast train SYNBTC --seeds 3": "forecasts, and what they would earn",
    "tracebank explore": "pages and an API over all of it",
    "tracebank dev": "the Dagster UI",
}
"""What one may do next, within 80 columns."""


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Folder of market files to ingest besides the synthetic day.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Of measuring each engine; fewer than are wanted rank nothing.")
    ] = None,
) -> None:
    """Make the stores, a synthetic day (and your files), every asset, and show what is stored and what it answers."""
    from rich.console import Console

    from tracebank.cli.grid import console
    from tracebank.explorer.serving import closing_line
    from tracebank.holds import held
    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade

    screen = console()
    started = time.perf_counter()
    settings = Settings.load()
    with held(settings.home, "demo"):
        upgrade(settings)
        with shown_on(Console(stderr=True)):
            _materialise(settings, data, minutes, screen)
        _show_stores(settings, screen)
        _ask(settings, screen)
    screen.print(f"\n[bold]Done in {time.perf_counter() - started:.0f} s.[/bold] Stores and files: {settings.home}")
    for command, meaning in _NEXT.items():
        screen.print(f"  {command:<50} {meaning}", markup=False)
    screen.print(closing_line(settings), markup=False)


def _materialise(settings: Settings, data: Path | None, minutes: float | None, screen: Console) -> None:
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.explorer.launches import keep_curves
    from tracebank_assets.fairness import launches as fairness
    from tracebank_assets.market.automation import SYNTHETIC_DEMO, SYNTHETIC_JOB
    from tracebank_assets.market.ingestion import ingest_paths, summary_table
    from tracebank_assets.market.survey import RegistrationError
    from tracebank_assets.market.synthetic import synthetic_folder
    from tracebank_assets.runs import RunFailed, run_job
    from tracebank_assets.sparse_features.launches import DEMO, run_study
    from tracebank_assets.studies import studies
    from tracebank_assets.tsdb_benchmark.small_suite import MINUTES, run_small_suite

    try:
        with dagster_instance(settings) as instance:
            run_job(str(SYNTHETIC_JOB.name), instance, ops=SYNTHETIC_DEMO)
            paths = [synthetic_folder(settings), *([data] if data else [])]
            screen.print(summary_table(ingest_paths(settings, paths)))
            run_small_suite(settings, instance, screen, minutes or MINUTES)
            run_study(studies()[_STUDY], instance, DEMO)
            screen.print(_findings(settings))
            screen.print(_graphs(settings, instance))
            for grid in (*_evaluations(settings, instance), *_policies(settings, instance)):
                screen.print(grid)
            fairness.run_worlds(instance, fairness.DEMO_WORLDS, fairness.DEMO_SEEDS, fairness.DEMO)
            for grid in _forecasts(settings, instance):
                screen.print(grid)
            keep_curves(instance)
            screen.print(f"Equity: {settings.home / 'forecasting'}/*.svg", markup=False)
    except (RegistrationError, RunFailed) as error:
        raise click.ClickException(str(error)) from error


def _findings(settings: Settings) -> Grid:
    from tracebank.stores.opening import open_relational
    from tracebank_assets.sparse_features.findings import findings, study_table

    store = open_relational(settings)
    try:
        return study_table(_STUDY, findings(store, _STUDY))
    finally:
        store.close()


def _graphs(settings: Settings, instance: DagsterInstance) -> Grid:
    from tracebank.stores.opening import open_relational
    from tracebank_assets.explorer.launches import keep_units
    from tracebank_assets.neuron_graphs.launches import demo_units, make_graphs
    from tracebank_assets.neuron_graphs.shown import scores_table

    store = open_relational(settings)
    try:
        asked = demo_units(store)
        make_graphs(settings, instance, asked)
        keep_units(settings, instance, list(asked))
        return scores_table(store, list(asked))
    finally:
        store.close()


def _evaluations(settings: Settings, instance: DagsterInstance) -> list[Grid]:
    from tracebank.stores.opening import open_relational
    from tracebank_assets.evaluations_shown import edits_grid, losses_grid
    from tracebank_assets.identifier_swaps import launches as swaps
    from tracebank_assets.model_editing import launches as editing

    editing.edit_facts(settings, instance, editing.DEMO_MODEL, editing.DEMO_EDITORS, editing.DEMO, editing.DEMO_LAYERS)
    swaps.score_swaps(settings, instance, swaps.DEMO_MODELS, swaps.DEMO, swaps.DEMO_STEPS)
    store = open_relational(settings)
    try:
        return [edits_grid(store, editing.DEMO_MODEL, editing.DEMO_EDITORS), losses_grid(store, swaps.DEMO_MODELS)]
    finally:
        store.close()


def _policies(settings: Settings, instance: DagsterInstance) -> list[Grid]:
    from tracebank.stores.opening import open_relational
    from tracebank_assets.safe_rl.launches import DEMO, train_policies
    from tracebank_assets.safe_rl.shown import modes_grids

    for environment, config in DEMO.items():
        train_policies(instance, environment, [0], config)
    store = open_relational(settings)
    try:
        return [grid for environment in DEMO for grid in modes_grids(store, environment)]
    finally:
        store.close()


def _forecasts(settings: Settings, instance: DagsterInstance) -> list[Grid]:
    from datetime import date

    from tracebank.stores.opening import open_relational
    from tracebank_assets.forecasting.launches import DEMO, DEMO_SYMBOL, run_day
    from tracebank_assets.forecasting.shown import forecast_grids
    from tracebank_assets.market.synthetic import SyntheticDayConfig

    day = date.fromisoformat(SyntheticDayConfig().day)
    run_day(instance, day, DEMO_SYMBOL, DEMO)
    store = open_relational(settings)
    try:
        return forecast_grids(store, DEMO_SYMBOL, day)
    finally:
        store.close()


def _show_stores(settings: Settings, screen: Console) -> None:
    from tracebank.cli.tables import tables_by_database
    from tracebank.query.catalogue import tables
    from tracebank.query.connection import Connection

    where = {"relational": settings.relational.render_as_string(), "series": settings.series.render_as_string()}
    for grid in tables_by_database(tables(Connection(settings))):
        grid.title = f"{grid.title} · {where[grid.title]}"
        screen.print()
        screen.print(grid)


def _ask(settings: Settings, screen: Console) -> None:
    from tracebank.cli.answer_table import Look, write_table
    from tracebank.query.connection import connect
    from tracebank.stores.opening import open_series
    from tracebank_assets.offered import questions

    connection = connect(settings)
    engine = open_series(settings).engine
    for meaning, query in [one for texts in questions(engine).values() for one in texts.items()]:
        screen.print(f"\n[bold]{meaning}[/bold]")
        screen.print(query.strip(), style="dim", markup=False, soft_wrap=True)
        with connection.open(query) as answer:
            write_table(screen, answer.schema, answer.batches, Look())
