"""`tracebank bench`: measure time-series databases on questions whose answers are checked, and report what came out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from tracebank_benchmarks.stores.commands import promises, slope
from tracebank_benchmarks.tsdb.alternatives_shown import try_texts
from tracebank_benchmarks.tsdb.plan import PlanError

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank_benchmarks.tsdb.results import Record

bench = typer.Typer(
    help="Measure time-series databases on questions whose answers are checked, and report what came out.",
    no_args_is_help=True,
    suggest_commands=False,
    add_completion=False,
)

DEFAULT_ENGINES = "clickhouse_embedded,duckdb,polars"


for command in (slope, promises):
    bench.command()(command)
bench.command(name="try")(try_texts)


@bench.callback()
def read_servers() -> None:
    """Measure time-series databases on questions whose answers are checked, and report what came out."""
    from tracebank_benchmarks.tsdb.servers import read_env_file

    read_env_file()


AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@contextmanager
def _one_line() -> Iterator[None]:
    """Faults of the input as usage errors: one line, exit code 2."""
    try:
        yield
    except PlanError as error:
        raise click.UsageError(str(error)) from error


@bench.command()
def run(
    engines: Annotated[str, typer.Option(help="Engines, with commas between them.")] = DEFAULT_ENGINES,
    workloads: Annotated[str, typer.Option(help="Workloads, with commas; reads is every query, all is all.")] = "all",
    scale: Annotated[
        float | None, typer.Option(help="Scale of the data, 0.01 unless told: 1 is 20 M trades and 33 M book rows.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Instead of a scale: a recorded file, or a folder of them; repeatable.")
    ] = None,
    days: Annotated[str, typer.Option(help="Instead of a scale: stored UTC days, with commas between them.")] = "",
    lanes: Annotated[str, typer.Option(help="paper, idiomatic, or both with a comma.")] = "idiomatic",
    minutes: Annotated[
        float, typer.Option(help="That the run takes at most, from its data to its report; an estimate comes first.")
    ] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the data, the parameters and the order.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds that one execution may take.")] = 60.0,
    threads: Annotated[int, typer.Option(help="Processors that every engine may use; 0 for all.")] = 0,
    memory: Annotated[float, typer.Option(help="GB that every engine may use; 0 for no cap.")] = 0.0,
    full: Annotated[
        bool, typer.Option("--full", help="Q1, W2, W4 at full size: ten minutes a point; give minutes for it.")
    ] = False,
    continued: Annotated[str, typer.Option("--continue", help="Id of a run to go on with, as it was planned.")] = "",
    as_json: AsJson = False,
) -> None:
    """Measure engines; print the ranking and where the report is. Ctrl-C keeps what is done."""
    from rich.console import Console

    from tracebank.holds import held
    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.engines import ENGINES, check_here
    from tracebank_benchmarks.tsdb.estimate import check_fits, estimated
    from tracebank_benchmarks.tsdb.plan import checked_plan
    from tracebank_benchmarks.tsdb.schedule import Budget

    settings, errors, began = Settings.load(), Console(stderr=True, highlight=False), Budget(minutes)
    with _one_line():
        plan = checked_plan(engines.split(","), known=ENGINES, workloads=workloads.split(","), lanes=lanes.split(","),
                            scale=scale, minutes=minutes, seed=seed, timeout=timeout, files=data or (),
                            days=days.split(","), threads=threads, memory=memory, full=full)  # fmt: skip
        if continued:
            plan = replace(archive.opened(settings, continued).plan, minutes=minutes)
        check_here(plan.engines)
        folder = archive.suite_folder(settings) / "data"
        if plan.scale:
            check_fits(plan, estimated(plan, folder))
    with held(settings.home, "bench run"), shown_on(errors), _one_line():
        upgrade(settings)
        begun = (
            archive.resume(settings, continued, minutes) if continued else archive.begin(settings, plan, budget=began)
        )
        record, data_set = begun
        errors.print(estimated(plan, folder, sum(data_set.rows.values())).said(plan.minutes), soft_wrap=True)
        errors.print(f"run {record.run_id}")
        try:
            archive.carry_out(settings, record, data_set)
        except KeyboardInterrupt:
            errors.print(f"stopped; {len(record.samples)} samples are kept;"
                         f" 'tracebank bench run --continue {record.run_id}' goes on", soft_wrap=True)  # fmt: skip
            raise
    _conclude(settings, record, as_json)


@bench.command()
def report(
    run_id: Annotated[str, typer.Argument(help="A run's id; the newest where none is given.")] = "",
    output: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print what it says in Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run as one HTML page that needs nothing else."""
    from tracebank.settings import Settings
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.report.figures import Figures
    from tracebank_benchmarks.tsdb.report.tables import ranking_rows, report_markdown

    settings = Settings.load()
    with _one_line():
        record = archive.opened(settings, run_id or _newest(settings))
        path = output or archive.run_folder(settings, record.run_id) / "report.html"
    written = _written_report(settings, record, path)
    if as_json:
        _json({"report": str(written), "ranking": ranking_rows(Figures(record))})
    elif markdown:
        sys.stdout.write(f"{report_markdown(Figures(record))}\n")
    else:
        sys.stdout.write(f"{written}\n")


