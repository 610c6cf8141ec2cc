"""`tracebank bench`: measure time-series databases on questions whose answers are checked, and report what came out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from tracebank_benchmarks.stores.commands import promises, slope
from tracebank_benchmarks.tsdb.alternatives_shown import try_texts
from tracebank_benchmarks.tsdb.bare_ingest.commands import ingest

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank_benchmarks.tsdb.results import Record

bench = typer.Typer(
    help="Measure time-series databases on questions whose answers are checked, and report what came out.",
    no_args_is_help=True,
    add_completion=False,
)

DEFAULT_ENGINES = "clickhouse_embedded,duckdb,polars"


for command in (ingest, slope, promises):
    bench.command()(command)
bench.command(name="try")(try_texts)


@bench.callback()
def read_servers() -> None:
    """Measure time-series databases on questions whose answers are checked, and report what came out."""
    from tracebank_benchmarks.tsdb.servers import read_env_file

    read_env_file()


@contextmanager
def _one_line() -> Iterator[None]:
    """Faults of the input as usage errors: one line, exit code 2."""
    from tracebank_benchmarks.tsdb.plan import PlanError

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
        float, typer.Option(help="Budget of the run; what loading leaves of it, but half at least, is for the reads.")
    ] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the data, the parameters and the order.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds that one execution may take.")] = 60.0,
    threads: Annotated[int, typer.Option(help="Processors that every engine may use; 0 for all.")] = 0,
    memory: Annotated[float, typer.Option(help="GB that every engine may use; 0 for no cap.")] = 0.0,
    full: Annotated[bool, typer.Option("--full", help="Q1, W2, W4 at full size: ten minutes a point.")] = False,
    continued: Annotated[str, typer.Option("--continue", help="Id of a run to go on with, as it was planned.")] = "",
) -> None:
    """Measure engines; print the ranking and where the report is. Ctrl-C keeps what is done."""
    from rich.console import Console

    from tracebank.holds import held
    from tracebank.progress import shown_on
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.engines import ENGINES
    from tracebank_benchmarks.tsdb.plan import checked_plan

    settings, errors = Settings.load(), Console(stderr=True)
    with _one_line():
        plan = checked_plan(engines.split(","), known=ENGINES, workloads=workloads.split(","), lanes=lanes.split(","),
                            scale=scale, minutes=minutes, seed=seed, timeout=timeout, files=data or (),
                            days=days.split(","), threads=threads, memory=memory, full=full)  # fmt: skip
        if continued:
            archive.opened(settings, continued)
    with held(settings.home, "bench run"), shown_on(errors), _one_line():
        upgrade(settings)
        begun = archive.resume(settings, continued, minutes) if continued else archive.begin(settings, plan)
        record, data_set = begun
        errors.print(f"run {record.run_id}: continue it with 'tracebank bench run --continue {record.run_id}'")
        try:
            archive.carry_out(settings, record, data_set)
        except KeyboardInterrupt:
            errors.print(f"stopped; {len(record.samples)} samples are kept")
            raise
    _conclude(settings, record)


@bench.command()
def report(
    run_id: Annotated[str, typer.Argument(help="A run's id; the newest where none is given.")] = "",
    output: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
) -> None:
    """Write the report of a run as one HTML page."""
    from tracebank.settings import Settings
    from tracebank_benchmarks.tsdb import archive

    settings = Settings.load()
    with _one_line():
        record = archive.opened(settings, run_id or _newest(settings))
        path = output or archive.run_folder(settings, record.run_id) / "report.html"
    sys.stdout.write(f"{_written_report(settings, record, path)}\n")


@bench.command()
def compare(
    run_id: Annotated[str, typer.Argument(help="A run.", show_default=False)],
    earlier: Annotated[str, typer.Argument(help="The run to hold it against; its history where none is given.")] = "",
) -> None:
    """Say what became slower or faster by more than noise: a rank test on raw samples. Exit code 1 where slower."""
    from rich.console import Console

    from tracebank.settings import Settings
    from tracebank.stores.opening import open_relational, open_series
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.report.tables import changes_table

    settings = Settings.load()
    with _one_line():
        record = archive.opened(settings, run_id)
        others = [archive.earlier_run(settings, record, earlier).run_id] if earlier else []
    relational = open_relational(settings)
    try:
        others = others or archive.history(relational, record)
    finally:
        relational.close()
    if not others:
        sys.stdout.write("no earlier run on this machine and this data to compare with\n")
        return
    series = open_series(settings)
    changes = archive.compare(archive.samples(series, others), archive.samples(series, [record.run_id]))
    Console().print(changes_table(changes))
    slower = [change for change in changes if change.slower]
    sys.stdout.write(f"{len(changes)} compared with {', '.join(others)}; {len(slower)} slower by more than noise\n")
    if slower:
        raise typer.Exit(1)


@bench.command(name="list")
def list_runs() -> None:
    """Show every run, and every engine and workload that can be asked for."""
    from rich.console import Console
    from rich.table import Table

    from tracebank.settings import Settings
    from tracebank.stores.opening import open_relational
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.engines import ENGINES
    from tracebank_benchmarks.tsdb.plan import WORKLOADS

    relational = open_relational(Settings.load())
    try:
        runs = archive.listed(relational)
    finally:
        relational.close()
    table = Table("run", "started (UTC)", "finished", "data", "engines", "lanes", "environment")
    for one in runs:
        asked = one["asked"]
        table.add_row(one["run_id"], f"{one['started_at']:%Y-%m-%d %H:%M}", "yes" if one["finished_at"] else "no",
                      _shown_data(one), ", ".join(asked["engines"]), ", ".join(asked["lanes"]),
                      one["environment"])  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    console.print(f"engines: {', '.join(ENGINES)}\nworkloads: {', '.join(WORKLOADS)}", highlight=False)


def _shown_data(run: dict[str, Any]) -> str:
    kind, *what = run["asked"].get("data", ["synthetic"])
    if kind == "files":
        return f"{len(what)} files, {run['data_hash']}"
    return ", ".join(what) if kind == "stored" else f"scale {run['scale']:g}"


def _newest(settings: Settings) -> str:
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.plan import PlanError

    folder = archive.suite_folder(settings) / "runs"
    found = sorted(path.parent.name for path in folder.glob("*/run.json"))
    if not found:
        raise PlanError("run: there is none yet; 'tracebank bench run' makes one")
    return found[-1]


def _written_report(settings: Settings, record: Record, path: Path) -> Path:
    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.report.html import write_report

    return write_report(record, path, archive.other_scales(settings, record))


def _conclude(settings: Settings, record: Record) -> None:
    from rich.console import Console

    from tracebank_benchmarks.tsdb import archive
    from tracebank_benchmarks.tsdb.report.figures import Figures
    from tracebank_benchmarks.tsdb.report.tables import ranking_table

    path = _written_report(settings, record, archive.run_folder(settings, record.run_id) / "report.html")
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(ranking_table(Figures(record)))
    for entry, why in Figures(record).absent().items():
        console.print(f"{entry}: not measured, {why}", highlight=False)
    share = record.overhead_share
    if share is not None:
        console.print(f"harness: {share:.1%} of the engines' own time", highlight=False)
    console.print(f"report: {path}", soft_wrap=True, highlight=False)
