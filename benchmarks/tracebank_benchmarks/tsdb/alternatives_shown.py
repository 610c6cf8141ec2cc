"""`tracebank bench try`: what other texts and layouts take, as rows of a Markdown table or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import click
import typer

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.alternatives import Timing

_HEAD = "| engine | read | text or layout | ms | CPU ms | answer |\n|---|---|---|---:|---:|---|\n"


def try_texts(
    engines: Annotated[str, typer.Option(help="Engines, with commas between them.")] = "clickhouse_embedded,duckdb",
    workloads: Annotated[str, typer.Option(help="Reads, with commas; all that have something to try.")] = "",
    scale: Annotated[float, typer.Option(help="Scale of the data: 0.1 is 2 M trades.")] = 0.1,
    lane: Annotated[str, typer.Option(help="paper or idiomatic.")] = "idiomatic",
    repeats: Annotated[int, typer.Option(help="Times that each text is asked.", min=1)] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Time the texts and layouts that were tried beside the kept ones, in turns; a wrong answer gives exit code 1."""
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.faults import StoreError
    from tracebank_benchmarks.tsdb.alternatives import timings
    from tracebank_benchmarks.tsdb.archive import suite_folder
    from tracebank_benchmarks.tsdb.data import generate
    from tracebank_benchmarks.tsdb.engines import check_here
    from tracebank_benchmarks.tsdb.workloads import BY_ID, Lane

    only = [name.strip() for name in workloads.split(",") if name.strip()]
    for name in only:
        if name not in BY_ID:
            raise click.UsageError(f"workloads: {name!r} is no read; allowed: {', '.join(BY_ID)}")
    if lane not in [known.value for known in Lane]:
        raise click.UsageError(f"lane: {lane!r} is not known; allowed: {', '.join(Lane)}")
    names = [name.strip() for name in engines.split(",")]
    found: list[tuple[str, Timing]] = []
    with shown_on(Console(stderr=True)), TemporaryDirectory(prefix="tracebank-try-") as folder:
        try:
            check_here(names)
            data = generate(scale, suite_folder(Settings.load()) / "data")
            for name in names:
                for timing in timings(name, data, Path(folder), Lane(lane), only, repeats):
                    found.append((name, timing))
                    if not as_json:
                        sys.stdout.write(f"{'' if len(found) > 1 else _HEAD}{_row(name, timing)}\n")
                        sys.stdout.flush()
        except (StoreError, ValueError) as error:
            raise click.UsageError(str(error)) from None
    if as_json:
        sys.stdout.write(json.dumps([{"engine": name, **asdict(one)} for name, one in found], indent=2) + "\n")
    if any(timing.fault for _, timing in found):
        raise typer.Exit(1)


def _row(name: str, timing: Timing) -> str:
    one = timing.attempt
    answer = timing.fault.replace("|", "/")[:100] or "right"
    return f"| {name} | {one.workload} | {one.title} | {timing.milliseconds:.1f} | {timing.cpu:.0f} | {answer} |"
