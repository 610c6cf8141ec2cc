"""Group `safe_rl`: policies become rows, runs that are made again are not doubled, modes are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.homes import Home, fault, opened

from tracebank.settings import Settings
from tracebank_assets.safe_rl import comparisons as compared_module
from tracebank_assets.safe_rl.comparisons import comparisons
from tracebank_assets.safe_rl.exchange import export_run
from tracebank_assets.safe_rl.keys import ENVIRONMENTS, PARTITIONS
from tracebank_assets.safe_rl.questions import questions
from tracebank_assets.safe_rl.runs import runs
from tracebank_schemas.reinforcement_learning import RLComparison, RLConstraint, RLEvaluation, RLRun

SMALL: dict[str, Any] = {
    "modes": ["reward", "deficit", "random"],
    "episodes": 3,
    "learner": {"steps": 2_000, "environments": 8, "rollout": 32, "minibatch": 64, "epochs": 2, "hidden": [8]},
}


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with opened(settings, monkeypatch) as home:
        yield home


def test_policies_become_rows_that_are_not_doubled_and_every_step_is_one(home: Home) -> None:
    assert "no policy was trained" in fault(home.make(comparisons))
    found = home.made(runs, "CartPole-v1/0", **SMALL)
    assert found["figures_are_numbers"]
    counts = {table: home.count(table) for table in (RLRun, RLConstraint, RLEvaluation)}
    assert counts == {RLRun: 3, RLConstraint: 6, RLEvaluation: 9}
    steps = home.sql("SELECT run, count() AS n, sum(cost) AS cost FROM series.rollout_steps GROUP BY run ORDER BY run")
    told = home.sql(
        "SELECT run, steps, training_violations FROM relational.rl_runs WHERE steps IS NOT NULL ORDER BY run"
    )
    assert steps["run"].to_list() == told["run"].to_list()
    assert steps["n"].to_list() == told["steps"].to_list() == [2_048, 2_048]
    assert steps["cost"].to_list() == told["training_violations"].to_list(), "every violation is a row"
    home.made(runs, "CartPole-v1/0", **SMALL)
    assert {table: home.count(table) for table in counts} == counts
    assert home.sql("SELECT count() AS n FROM series.rollout_steps")["n"].item() == 4_096
    home.made(runs, "CartPole-v1/0", **{**SMALL, "modes": ["deficit"], "predictor": True})
    assert home.count(RLRun) == 4, "with a predictor it is another run"
    curves = home.sql("SELECT DISTINCT name FROM series.training_curves ORDER BY name")["name"].to_list()
    assert curves == ["CartPole-v1/deficit", "CartPole-v1/deficit+predictor", "CartPole-v1/reward"]
    for text in questions("clickhouse").values():
        assert home.sql(text).height

    assert home.made(comparisons)["five_seeds_or_no_interval"]
    with home.relational.reading() as session:
        rows = session.execute(select(RLComparison.seeds, RLComparison.low, RLComparison.below_low)).all()
    assert {tuple(row) for row in rows} == {(1, None, None)}, "of one seed there is no interval"
    assert (home.settings.home / "safe_rl" / "CartPole-v1.svg").is_file()


def test_navigation_has_costs_of_its_own_and_an_evaluation_may_be_kept(home: Home) -> None:
    small = {**SMALL, "modes": ["penalty", "do_nothing"], "steps_of": "evaluation"}
    home.made(runs, "PointGoal1-v0/1", **small)
    steps = home.sql("SELECT count() AS n, uniqExact(environment) AS e, max(step) AS last FROM series.rollout_steps")
    assert steps.row(0) == (8_000, 4, 999), "1,000 steps of four environments by each policy"
    still = home.sql("SELECT goals, episode_cost FROM relational.rl_runs WHERE mode = 'do_nothing'")
    assert still.row(0) == (0.0, 0.0)
    assert "no environment has runs of mode 'reward'" in fault(home.make(comparisons))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modes": ["lucky"]}, "RunSettings.mode: 'lucky' is not allowed; allowed: reward"),
        ({"modes": []}, "modes: none is not allowed"),
        ({"formulas": ["tilt <= 1"]}, "position 0: 'tilt' is not allowed; allowed: position"),
        ({"learner": {"steps": 0}}, "learner.steps: 0 is not allowed"),
        ({"learner": {"step": 5}}, "learner"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_nothing_is_written(
    home: Home, change: dict[str, Any], message: str
) -> None:
    said = fault(home.make(runs, "CartPole-v1/0", **{**SMALL, **change}))
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert home.count(RLRun) == 0


def test_partitions_are_the_environments_that_are_known() -> None:
    from tracebank_models.navigation import environments
    from tracebank_models.reinforcement_learning import classic_control
    from tracebank_models.reinforcement_learning.environments import ENVIRONMENTS as REGISTERED
    from tracebank_models.system3.learners import LEARNERS

    assert classic_control
    assert environments
    assert compared_module
    assert set(ENVIRONMENTS) == set(LEARNERS) <= set(REGISTERED)
    assert "Pendulum-v1/9" in PARTITIONS.get_partition_keys()


def test_a_run_that_stands_becomes_a_dataset_of_minari(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    minari = pytest.importorskip("minari", reason="the extra `reinforcement` is not installed")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    home.made(runs, "CartPole-v1/0", **{**SMALL, "modes": ["reward"]})
    key = home.sql("SELECT run FROM relational.rl_runs")["run"].item()
    told = export_run(home.settings, home.relational, key[:10], "cartpole/reward-v0")
    whole = home.sql("SELECT countIf(terminated OR truncated) AS n FROM series.rollout_steps")["n"].item()
    found = minari.load_dataset("cartpole/reward-v0")
    assert told == (whole, found.total_steps) == (found.total_episodes, found.total_steps)
    with pytest.raises(ValueError, match="no run begins so"):
        export_run(home.settings, home.relational, "zz", "cartpole/none-v0")