@bench.command()
def compare(
    runs: Annotated[str, typer.Argument(help="A run, or several with commas.", show_default=False)],
    earlier: Annotated[
        str, typer.Argument(help="A run or several to hold them against; their history where none is given.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say what became slower by more than runs differ from each other, and what could not be compared.

    Exit code 1 where there is something of either kind, 2 where there is nothing to compare.
    """
    from rich.console import Console

    from tracebank.settings import Settings
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.changes import compare as compared
    from tracebank_benchmarks.tsdb.report.tables import change_rows, changes_said, changes_shown

    settings = Settings.load()
    with _one_line():
        later = archive.alike(settings, runs.split(","))
        before = archive.alike(settings, earlier.split(","), later[0]) if earlier else _history(settings, later)
        if not (changes := compared(before, later)):
            raise PlanError("run: nothing that both sides measured can be compared")
    if as_json:
        _json(change_rows(changes))
    else:
        console = Console(highlight=False)
        console.print(changes_shown(changes))
        console.print(changes_said(changes, before, later), soft_wrap=True)
    if any(change.verdict for change in changes):
        raise typer.Exit(1)


def _history(settings: Settings, later: list[Record]) -> list[Record]:
    from tracebank.stores.opening import open_relational, open_series
    from tracebank_benchmarks.tsdb import archive

    relational = open_relational(settings)
    try:
        first = min(later, key=lambda one: one.started_at)
        found = archive.history(relational, open_series(settings), first)
    finally:
        relational.close()
    if not found:
        raise PlanError(
            "run: there is no earlier run to compare with on this machine and these data; those that were stopped, in"
            " which an engine failed, or that were disturbed do not count"
        )
    return found


@bench.command(name="list")
def list_runs(as_json: AsJson = False) -> None:
    """Show every run, and every engine and workload that can be asked for."""
    from rich.console import Console
    from sqlalchemy import inspect

    from tracebank.settings import Settings
    from tracebank.stores.opening import open_relational
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.engines import ENGINES
    from tracebank_benchmarks.tsdb.plan import WORKLOADS
    from tracebank_benchmarks.tsdb.report.tables import runs_table

    relational = open_relational(Settings.load())
    try:
        with relational.reading() as session:  # of a home that nothing was written to
            is_empty = not inspect(session.connection()).has_table("benchmark_runs")
        runs = [] if is_empty else archive.listed(relational)
    finally:
        relational.close()
    if as_json:
        _json({"runs": runs, "engines": list(ENGINES), "workloads": list(WORKLOADS)})
        return
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(runs_table(runs))
    console.print(f"engines: {', '.join(ENGINES)}\nworkloads: {', '.join(WORKLOADS)}", highlight=False)


def _json(content: object) -> None:
    sys.stdout.write(f"{json.dumps(content, indent=1, default=str)}\n")


def _newest(settings: Settings) -> str:
    from tracebank_benchmarks.tsdb import archive

    folder = archive.suite_folder(settings) / "runs"
    found = sorted(path.parent.name for path in folder.glob("*/run.json"))
    if not found:
        raise PlanError("run: there is none yet; 'tracebank bench run' makes one")
    return found[-1]


def _written_report(settings: Settings, record: Record, path: Path) -> Path:
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.report.html import write_report

    return write_report(record, path, archive.other_scales(settings, record))


def _conclude(settings: Settings, record: Record, as_json: bool) -> None:
    from rich.console import Console

    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.report.advice import summary
    from tracebank_benchmarks.tsdb.report.figures import Figures
    from tracebank_benchmarks.tsdb.report.tables import ranking_rows, ranking_shown

    figures = Figures(record)
    path = _written_report(settings, record, archive.run_folder(settings, record.run_id) / "report.html")
    if as_json:
        _json({"run": record.run_id, "report": str(path), "warnings": figures.warnings(),
               "ranking": ranking_rows(figures)})  # fmt: skip
        return
    console = Console(highlight=False)
    for warning in figures.warnings():
        console.print(f"[bold yellow]{warning}[/]")
    console.print(ranking_shown(figures))
    console.print(summary(figures))
    if (share := record.overhead_share) is not None:
        console.print(f"harness: {share:.1%} of the engines' own time")
    console.print(f"report: {path}", soft_wrap=True)
