"""Runs: what settings change, what they refuse, and modes beside one another."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from tracebank_models.constraint_logic.parsing import FormulaError
from tracebank_models.reinforcement_learning.training import PPOSettings
from tracebank_models.system3.comparison import METRICS, compared, run_rows
from tracebank_models.system3.run import Run, run
from tracebank_models.system3.settings import MODES, RunSettings

QUICK = PPOSettings(steps=2_000, environments=16, rollout=32, minibatch=256, epochs=2, learning_rate=2e-3)
SETTINGS = RunSettings(learner=QUICK, evaluation_episodes=4)


def _curves(one: Run) -> pl.DataFrame:
    return one.curves.drop("seconds")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_runs(mode: str) -> None:
    found = run(replace(SETTINGS, mode=mode))
    assert found.evaluation.height == 4
    if MODES[mode].objective is None:
        assert not found.curves.height
        return
    assert found.curves["step"].to_list() == [512, 1024, 1536, 2048]
    assert found.curves["prediction_error"].null_count() == 4
    losses = found.curves.select("policy_loss", "value_loss", "kl").to_series()
    assert losses.is_finite().all()


def test_without_the_predictor_it_is_another_run_and_has_no_error() -> None:
    settings = replace(SETTINGS, predictor=True)
    predicted, plain = run(settings), run(SETTINGS)
    assert settings.hash != SETTINGS.hash
    assert settings.hash == replace(SETTINGS, predictor=True).hash
    assert predicted.curves["prediction_error"].is_finite().all()
    assert predicted.curves["prediction_error"][-1] < predicted.curves["prediction_error"][0]
    assert plain.curves["prediction_error"].is_null().all()
    assert not predicted.curves["value_loss"].equals(plain.curves["value_loss"])
    judged = run(replace(settings, predicted_satisfaction=True))
    assert not judged.curves["value_loss"].equals(predicted.curves["value_loss"])


def test_every_setting_changes_the_hash() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"mode": "penalty"},
        {"shuffled": True},
        {"predictor": True},
        {"predictor": True, "predicted_satisfaction": True},
        {"formulas": ("speed <= 1",)},
        {"p": 3.0},
        {"margin": 0.2},
        {"weight": 2.0},
        {"learner": replace(QUICK, epochs=3)},
    ]
    assert len({replace(SETTINGS, **change).hash for change in changes}) == len(changes)


def test_the_reward_alone_gains_nothing_from_what_is_known_shuffled_or_not() -> None:
    plain, shuffled = (run(replace(SETTINGS, mode="reward", shuffled=is_shuffled)) for is_shuffled in (False, True))
    assert _curves(plain).equals(_curves(shuffled))
    released = run(replace(SETTINGS, mode="released"))
    assert _curves(released).drop("told_cost").equals(_curves(plain))


def test_what_is_known_keeps_a_policy_out_and_shuffled_does_not() -> None:
    """A rule that the reward does not know of: the cart is to stay on the left."""
    learner = PPOSettings(steps=8_000, environments=32, rollout=32, minibatch=256, learning_rate=2e-3, discount=0.98)
    rule = RunSettings(
        mode="penalty", learner=learner, formulas=("position <= 0 m",), margin=0.1, weight=5.0, evaluation_episodes=1
    )
    known, shuffled = (
        run(replace(rule, shuffled=is_shuffled)).curves["violations"].tail(3).sum() for is_shuffled in (False, True)
    )
    assert known < 0.6 * shuffled


def test_formulas_take_the_place_of_what_an_environment_knows() -> None:
    found = run(replace(SETTINGS, mode="random", formulas=("abs(speed) < 0 m/s",)))
    assert found.evaluation["violations"].to_list() == found.evaluation["length"].to_list()
    assert [one.text for one in found.knowledge] == ["abs(speed) < 0 m/s"]
    with pytest.raises(FormulaError, match="position 0: 'weight' is not allowed; allowed: position, speed"):
        run(replace(SETTINGS, formulas=("weight < 1",)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "safe"}, "RunSettings.mode: 'safe' is not allowed; allowed: reward, multiplied, deficit, penalty"),
        ({"p": 0.5}, "RunSettings.p: 0.5 is not allowed; allowed: a number from 1, or infinity"),
        ({"margin": 0.0}, "RunSettings.margin: 0.0 is not allowed"),
        ({"weight": -1.0}, "RunSettings.weight: -1.0 is not allowed"),
        ({"predicted_satisfaction": True}, "RunSettings.predicted_satisfaction: True is not allowed"),
        (
            {"mode": "trpo", "learner": PPOSettings(rule="cpo")},
            "RunSettings.learner.rule: 'cpo' is not allowed; allowed with 'trpo': trpo",
        ),
    ],
)
def test_settings_out_of_range_are_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        RunSettings(**change)


def _rows(**columns: list[Any]) -> pl.DataFrame:
    """Five seeds of two modes in one environment or two."""
    return pl.concat(
        pl.DataFrame(
            {
                "environment": environment,
                "mode": mode,
                "seed": range(5),
                **{name: [scale * (shift + seed) for seed in range(5)] for name in columns["names"]},
            }
        )
        for environment, scale in columns["environments"]
        for mode, shift in (("reward", 10), ("penalty", 2))
    ).with_columns(pl.lit(None, pl.Float64).alias(name) for name in METRICS if name not in columns["names"])


def test_modes_are_compared_over_seeds_and_environments() -> None:
    found = compared(_rows(names=["episode_cost", "training_violations"], environments=[("a", 1.0), ("b", 100.0)]))
    assert found.height == 2 * 2 * 3
    one = found.row(by_predicate=_is("a", "penalty", "training_violations"), named=True)
    assert (one["seeds"], one["iqm"], one["below"], one["below_low"]) == (5, 4.0, 1.0, 1.0)
    assert one["low"] < 4 < one["high"]
    same = found.row(by_predicate=_is("b", "reward", "episode_cost"), named=True)
    assert (same["iqm"], same["below"]) == (1200.0, 0.5)
    both = found.row(by_predicate=_is(None, "penalty", "episode_cost"), named=True)
    assert (both["iqm"], both["below"]) == (None, 1.0)


def _is(environment: str | None, mode: str, metric: str) -> pl.Expr:
    return (
        pl.col("environment").eq_missing(pl.lit(environment)) & (pl.col("mode") == mode) & (pl.col("metric") == metric)
    )


def test_runs_are_rows_and_few_seeds_have_no_interval() -> None:
    runs = [run(replace(SETTINGS, mode=mode, seed=seed)) for mode in ("reward", "random") for seed in (0, 1)]
    rows = run_rows(runs)
    assert rows["training_violations"][0] == runs[0].curves["violations"].sum()
    assert rows["training_violations"].to_list()[2:] == [None, None]
    assert (rows["is_solved"][0], rows["steps_to_threshold"][0], rows["steps"][0]) == (False, 2048, 2048)
    assert rows["episode_return"][2] != rows["episode_return"][3]
    found = compared(rows)
    assert found["low"].is_null().all()
    assert found["below"].is_not_null().any()
    assert set(found.filter(pl.col("mode") == "random")["metric"]) == {
        "episode_return",
        "episode_cost",
        "violated_episodes",
    }
    with pytest.raises(ValueError, match="against: 'luck' is not allowed; allowed: reward, random"):
        compared(rows, "luck")
    with pytest.raises(ValueError, match="seed 0 of mode 'reward' is not allowed more than once"):
        compared(pl.concat([rows, rows]))


def test_navigation_is_judged_where_it_is_and_where_it_is_predicted_to_be() -> None:
    learner = replace(QUICK, steps=1_024, environments=8, rollout=64)
    settings = RunSettings("PointGoal1-v0", "penalty", learner=learner, evaluation_episodes=1)
    true, predicted = (
        run(replace(settings, predictor=True, predicted_satisfaction=is_predicted)).curves
        for is_predicted in (False, True)
    )
    assert {"satisfaction_0", "satisfaction_1", "prediction_error"} <= set(true.columns)
    assert true["value_loss"].is_finite().all()
    assert predicted["value_loss"].is_finite().all()
    assert not true["value_loss"].equals(predicted["value_loss"])
    assert true["satisfaction_0"][0] == predicted["satisfaction_0"][0]  # what is told is of true states
