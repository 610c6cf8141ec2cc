"""Runs with retraining: what a model may see, what luck is shared, and the index of stress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tracebank_models.fairness_mitigation.classifier import Unmitigated
from tracebank_models.fairness_mitigation.registry import MITIGATIONS
from tracebank_models.fairness_worlds.attention import AttentionWorld
from tracebank_models.fairness_worlds.attention_runs import run_attention
from tracebank_models.fairness_worlds.deepening import by_run, over_seeds, statistics_of
from tracebank_models.fairness_worlds.differences import differences, holm
from tracebank_models.fairness_worlds.group_figures import Decided
from tracebank_models.fairness_worlds.lending import FicoWorld
from tracebank_models.fairness_worlds.names import FACTORS
from tracebank_models.fairness_worlds.permuted import PermutedGroups
from tracebank_models.fairness_worlds.retraining import SCHEDULES, Retraining
from tracebank_models.fairness_worlds.runs import FairnessRun, run_world
from tracebank_models.fairness_worlds.stress import UNCALIBRATED, StressIndex, StressSettings, sensitivity, unrest
from tracebank_models.fairness_worlds.worlds import WORLDS, make_world

PERIODS = 30
WEIGHTS = np.array([0.3, 0.7])


def _run(
    world: str = "lending_fico", seed: int = 0, stress: StressSettings = UNCALIBRATED, **how: object
) -> FairnessRun:
    made = make_world(world, 1_000, PERIODS)
    retraining = Retraining(**how)  # type: ignore[arg-type]
    return run_world(made, Unmitigated(break_even=made.break_even), retraining, seed, PERIODS, stress=stress, panel=200)


class _Scrambled(FicoWorld):
    """What would have become of the rejected is drawn anew."""

    def _decide(self, accepted: np.ndarray) -> Decided:
        found = super()._decide(accepted)
        lot = np.random.default_rng(self.period).random(self.people) < 0.5
        return replace(found, qualified=np.where(accepted, found.qualified, lot))


@pytest.mark.parametrize("labels", [one for one in SCHEDULES if one != "all"])
def test_labels_of_the_rejected_change_nothing(labels: str) -> None:
    runs = []
    for kind in (FicoWorld, _Scrambled):
        world = kind(1_000, PERIODS)
        how = Retraining(labels=labels)  # type: ignore[arg-type]
        runs.append(run_world(world, Unmitigated(break_even=world.break_even), how, 1, PERIODS, panel=1_000).panel)
    assert runs[0].drop("qualified").equals(runs[1].drop("qualified"))
    assert not runs[0].equals(runs[1])


def test_who_sees_all_labels_does_see_those_of_the_rejected() -> None:
    world = _Scrambled(1_000, PERIODS)
    found = run_world(world, Unmitigated(break_even=world.break_even), Retraining(labels="all"), 0, PERIODS, panel=20)
    assert not found.periods["selection_rate"].equals(_run(labels="all").periods["selection_rate"])


def test_moves_do_not_read_what_would_have_become_of_the_rejected() -> None:
    world = FicoWorld(100, 3)
    world.reset(seed=0)
    accepted = np.arange(100) < 50
    labels = np.where(accepted, 1.0, np.nan)
    assert np.array_equal(world.moved(accepted, labels), world.moved(accepted, np.nan_to_num(labels, nan=1.0)))


@pytest.mark.parametrize("name", MITIGATIONS)
def test_every_mitigation_runs_in_a_world_and_its_permuted_null_too(name: str) -> None:
    world = make_world("lending_7", 600, 16)
    inner = MITIGATIONS[name](break_even=world.break_even)
    for mitigation in (inner, PermutedGroups(inner, 0)):
        found = run_world(world, mitigation, Retraining(), 0, 16, panel=5).periods
        assert found["selection_rate"].is_between(0, 1).all()


@pytest.mark.parametrize("world", WORLDS)
def test_a_run_is_the_same_again_and_another_seed_is_not(world: str) -> None:
    one, again, other = _run(world), _run(world), _run(world, seed=1)
    assert one.periods.equals(again.periods)
    assert one.panel.equals(again.panel)
    assert not one.periods.equals(other.periods)
    assert one.periods.height == PERIODS * 2
    assert one.panel.height == PERIODS * 200


def test_the_same_people_with_the_same_luck_stand_in_both_worlds() -> None:
    """Until rules differ nothing does; and whom both have decided alike so far has the same score."""
    often, once = _run("lending_7", every=5).panel, _run("lending_7", every=0).panel
    both = often.join(once, on=["period", "person"], suffix="_once").sort("person", "period")
    alike = (pl.col("accepted") == pl.col("accepted_once")).cast(pl.Int8)
    before = alike.cum_min().shift(1, fill_value=1).over("person")
    same = both.with_columns(so_far=before).filter(pl.col("so_far") == 1)
    assert same.height < both.height
    assert same["score"].equals(same["score_once"].rename("score"))


def test_schedules_are_different_factors_and_share_the_burn_in() -> None:
    found = {labels: _run("lending_7", labels=labels) for labels in SCHEDULES}
    first = [one.periods.filter(pl.col("period") < 5) for one in found.values()]
    assert found["accepted"].periods.filter(pl.col("period") < 5)["selection_rate"].unique().to_list() == [1.0]
    assert all(one.drop("utility").equals(first[0].drop("utility")) for one in first)
    later = [one.periods["selection_rate"].to_list() for one in found.values()]
    assert len({tuple(one) for one in later}) == len(SCHEDULES)


def test_true_positive_rates_of_all_periods_are_of_all_their_people() -> None:
    """Equal rates in every period need not be equal over all, so that people are counted and rates not averaged."""
    periods = _run("lending_7").periods
    counts = periods.select(pl.col("group"), pl.col("accepted_qualified", "qualified").cum_sum().over("group"))
    expected = (counts["accepted_qualified"] / counts["qualified"]).to_numpy()
    np.testing.assert_allclose(periods["cumulative_true_positive_rate"].to_numpy(), expected, atol=1e-12)


def test_the_last_odds_gap_has_an_interval_over_people() -> None:
    summary = _run("lending_7").summary
    assert summary["last_odds_gap_low"] < summary["last_odds_gap"] < summary["last_odds_gap_high"]
    world = make_world("performative", 4_000, PERIODS, equal=True)
    lots = [run_world(world, Unmitigated(), Retraining(), seed, PERIODS, panel=5).summary for seed in range(5)]
    assert sum(one["last_odds_gap_low"] == 0 for one in lots) >= 4, "of equal groups it reaches 0"
    assert all(one["last_repayment_gini"] < 0.02 for one in lots)


def test_a_fit_is_due_when_the_schedule_says() -> None:
    assert [period for period in range(30) if Retraining(burn_in=5, every=10).due(period)] == [5, 15, 25]
    assert [period for period in range(30) if Retraining(burn_in=5, every=0).due(period)] == [5]


def test_a_rule_under_which_the_window_has_nobody_stays() -> None:
    """The second fit has nothing to learn from, as the first accepts nobody."""
    world = make_world("lending_fico", 200, PERIODS)
    how = Retraining(labels="window", window=3, every=5)
    found = run_world(world, Unmitigated(break_even=1 - 1e-9), how, 0, PERIODS, panel=5).periods
    assert found.filter(pl.col("period") >= 5)["accepted"].sum() == 0


def test_permuted_groups_leave_a_rule_that_knows_none_as_it_is() -> None:
    world = make_world("lending_fico", 1_000, PERIODS)
    plain = Unmitigated(break_even=world.break_even)
    found = run_world(world, PermutedGroups(plain, 0), Retraining(), 0, PERIODS, panel=20)
    assert found.periods.equals(_run().periods)


def test_without_feedback_the_index_changes_nothing_and_with_it_scores_fall() -> None:
    plain, other = _run(), _run(stress=StressSettings(erosion=9.0, legitimacy=0.1, threshold=0.0, feedback=0.0))
    index = ["legitimacy", "unrest", "stress", "grievance"]
    assert plain.periods.drop(index).equals(other.periods.drop(index))
    assert not plain.periods["stress"].equals(other.periods["stress"])
    fed = _run(stress=StressSettings(erosion=9.0, legitimacy=0.1, threshold=0.0, feedback=0.5))
    assert fed.periods["mean_score"][-1] < other.periods["mean_score"][-1]


def _last(opportunity: np.ndarray, gap: float, settings: StressSettings = UNCALIBRATED) -> tuple[float, float]:
    index = StressIndex(WEIGHTS, settings)
    found = [index.after(opportunity, gap) for _ in range(20)][-1]
    return found.stress, found.unrest


@pytest.mark.parametrize("group", [0, 1])
def test_stress_does_not_fall_with_hardship_or_gap(group: int) -> None:
    shares = np.linspace(0.0, 1.0, 11)
    by_gap = [_last(np.array([0.4, 0.9]), gap) for gap in shares]
    assert np.all(np.diff(by_gap, axis=0) >= -1e-12)
    settings = replace(UNCALIBRATED, unfairness_weight=0.0)  # the best group's fortune is the other's unfairness
    by_hardship = []
    for share in shares[::-1]:
        opportunity = np.array([0.5, 0.5])
        opportunity[group] = share
        by_hardship.append(_last(opportunity, 0.2, settings))
    assert np.all(np.diff(by_hardship, axis=0) >= -1e-12)
    assert by_hardship[-1][0] > by_hardship[0][0]


def test_stress_rises_with_unfairness_and_lies_within_one() -> None:
    settings = replace(UNCALIBRATED, hardship_weight=0.0, unfairness_weight=1.0)
    found = [_last(np.array([1 - apart, 1.0]), 0.2, settings)[0] for apart in np.linspace(0, 1, 11)]
    assert np.all(np.diff(found) > 0)
    assert found[0] == 0
    assert _last(np.array([0.0, 1.0]), 1.0, replace(settings, legitimacy=0.0))[0] <= 1


def test_unrest_is_a_fixed_point_of_epsteins_mean_field() -> None:
    grievance = np.array([0.3, 0.15])
    active = unrest(grievance, WEIGHTS, UNCALIBRATED)
    arrest = 1 - np.exp(-2.3 * 0.04 / active)
    assert 0 < active < 1
    assert active == pytest.approx(WEIGHTS @ np.clip((grievance - 0.1) / arrest, 0, 1), abs=1e-9)
    assert unrest(np.array([0.1, 0.05]), WEIGHTS, UNCALIBRATED) == 0


def test_sensitivity_has_a_row_for_each_end_of_each_parameter() -> None:
    found = sensitivity(np.tile([0.4, 0.9], (20, 1)), np.full(20, 0.3), WEIGHTS, UNCALIBRATED)
    assert found.group_by("parameter").len()["len"].unique().to_list() == [2]
    assert "feedback" not in found["parameter"]
    at = {name: found.filter(parameter=name).sort("value")["stress"].to_list() for name in ("legitimacy", "erosion")}
    assert at["legitimacy"][0] > found["base_stress"][0] > at["legitimacy"][1]
    assert at["erosion"][0] < found["base_stress"][0] < at["erosion"][1]


def test_slopes_and_ratios_are_those_of_a_line() -> None:
    found = statistics_of(np.linspace(0.1, 0.5, 101))
    assert found["slope"] == pytest.approx(0.004)
    assert found["log_ratio"] == pytest.approx(np.log(0.482 / 0.118))
    assert np.isnan(statistics_of(np.zeros(5))["log_ratio"])


@pytest.mark.parametrize(("seeds", "reason"), [(4, "4 seeds; an interval takes 5"), (5, None)])
def test_fewer_than_five_seeds_have_no_interval(seeds: int, reason: str | None) -> None:
    random = np.random.default_rng(0)
    rows = [
        {"seed": seed, "period": period, "world": "w", "gap": 0.1 + 0.01 * period + random.normal() / 100}
        for seed in range(seeds)
        for period in range(30)
    ]
    found = (
        over_seeds(by_run(pl.DataFrame(rows), ["world"], ["gap"]), ["world"])
        .filter(statistic="slope")
        .row(0, named=True)
    )
    assert found["value"] == pytest.approx(0.01, abs=0.001)
    assert (found["low"] is None) == (seeds < 5)
    assert found["reason"] == reason


def _seeded(mitigation: str, groups: str, every: int, gap: Callable[[int, int], float]) -> list[dict[str, object]]:
    told = {"world": "w", "mitigation": mitigation, "groups": groups, "labels": "accepted", "feedback": 0.0}
    return [
        {**told, "every": every, "seed": seed, "period": period, "gap": gap(seed, period)}
        for seed in range(6)
        for period in range(20)
    ]


def test_differences_are_taken_in_each_seed_and_held_among_all() -> None:
    """Seeds are far apart, and what the mitigation does is the same in each but for a little."""
    rows = _seeded("none", "as_they_are", 10, lambda seed, _: float(seed))
    rows += _seeded("none", "equal", 10, lambda *_: 0.0)
    rows += _seeded("kind", "as_they_are", 10, lambda seed, period: seed - 0.5 + 0.01 * seed - 0.01 * period)
    rows += _seeded("kind", "permuted", 10, lambda seed, _: seed + 0.01 * (-1) ** seed)
    rows += _seeded("kind", "as_they_are", 0, lambda seed, _: seed + 0.2 + 0.01 * seed)
    found = differences(by_run(pl.DataFrame(rows), ["world", *FACTORS], ["gap"]))
    assert set(found["factor"]) == {"mitigation", "groups", "every"}
    one = found.filter(factor="mitigation", groups="as_they_are", statistic="mean").row(0, named=True)
    assert one["every"] == 10, "fitted once there is nothing without mitigation to be held against"
    assert one["value"] == pytest.approx(-0.5 + 0.025 - 0.095)
    assert one["high"] < -0.5
    assert one["p_value"] <= one["adjusted"] < 0.001
    null = found.filter(factor="mitigation", groups="permuted", statistic="mean").row(0, named=True)
    assert null["low"] < 0 < null["high"]
    assert null["adjusted"] == 1
    assert found.filter(factor="every", statistic="mean")["value"].item() == pytest.approx(0.7 + 0.095)
    assert found.filter(factor="groups", statistic="slope")["value"].item() == pytest.approx(-0.01)
    few = differences(by_run(pl.DataFrame(rows).filter(pl.col("seed") < 3), ["world", *FACTORS], ["gap"]))
    assert few["low"].null_count() == few["adjusted"].null_count() == few.height
    assert few["reason"].unique().to_list() == ["3 seeds; an interval takes 5"]
    assert differences(by_run(pl.DataFrame(rows[:120]), ["world", *FACTORS], ["gap"])).is_empty()


def test_p_values_are_adjusted_as_holm_does() -> None:
    assert holm([0.01, np.nan, 0.04, 0.03, 0.5]) == pytest.approx([0.04, np.nan, 0.09, 0.09, 0.5], nan_ok=True)


def test_attention_in_rows_and_its_schedules() -> None:
    world = AttentionWorld(1)
    found = {name: run_attention(world, name, Retraining(labels="window"), 0, 40) for name in ("greedy", "uniform")}
    assert found["greedy"].periods.height == 40 * 5
    assert found["greedy"].summary["utility"] != found["uniform"].summary["utility"]
    frozen = run_attention(world, "greedy", Retraining(labels="window", every=0), 0, 40)
    assert not frozen.periods.equals(found["greedy"].periods)
    with pytest.raises(ValueError, match="retraining: 'inverse_propensity' is not allowed in attention"):
        run_attention(world, "greedy", Retraining(labels="inverse_propensity"), 0, 40)
    with pytest.raises(ValueError, match=r"feedback: 0\.1 is not allowed in attention"):
        run_attention(world, "greedy", Retraining(), 0, 40, stress=StressSettings(feedback=0.1))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Retraining.labels: 'some' is not allowed"):
        Retraining(labels="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="periods: 5 is not allowed; allowed: more than the burn-in, 5"):
        run_world(make_world("admission", 100, 5), Unmitigated(), Retraining(), 0, 5)
    with pytest.raises(ValueError, match=r"StressSettings.legitimacy: 1.5 is not allowed"):
        StressSettings(legitimacy=1.5)
    with pytest.raises(ValueError, match=r"StressSettings.unfairness_weight: 0.6 is not allowed; allowed: at most 1"):
        StressSettings(unfairness_weight=0.6)
