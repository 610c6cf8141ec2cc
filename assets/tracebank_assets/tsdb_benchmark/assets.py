"""Assets of group `tsdb_benchmark`: the data sets, runs of one engine at one scale, and the report over them."""

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.tsdb_benchmark import checks
from tracebank_assets.tsdb_benchmark.keys import DATA, ENGINE_BY_SCALE, GROUP, RUNS, add_to, engine_and_scale
from tracebank_benchmarks.tsdb import archive, queries
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engines import ENGINES, check_here, state
from tracebank_benchmarks.tsdb.plan import Plan, PlanError, checked_plan
from tracebank_benchmarks.tsdb.report.figures import Figures
from tracebank_benchmarks.tsdb.report.html import write_report
from tracebank_benchmarks.tsdb.report.tables import ranking_markdown
from tracebank_benchmarks.tsdb.results import Record, combined
from tracebank_schemas.benchmarks import BenchmarkResult

WEEKLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=15), warn_window=timedelta(days=8))
"""Of what the weekly schedules make."""


class DataConfig(dg.Config):
    """Which data sets to have."""

    scales: list[float] = Field(default_factory=lambda: [0.01])
    """Scale factors; 1 is 20 M trades and 33 M book rows."""
    seed: int = 0
    """The same seed gives the same rows."""


class RunConfig(dg.Config):
    """How a partition's engine is measured."""

    workloads: list[str] = Field(default_factory=lambda: ["all"])
    """Ids of workloads, or all."""
    lanes: list[str] = Field(default_factory=lambda: ["idiomatic"])
    """paper, idiomatic, or both."""
    minutes: float = 5.0
    """That it takes at most; it decides how often each question is repeated."""
    seed: int = 0
    """Of the data, the parameters and the order."""


def data_source() -> archive.DataSource:
    """Where data sets come from; tests put small ones in its place."""
    return archive.data_of


def engines() -> Mapping[str, str]:
    """Classes of engines by name; tests put made-up ones in their place."""
    return ENGINES


def engines_here() -> list[str]:
    """Names of engines that can be measured here."""
    return [name for name in engines() if state(name).available]


@artifact(GROUP, kinds={"parquet"})
def data(context: dg.AssetExecutionContext, config: DataConfig, stores: Stores) -> dg.MaterializeResult:
    """Trades and ten-level books of a week of the synthetic exchange, as Parquet files under `<home>/benchmarks`.

    Scales that there are data of, and engines that are here, are the partitions of `runs`.
    """
    with materialised(context, stores) as made:
        found = [_data(stores, scale, config.seed) for scale in config.scales]
        rows = sum(sum(one.rows.values()) for one in found)
        made.wrote(rows, sum(sum(one.raw_bytes.values()) for one in found), "".join(one.hash for one in found))
    add_to(context.instance, engines_here(), config.scales)
    return made.result({"folders": [str(one.folder) for one in found]})


def _data(stores: Stores, scale: float, seed: int) -> DataSet:
    return data_source()(stores.settings, _checked(list(engines())[:1], scale=scale, seed=seed))


@artifact(
    GROUP,
    BenchmarkResult,
    checks=checks.RUN_CHECKS,
    deps=[DATA],
    partitions_def=ENGINE_BY_SCALE,
    freshness_policy=WEEKLY,
    pool=GROUP,
    files=[Path(queries.__file__).parent],
)
def runs(context: dg.AssetExecutionContext, config: RunConfig, stores: Stores) -> dg.MaterializeResult:
    """One engine measured at one scale: every answer checked, every sample kept in `series.benchmark_samples`.

    Runs share a pool, so that a limit on it keeps two of them from measuring at once.
    """
    plan = _plan(context.partition_key, config)
    try:
        check_here(plan.engines)
    except PlanError as error:
        raise dg.Failure(str(error)) from error
    with materialised(context, stores) as made:
        record, source = archive.begin(stores.settings, plan, data_source())
        archive.carry_out(stores.settings, record, source, engines())
        made.inputs |= {"data": record.data_hash, "run": record.run_id}
        made.wrote(len(record.samples))
    return made.result(_figures(record), checks.run_checks(stores, record))


def _plan(key: str, config: RunConfig) -> Plan:
    engine, scale = engine_and_scale(key)
    return _checked([engine], workloads=config.workloads, lanes=config.lanes, scale=scale, minutes=config.minutes,
                    seed=config.seed)  # fmt: skip


def _checked(names: list[str], **asked: Any) -> Plan:
    try:
        return checked_plan(names, known=engines(), **asked)
    except PlanError as error:
        raise dg.Failure(str(error)) from error


def _figures(record: Record) -> dict[str, Figure]:
    found: dict[str, Figure] = {
        "run_id": record.run_id,
        "environment": str(record.environment["environment"]),
        "overhead_share": round(record.overhead_share or 0.0, 4),
        "disturbed_share": round(record.disturbed_share, 4),
    }
    for one in record.results:
        if one["lane"] == record.plan.lanes[-1] and one["median_seconds"] is not None:
            found[f"{one['workload']}_seconds"] = round(float(one["median_seconds"]), 6)
    return found


@artifact(GROUP, name="report", deps=[RUNS], kinds={"html"}, freshness_policy=WEEKLY)
def benchmark_report(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """The newest run of every engine, side by side for each scale, as one HTML page for each."""
    newest = archive.newest_runs(stores.settings)
    if not newest:
        raise dg.Failure("there is no run yet; materialise a partition of tsdb_benchmark/runs")
    folder = archive.suite_folder(stores.settings) / "report"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with materialised(context, stores) as made:
        together = {scale: combined(records) for scale, records in sorted(newest.items())}
        pages = [_page(folder, scale, together) for scale in together]
        made.inputs |= {one.run_id: one.data_hash for records in newest.values() for one in records}
        rows = sum(len(record.results) for record in together.values())
        made.wrote(rows, sum(page.stat().st_size for page in pages))
    figures: dict[str, Figure] = {}
    for page, (scale, record) in zip(pages, together.items(), strict=True):
        figures[f"page_{scale:g}"] = dg.MetadataValue.url(page.as_uri())
        figures[f"ranking_{scale:g}"] = dg.MetadataValue.md(ranking_markdown(Figures(record)))
    return made.result(figures)


def _page(folder: Path, scale: float, together: dict[float, Record]) -> Path:
    others = [record for other, record in together.items() if other != scale]
    return write_report(together[scale], folder / f"scale-{scale:g}.html", others)
