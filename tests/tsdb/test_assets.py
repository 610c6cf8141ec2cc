"""The suite's assets: runs by engine and scale with their checks, the report over them, the weekly schedule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import select
from tests.upgraded import upgraded

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.dagster_home import dagster_instance
from tracebank_assets.definitions import defs
from tracebank_assets.tsdb_benchmark import assets, automation
from tracebank_assets.tsdb_benchmark.keys import ENGINE_BY_SCALE, add_to, engine_and_scale, partition_key
from tracebank_benchmarks.tsdb import archive, measurement
from tracebank_benchmarks.tsdb.data import small_set
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engine import EngineState
from tracebank_benchmarks.tsdb.plan import Plan
from tracebank_schemas.benchmarks import BenchmarkResult, BenchmarkRun
from tracebank_schemas.ledger import Materialization

FAKES = {"duckdb": "fake_engines:Right", "polars": "fake_engines:Wrong", "kdb": "fake_engines:Absent"}


def _small(settings: Settings, plan: Plan) -> DataSet:
    return small_set(archive.suite_folder(settings) / "data" / "small", scale=plan.scale, seed=plan.seed)


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home that the assets find, with made-up engines and a small data set."""
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", settings.relational.render_as_string(hide_password=False))
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(assets, "engines", lambda: FAKES)
    monkeypatch.setattr(assets, "data_source", lambda: _small)
    monkeypatch.setattr(measurement, "MOST_SAMPLES", 6)
    monkeypatch.setattr(measurement, "FOREIGN_LIMIT", 2.0)  # other tests run beside these
    upgraded(settings)
    return settings


@pytest.fixture
def relational(home: Settings) -> Iterator[RelationalStore]:
    """The relational store, migrated."""
    store = open_relational(home)
    yield store
    store.close()


@pytest.fixture
def instance(home: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance in that home."""
    with dagster_instance(home) as instance:
        yield instance


def _materialise(instance: dg.DagsterInstance, key: str) -> dg.ExecuteInProcessResult:
    config = {"workloads": ["R1", "R2", "W1", "S1"], "minutes": 1.0}
    ops = {"tsdb_benchmark__runs": {"config": config}}
    add_to(instance, FAKES, [0.01])
    return defs.resolve_job_def("run_tsdb_benchmark").execute_in_process(
        run_config={"ops": ops},
        instance=instance,
        partition_key=partition_key(*engine_and_scale(key)),
        raise_on_error=False,
    )


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_a_run_is_kept_checked_and_reported(
    home: Settings, instance: dg.DagsterInstance, relational: RelationalStore
) -> None:
    right, wrong = _materialise(instance, "duckdb|0.01"), _materialise(instance, "polars|0.01")
    assert right.success
    assert wrong.success
    assert {name: one.passed for name, one in _checks(right).items()} == {
        "answers_verified": True, "not_slower_than_history": True, "storage_not_grown": True}  # fmt: skip
    verified = _checks(wrong)["answers_verified"]
    assert (verified.passed, verified.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "R2: wrong_answer, column vwap" in str(verified.metadata["not verified"])
    with relational.session() as session:
        kept = session.scalars(select(BenchmarkRun)).all()
        assert {run.asked["engines"][0] for run in kept} == {"duckdb", "polars"}
        assert len(session.scalars(select(BenchmarkResult)).all()) == 8
    ran = defs.resolve_job_def("report_tsdb_benchmark").execute_in_process(instance=instance)
    assert ran.success
    page = archive.suite_folder(home) / "report" / "scale-0.01.html"
    text = page.read_text(encoding="utf-8")
    assert "duckdb/idiomatic" in text
    assert "polars/idiomatic" in text
    metadata = ran.asset_materializations_for_node("tsdb_benchmark__report")[0].metadata
    assert metadata["page_0.01"].value == page.as_uri()
    ranking = str(metadata["ranking_0.01"].value)
    assert "| place | engine / lane | score |" in ranking
    assert re.search(r"\| duckdb/idiomatic \|.* 2 of 2 \|", ranking)
    assert re.search(r"\| polars/idiomatic \|.* 1 of 2 \|", ranking)
    with relational.session() as session:
        keys = session.scalars(select(Materialization.asset_key)).all()
    assert sorted(set(keys)) == ["tsdb_benchmark/report", "tsdb_benchmark/runs"]


def test_a_slower_run_fails_its_check_and_a_larger_one_too(
    home: Settings, instance: dg.DagsterInstance, relational: RelationalStore
) -> None:
    _materialise(instance, "duckdb|0.01")
    _quick(home, relational, 0.01)
    checks = _checks(_materialise(instance, "duckdb|0.01"))
    assert not checks["storage_not_grown"].passed
    assert not checks["not_slower_than_history"].passed
    assert "idiomatic R1: slower" in str(checks["not_slower_than_history"].metadata["found"].value)


def _quick(home: Settings, relational: RelationalStore, factor: float) -> None:
    """Make the earlier run look quicker and smaller than it was."""
    with relational.session() as session:
        run_id = session.scalars(select(BenchmarkRun.run_id)).one()
        assert run_id
        for result in session.scalars(select(BenchmarkResult)):
            if result.workload == "S1":
                result.measures = {**result.measures, "bytes": result.measures["bytes"] * factor}
            elif result.median_seconds is not None:
                result.median_seconds *= factor


def test_an_engine_that_is_not_here_fails_with_its_reason(
    instance: dg.DagsterInstance, relational: RelationalStore
) -> None:
    result = _materialise(instance, "kdb|0.01")
    assert not result.success
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "engine: kdb is not here: " in str(failures[0].error)
    with relational.session() as session:
        assert session.scalars(select(BenchmarkRun)).all() == [], "no run, and so no history of it"


def test_partitions_are_engines_that_are_here_by_scales_that_data_were_made_of(instance: dg.DagsterInstance) -> None:
    with dg.instance_for_test() as empty:
        assert ENGINE_BY_SCALE.get_partition_keys(dynamic_partitions_store=empty) == []
    add_to(instance, ["duckdb", "polars"], [0.05])
    keys = [str(key) for key in ENGINE_BY_SCALE.get_partition_keys(dynamic_partitions_store=instance)]
    assert sorted(keys) == ["duckdb|0.05", "polars|0.05"]
    assert engine_and_scale(partition_key("duckdb", 0.05)) == ("duckdb", 0.05)
    assert all(spec.partitions_def == ENGINE_BY_SCALE for spec in assets.runs.check_specs)


def test_the_weekly_schedule_asks_for_every_engine_that_is_here(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"duckdb", "polars"}
    monkeypatch.setattr(automation, "state", lambda name: EngineState(name in here))
    with dg.build_schedule_context(
        instance=instance,
        resources={"stores": Stores()},
        scheduled_execution_time=datetime(2026, 1, 4, 3, 40, tzinfo=UTC),
    ) as context:
        due = [one for one in automation.weekly_tsdb_benchmark(context) if isinstance(one, dg.RunRequest)]
    assert [one.partition_key for one in due] == ["duckdb|0.01", "polars|0.01"]
    assert [one.run_key for one in due] == ["duckdb|2026-W01", "polars|2026-W01"]
    assert all(one.default_status == dg.DefaultScheduleStatus.STOPPED for one in automation.SCHEDULES)
