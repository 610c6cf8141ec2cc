"""Assets of fairness: rows that stand, checks, nulls, the same person twice, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import polars as pl
import pytest
from tests.homes import Home, fault

from tracebank.stores.opening import open_series
from tracebank_assets.fairness.keys import WORLD_BY_SEED, partition_key
from tracebank_assets.fairness.runs import runs
from tracebank_assets.fairness.summaries import summaries
from tracebank_assets.sparklines import sparkline
from tracebank_models.fairness_worlds.names import WORLD_NAMES
from tracebank_schemas.fairness import (
    FAIRNESS_PEOPLE,
    FAIRNESS_PERIODS,
    FairnessDifference,
    FairnessRun,
    FairnessSummary,
    StressSensitivity,
)

SMALL: dict[str, Any] = {"people": 300, "periods": 20, "panel": 5, "mitigations": ["none", "group_thresholds"]}


def _rows(home: Home, table: Any, world: str, seed: int) -> pl.DataFrame:
    store = open_series(home.settings)
    found = list(store.read_batches(table, partition={"world": world, "seed": seed}))
    return pl.concat([pl.DataFrame(batch) for batch in found])


def test_worlds_become_rows_and_summaries(home: Home) -> None:
    for seed in (0, 1):
        checks = home.made(runs, partition_key("lending_7", seed), **SMALL)
        assert all(checks.values()), checks
        assert {"no_nan", "rates_are_shares", "unique_key", "schema_as_declared"} <= set(checks)
    home.made(runs, partition_key("attention", 0), periods=20, mitigations=["greedy", "fair_greedy"])
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
    periods, people = (_rows(home, table, "lending_7", 0) for table in (FAIRNESS_PERIODS, FAIRNESS_PEOPLE))
    assert periods.height == 8 * 20 * 2
    assert people.height == 8 * 20 * 5
    start = people.filter(pl.col("period") == 0, pl.col("groups") == "as_they_are")
    assert start.group_by("person").agg(pl.col("score").n_unique())["score"].unique().to_list() == [1]
    assert home.made(summaries)["gaps_have_intervals"]
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
        assert all(one.passed for one in result.get_asset_check_evaluations())
        [made] = result.get_asset_materialization_events()
        version.append(made.materialization.tags["dagster/data_version"])  # type: ignore[union-attr,index]
    assert version[0] == version[1]
    assert _rows(home, FAIRNESS_PERIODS, "admission", 3).height == 2 * 20 * 2


def test_labels_and_feedback_are_factors_of_the_mitigations_that_are_varied(home: Home) -> None:
    asked = {**SMALL, "every": [10], "labels": ["accepted", "all"], "feedback": [0.0, 0.5], "varied": ["none"]}
    home.made(runs, partition_key("lending_7", 0), **asked)
    told = home.models(FairnessRun)
    varied = {(row.labels, row.feedback) for row in told if row.mitigation == "none" and row.groups == "as_they_are"}
    assert varied == {("accepted", 0.0), ("accepted", 0.5), ("all", 0.0), ("all", 0.5)}
    rest = [
        (row.mitigation, row.groups, row.labels, row.feedback)
        for row in told
        if (row.mitigation, row.groups) != ("none", "as_they_are")
    ]
    assert sorted(rest) == [
        ("group_thresholds", "as_they_are", "accepted", 0.0),
        ("group_thresholds", "permuted", "accepted", 0.0),
        ("none", "equal", "accepted", 0.0),
    ]
    assert all(row.figures["last_odds_gap_low"] <= row.figures["last_odds_gap"] for row in told)
    assert home.made(summaries)["gaps_have_intervals"]
    changed = {(row.factor, row.mitigation) for row in home.models(FairnessDifference)}
    assert changed == {
        ("mitigation", "group_thresholds"),
        ("groups", "group_thresholds"),
        ("labels", "none"),
        ("feedback", "none"),
    }
    home.made(runs, partition_key("lending_7", 1), **{**asked, "people": 200})
    said = fault(home.make(summaries))
    assert "lending_7: people of seeds 0 and 1 are not alike (300, 200); materialise fairness/runs with one" in said


def test_runs_without_one_that_mitigates_nothing_are_summed_up_too(home: Home) -> None:
    home.made(runs, partition_key("lending_7", 0), **{**SMALL, "mitigations": ["reweighing"], "every": [5]})
    home.made(summaries)
    assert home.models(StressSensitivity) == []
    assert {row.factor for row in home.models(FairnessDifference)} == {"groups"}


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
        ("lending_7", {"stress": {"feedback": 0.1}}, r"stress\.feedback: not allowed; allowed: all other settings"),
        ("lending_7", {"varied": ["kindness"]}, "mitigations: 'kindness' is not allowed"),
        (
            "admission",
            {"feedback": [0.1]},
            r"none: feedback: 0\.1 is not allowed in admission; allowed: 0, as scores do",
        ),
        ("attention", {"mitigations": ["greedy"], "feedback": [0.1]}, r"greedy: feedback: 0\.1 is not allowed"),
        ("lending_7", {"periods": 5}, "none: periods: 5 is not allowed; allowed: more than the burn-in, 5"),
    ],
)
def test_what_cannot_be_run_is_one_line(home: Home, world: str, change: dict[str, Any], said: str) -> None:
    result = home.make(runs, partition_key(world, 0), **{**SMALL, **change})
    assert not result.success
    assert re.search(said, fault(result)), fault(result)
    assert home.models(FairnessRun) == []


def test_summaries_without_runs_say_what_to_do(home: Home) -> None:
    result = home.make(summaries)
    assert not result.success
    assert "materialise fairness/runs first" in fault(result)


def test_a_sparkline_has_ends_and_gaps() -> None:
    assert sparkline([0.0, 0.5, None, 1.0]) == "▁▄ █ 0 to 1"
    assert sparkline([None]) == ""
    assert len(sparkline(list(range(100))).split()[0]) <= 40
