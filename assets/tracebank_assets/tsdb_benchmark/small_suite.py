"""The suite at its smallest: the embedded engines, every read, the bulk load and the storage, as the demo runs it."""

from pathlib import Path

import dagster as dg
from rich.console import Console

from tracebank.progress import track
from tracebank.settings import Settings
from tracebank_assets.tsdb_benchmark.automation import DATA_JOB, REPORT_JOB, RUN_JOB
from tracebank_assets.tsdb_benchmark.keys import REPORT, RUNS, partition_key
from tracebank_benchmarks.tsdb import archive
from tracebank_benchmarks.tsdb.report.advice import summary
from tracebank_benchmarks.tsdb.report.figures import Figures
from tracebank_benchmarks.tsdb.report.tables import ranking_shown
from tracebank_benchmarks.tsdb.results import combined
from tracebank_benchmarks.tsdb.workloads import BY_ID

ENGINES = ("clickhouse_embedded", "duckdb", "polars")
SCALE = 0.01
WORKLOADS = (*BY_ID, "W1", "S1")
MINUTES = 0.6
"""Of one engine: enough for five undisturbed samples of every read on two cores that nothing else uses."""


def run_small_suite(
    settings: Settings, instance: dg.DagsterInstance, console: Console, minutes: float = MINUTES
) -> None:
    """Measure the embedded engines, so many minutes each, show their ranking, and say where the report is.

    Raises:
        RunFailed: a step failed.
    """
    from tracebank_assets.runs import run_job  # it needs the code location, which finds this module

    asked = {RUNS.to_python_identifier(): {"workloads": list(WORKLOADS), "minutes": minutes}}
    run_job(str(DATA_JOB.name), instance)
    with track("measuring databases", len(ENGINES)) as advance:
        for engine in ENGINES:
            run_job(str(RUN_JOB.name), instance, partition_key=partition_key(engine, SCALE), ops=asked)
            advance(1)
    run_job(str(REPORT_JOB.name), instance)
    _show(settings, console)


def _show(settings: Settings, console: Console) -> None:
    figures = Figures(combined(archive.newest_runs(settings)[SCALE]))
    for warning in figures.warnings():
        console.print(f"[bold yellow]{warning}[/]", highlight=False)
    title = f"Time-series databases at scale {SCALE:g}: {len(BY_ID)} questions, every timed answer checked"
    console.print(ranking_shown(figures, title))
    console.print(summary(figures), highlight=False)
    console.print(f"report: {report_page(settings, SCALE)}", soft_wrap=True, highlight=False)


def report_page(settings: Settings, scale: float) -> Path:
    """Return where asset `tsdb_benchmark/report` writes the page of a scale."""
    return archive.suite_folder(settings) / REPORT.path[-1] / f"scale-{scale:g}.html"
