"""`tracebank bench slope` and `tracebank bench promises`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import click
import typer

_ENGINES = "clickhouse_embedded,clickhouse,duckdb,postgresql,timescaledb"


def _numbers(option: str, text: str) -> list[int]:
    """Whole numbers above 0, with commas; `M` is a million."""
    try:
        found = [round(float(one.strip().upper().removesuffix("M")) * (10**6 if "M" in one.upper() else 1))
                 for one in text.split(",")]  # fmt: skip
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise click.UsageError(f"{option}: {text!r} is not accepted; use numbers above 0 with commas, e.g. 1M,10M")
    return found


def slope(
    engines: Annotated[str, typer.Option(help="Engines, with commas; those that are not here are named.")] = _ENGINES,
    rows: Annotated[str, typer.Option(help="Rows of the tables, with commas; 100M takes its time.")] = "1M,10M",
    partitions: Annotated[str, typer.Option(help="Partitions of the tables, with commas.")] = "10,1000,10000",
    minutes: Annotated[float, typer.Option(help="For all of it; an equal part for each engine.", min=0.01)] = 30.0,
    repetitions: Annotated[int, typer.Option(help="Of each operation.", min=1)] = 9,
    output: Annotated[Path, typer.Option(help="Folder for slope.json and slope.svg.")] = Path(),
) -> None:
    """Measure what small things cost in tables of many rows and many partitions."""
    from rich.console import Console

    from tracebank_benchmarks.stores import places, slope_shown
    from tracebank_benchmarks.stores.slope import measure, sizes
    from tracebank_benchmarks.tsdb.environment import environment

    names = [name.strip() for name in engines.split(",")]
    if unknown := [name for name in names if name not in places.ENGINES]:
        raise click.UsageError(f"--engines: {unknown} are not known; use {', '.join(places.ENGINES)}")
    asked = sizes(_numbers("--rows", rows), _numbers("--partitions", partitions))
    output.mkdir(parents=True, exist_ok=True)
    errors = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="tb-", ignore_cleanup_errors=True) as folder:
        machine = dict(environment(Path(folder)).row())
        points = measure(
            names, asked, Path(folder), minutes=minutes, repetitions=repetitions,
            done=lambda one: errors.print(slope_shown.line(one), highlight=False, soft_wrap=True),
        )  # fmt: skip
    console = Console(width=80)
    console.print(slope_shown.slope_table(points))
    for reason in slope_shown.reasons(points):
        console.print(reason, highlight=False)
    slope_shown.write_json(points, machine, output / "slope.json")
    slope_shown.draw(points, output / "slope.svg")
    console.print(f"written: {output / 'slope.json'}, {output / 'slope.svg'}", highlight=False, soft_wrap=True)


def promises(
    only: Annotated[str, typer.Option(help="Rows of the table to measure, with commas; all unless told.")] = "",
    seconds: Annotated[float, typer.Option(help="That each row may take.", min=1)] = 300.0,
    options: Annotated[
        str, typer.Option(help="How much is asked, as JSON, e.g. '{\"queries\": 1000}'; see promise_figures.Options.")
    ] = "{}",
    as_json: Annotated[bool, typer.Option("--json", help="Every value, as JSON.")] = False,
) -> None:
    """Hold the stores against what is wanted of them, one row after the other. Exit code 1 where a row is not met."""
    from rich.console import Console

    from tracebank_benchmarks.stores.promises import BY_NAME, measured, promises_table

    names = [name.strip() for name in only.split(",")] if only else list(BY_NAME)
    if unknown := [name for name in names if name not in BY_NAME]:
        raise click.UsageError(f"--only: {unknown} are not known; use {', '.join(BY_NAME)}")
    asked, errors, found = _checked_options(options), Console(stderr=True), []
    for name in names:
        errors.print(f"{name}: {BY_NAME[name].what}", highlight=False)
        found.append(measured(BY_NAME[name], asked, seconds))
        errors.print(f"  {found[-1].figure}", highlight=False)
    if as_json:
        rows = [
            {"name": one.promise.name, "figure": one.figure, "met": one.met, "foreign_share": one.foreign_share,
             "values": one.values}
            for one in found
        ]  # fmt: skip
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        Console(width=80).print(promises_table(found, asked))
    if any(one.met is False for one in found):
        raise typer.Exit(1)


def _checked_options(text: str) -> dict[str, int]:
    from dataclasses import fields

    from tracebank_benchmarks.stores.promise_options import Options

    allowed = [one.name for one in fields(Options)]
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    numbers = dict(found) if isinstance(found, dict) else {"": found}
    if any(name not in allowed or type(number) is not int or number < 1 for name, number in numbers.items()):
        raise click.UsageError(f"--options: {text!r} is not accepted; use JSON of numbers above 0 for {allowed}")
    return numbers
