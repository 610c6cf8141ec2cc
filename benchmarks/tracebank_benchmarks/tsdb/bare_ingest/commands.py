"""`tracebank bench ingest`: our loads beside those of bare clients, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

if TYPE_CHECKING:
    from rich.table import Table

    from tracebank_benchmarks.tsdb.bare_ingest.side_by_side import Pair


def ingest(
    engines: Annotated[str, typer.Option(help="Engines, with commas; all that have a bare client and are here.")] = "",
    scale: Annotated[float, typer.Option(help="Scale of the data: 0.1 is 2 M trades.")] = 0.1,
    lanes: Annotated[str, typer.Option(help="paper, idiomatic, or both with a comma.")] = "paper,idiomatic",
    table: Annotated[str, typer.Option(help="bench_trades or bench_book.")] = "bench_trades",
    repetitions: Annotated[int, typer.Option(help="Loads of each side.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the data and the order.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Every load, as JSON.")] = False,
) -> None:
    """Load the same rows by our path and by a bare client's fastest, turn by turn; print how much longer ours takes."""
    from rich.console import Console

    from tracebank.progress import shown_on, track
    from tracebank.settings import Settings
    from tracebank_benchmarks.tsdb.archive import suite_folder
    from tracebank_benchmarks.tsdb.bare_ingest.side_by_side import SIDES, compare_ingest
    from tracebank_benchmarks.tsdb.data import generate
    from tracebank_benchmarks.tsdb.workloads import Lane

    chosen, absent = _checked(engines, scale, lanes, table, repetitions)
    names, lane_names = chosen
    errors, folder = Console(stderr=True), suite_folder(Settings.load())
    for name, why in absent.items():
        errors.print(f"{name}: not here, {why}", highlight=False)
    with shown_on(errors):
        data = generate(scale, folder / "data", seed=seed)
        with track("loading", len(names) * len(lane_names) * repetitions * len(SIDES)) as step:
            pairs = [
                compare_ingest(name, Lane(lane), table, data, folder / "ingest",
                               repetitions=repetitions, seed=seed, step=step)
                for name in names for lane in lane_names
            ]  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps([_record(pair) for pair in pairs], indent=2) + "\n")
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(_shown(pairs))
    if any(pair.fault for pair in pairs):
        raise typer.Exit(1)


def _checked(engines: str, scale: float, lanes: str, table: str, repetitions: int
             ) -> tuple[tuple[Sequence[str], Sequence[str]], dict[str, str]]:  # fmt: skip
    """Engines and lanes to load, and engines that are not here with the reason.

    Raises:
        click.UsageError: one line with the option, the value and what is allowed.
    """
    from tracebank_benchmarks.tsdb.bare_ingest.clients import CLIENTS
    from tracebank_benchmarks.tsdb.engines import state
    from tracebank_benchmarks.tsdb.plan import PlanError, checked_plan
    from tracebank_schemas.tsdb_benchmark import TABLES

    tables = [one.name for one in TABLES]
    try:
        plan = checked_plan(
            (engines or ",".join(CLIENTS)).split(","), known=CLIENTS, lanes=lanes.split(","), scale=scale
        )
    except PlanError as error:
        raise click.UsageError(str(error)) from error
    if table not in tables:
        raise click.UsageError(f"table: {table!r} is not known; allowed: {', '.join(tables)}")
    if not 1 <= repetitions <= 100:
        raise click.UsageError(f"repetitions: {repetitions} is not accepted; allowed: 1 to 100")
    states = {name: state(name) for name in plan.engines}
    absent = {name: found.reason for name, found in states.items() if not found.available}
    if engines and absent:
        name, why = next(iter(absent.items()))
        raise click.UsageError(f"engines: {name} is not here: {why}")
    return ([name for name in plan.engines if name not in absent], plan.lanes), absent


def _record(pair: Pair) -> dict[str, Any]:
    from dataclasses import asdict

    fields = ("acknowledged", "settled", "cpu_seconds")
    ratios = {field: pair.ratio(field) for field in fields} if pair.complete else {}
    return {**asdict(pair), "ratios": ratios}


def _shown(pairs: Sequence[Pair]) -> Table:
    from rich.table import Column, Table

    from tracebank_benchmarks.tsdb.bare_ingest.side_by_side import BARE, OURS

    spans = (("acknowledged", "acknowledged, s"), ("settled", "settled, s"), ("cpu_seconds", "CPU, s"))
    heads = [Column(f"{words}\nbare / ours / ratio", justify="right") for _, words in spans]
    table = Table("engine / lane", Column("rows", justify="right"), *heads, Column("disturbed\nloads", justify="right"),
                  "fault")  # fmt: skip
    for pair in pairs:
        cells = ["", "", ""]
        if pair.complete:
            cells = [
                f"{pair.median(BARE, field):.2f} / {pair.median(OURS, field):.2f} / {pair.ratio(field):.2f}"
                for field, _ in spans
            ]
        disturbed = sum(load.foreign_share > 0.1 for load in pair.loads)
        table.add_row(
            f"{pair.engine}/{pair.lane}", f"{pair.rows}", *cells, f"{disturbed}/{len(pair.loads)}", pair.fault
        )
    return table
