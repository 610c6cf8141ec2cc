"""Assets of fairness: rows that stand, checks, nulls, the same person twice, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest
from sqlalchemy import select
from tests.upgraded import upgraded

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank_assets.fairness.keys import WORLD_BY_SEED, partition_key
from tracebank_assets.fairness.runs import runs
from tracebank_assets.fairness.summaries import summaries
from tracebank_assets.sparklines import sparkline
from tracebank_models.fairness_worlds.names import WORLD_NAMES
from tracebank_schemas.fairness import (
    FAIRNESS_PEOPLE,
    FAIRNESS_PERIODS,
    FairnessRun,
    FairnessSummary,
    StressSensitivity,
)

SMALL: dict[str, Any] = {"people": 300, "periods": 20, "panel": 5, "mitigations": ["none", "group_thresholds"]}


@dataclass(frozen=True)
class Home:
    settings: Settings
    instance: dg.DagsterInstance

    def make(self, asset: Any, key: Any = None, **config: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [asset],
            partition_key=key,
            instance=self.instance,
            resources={"stores": Stores()},
            run_config={"ops": {asset.key.to_python_identifier(): {"config": config}}} if config else None,
            raise_on_error=False,
        )

    def rows(self, table: Any, world: str, seed: int) -> pl.DataFrame:
        store = open_series(self.settings)
        found = list(store.read_batches(table, partition={"world": world, "seed": seed}))
        return pl.concat([pl.DataFrame(batch) for batch in found])

    def models(self, table: Any) -> list[Any]:
        store = open_relational(self.settings)
        try:
            with store.reading() as session:
                return [SimpleNamespace(**row.row()) for row in session.scalars(select(table))]
        finally:
            store.close()


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    assert result.success, _fault(result)
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def _fault(result: dg.ExecuteInProcessResult) -> str:
    data = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert data.error is not None
    return str(data.error.cause.message if data.error.cause else data.error.message)


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", settings.relational.render_as_string(hide_password=False))
    upgraded(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Home(settings, instance)


def test_worlds_become_rows_and_summaries(home: Home) -> None:
    for seed in (0, 1):
        checks = _checks(home.make(runs, partition_key("lending_7", seed), **SMALL))
        assert all(checks.values()), checks
        assert {"no_nan", "rates_are_shares", "unique_key", "schema_as_declared"} <= set(checks)
    _checks(home.make(runs, partition_key("attention", 0), periods=20, mitigations=["greedy", "fair_greedy"]))
    told = home.models(FairnessRun)
    variants = {(row.mitigation, row.groups, row.every) for row in told if row.world == "lending_7"}
    assert variants == {
        (name, groups, every)
        for name, groups in (
            ("none", "as_they_are"),
            ("none", "equal"),
            ("group_thresholds", "as_they_are"),
            ("group_thresholds", "permuted"),
        )
        for every in (10, 0)
    }
    periods, people = (home.rows(table, "lending_7", 0) for table in (FAIRNESS_PERIODS, FAIRNESS_PEOPLE))
    assert periods.height == 8 * 20 * 2
    assert people.height == 8 * 20 * 5
    start = people.filter(pl.col("period") == 0, pl.col("groups") == "as_they_are")
    assert start.group_by("person").agg(pl.col("score").n_unique())["score"].unique().to_list() == [1]
    assert _checks(home.make(summaries))["gaps_have_intervals"]
    found = home.models(FairnessSummary)
    assert {row.reason for row in found if row.world == "lending_7" and row.statistic == "mean"} == {
        "2 seeds; an interval takes 5"
    }
    assert {row.world for row in home.models(StressSensitivity)} == {"lending_7", "attention"}
    assert (home.settings.home / "fairness" / "lending_7.svg").stat().st_size > 1_000


def test_a_partition_is_made_again_as_it_was(home: Home) -> None:
    key, version = partition_key("admission", 3), []
    for _ in range(2):
        result = home.make(runs, key, **{**SMALL, "mitigations": ["none"], "nulls": False})
        assert all(_checks(result).values())
        [made] = result.get_asset_materialization_events()
        version.append(made.materialization.tags["dagster/data_version"])  # type: ignore[union-attr,index]
    assert version[0] == version[1]
    assert home.rows(FAIRNESS_PERIODS, "admission", 3).height == 2 * 20 * 2


def test_every_world_and_ten_seeds_are_partitions() -> None:
    assert len(WORLD_BY_SEED.get_partition_keys()) == len(WORLD_NAMES) * 10


@pytest.mark.parametrize(
    ("world", "change", "said"),
    [
        (
            "lending_7",
            {"mitigations": ["kindness"]},
            "mitigations: 'kindness' is not allowed; allowed in lending_7: none",
        ),
        ("attention", {}, "mitigations: 'none' is not allowed; allowed in attention: greedy"),
        ("lending_7", {"labels": ["some"]}, r"retraining\.labels: 'some' is not allowed"),
        ("lending_7", {"stress": {"legitimacy": 2.0}}, r"stress\.legitimacy: 2\.0 is not allowed"),
        ("lending_7", {"stress": {"anger": 1.0}}, r"stress\.anger: not known"),
        ("lending_7", {"periods": 5}, "none: periods: 5 is not allowed; allowed: more than the burn-in, 5"),
    ],
)
def test_what_cannot_be_run_is_one_line(home: Home, world: str, change: dict[str, Any], said: str) -> None:
    result = home.make(runs, partition_key(world, 0), **{**SMALL, **change})
    assert not result.success
    assert re.search(said, _fault(result)), _fault(result)
    assert home.models(FairnessRun) == []


def test_summaries_without_runs_say_what_to_do(home: Home) -> None:
    result = home.make(summaries)
    assert not result.success
    assert "materialise fairness/runs first" in _fault(result)


def test_a_sparkline_has_ends_and_gaps() -> None:
    assert sparkline([0.0, 0.5, None, 1.0]) == "▁▄ █ 0 to 1"
    assert sparkline([None]) == ""
    assert len(sparkline(list(range(100))).split()[0]) <= 40
