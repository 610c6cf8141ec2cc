"""Worlds as gymnasium has them, their closed forms, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
from gymnasium.utils.env_checker import check_env

from tracebank_models.fairness_worlds.allocators import RateEstimates, allocated, at_least
from tracebank_models.fairness_worlds.attention import AttentionWorld
from tracebank_models.fairness_worlds.group_figures import gaps, group_figures
from tracebank_models.fairness_worlds.lending import ClusterWorld
from tracebank_models.fairness_worlds.names import WORLD_NAMES
from tracebank_models.fairness_worlds.one_step import POLICIES, outcome
from tracebank_models.fairness_worlds.population import PopulationWorld
from tracebank_models.fairness_worlds.score_tables import CLUSTERS, FICO, read_percentiles
from tracebank_models.fairness_worlds.worlds import WORLDS, make_world, pooled


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.filterwarnings("ignore:.*alternative render modes")
def test_gymnasium_accepts_the_world(name: str) -> None:
    check_env(make_world(name, 1_000, 5))


@pytest.mark.parametrize("key", ["LendingFICO", "Lending7", "Admission", "Performative"])
def test_a_world_is_made_by_its_id(key: str) -> None:
    world = gym.make(f"tracebank/{key}-v0", people=500, periods=2)
    world.reset(seed=0)
    ends = [world.step(np.ones(500, np.float32))[3] for _ in range(2)]
    assert ends == [False, True]


def test_runs_of_attention_are_made_by_its_id() -> None:
    world = gym.make_vec("tracebank/Attention-v0", num_envs=3, periods=2)
    world.reset(seed=0)
    found, reward, _, ended, info = world.step(np.tile([2, 2, 1, 1, 0], (3, 1)))
    assert found.shape == (3, 5)
    assert np.array_equal(found, np.minimum([2, 2, 1, 1, 0], info["incidents"]))
    assert np.array_equal(reward, found.sum(1))
    assert not ended.any()


def _shares(world: ClusterWorld) -> np.ndarray:
    rows = world.rows()
    return np.stack([np.bincount(rows[world.groups == group], minlength=7) for group in (0, 1)]) / np.bincount(
        world.groups
    ).reshape(2, 1)


def _chain(accepted: np.ndarray) -> np.ndarray:
    """Transitions of clusters under a rule: up with the chance of repayment, else down, and edges stay."""
    chance, chain = CLUSTERS.repayment[0], np.zeros((7, 7))
    for row in range(7):
        chain[row, min(row + 1, 6)] += accepted[row] * chance[row]
        chain[row, max(row - 1, 0)] += accepted[row] * (1 - chance[row])
        chain[row, row] += 1 - accepted[row]
    return chain


def test_who_accepts_all_ends_in_the_left_eigenvector_of_the_birth_death_chain() -> None:
    world, count = ClusterWorld(20_000, 400), 20_000
    world.reset(seed=3)
    for _ in range(300):
        world.step(np.ones(count, np.float32))
    values, vectors = np.linalg.eig(_chain(np.ones(7)).T)
    steady = np.real(vectors[:, np.argmax(np.real(values))])
    steady /= steady.sum()
    assert np.abs(_shares(world) - steady).max() < 4 * np.sqrt(0.25 / 10_000)


def test_most_utility_absorbs_everyone_below_the_threshold() -> None:
    """Shares go as powers of the chain do, to none above it, since no cluster repays for sure."""
    world, chain = ClusterWorld(20_000, 400), _chain((np.arange(7) >= 3) * 1.0)
    world.reset(seed=4)
    for _ in range(60):
        world.step((world.rows() >= 3).astype(np.float32))
    after = CLUSTERS.shares @ np.linalg.matrix_power(chain, 60)
    assert np.abs(_shares(world) - after).max() < 4 * np.sqrt(0.25 / 10_000)
    assert (CLUSTERS.shares @ np.linalg.matrix_power(chain, 20_000))[:, 3:].max() < 1e-9


@pytest.mark.parametrize("policy", POLICIES)
def test_equal_groups_have_no_gap_by_table(policy: str) -> None:
    found = outcome(pooled(FICO), policy)
    for values in (found.threshold, found.selection, found.true_positive, found.change):
        assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_equal_groups_repay_as_before_where_nobody_begins() -> None:
    assert pooled(CLUSTERS).repayment == pytest.approx(CLUSTERS.repayment, abs=1e-12)


@pytest.mark.parametrize("name", WORLDS)
def test_equal_groups_differ_by_luck_alone(name: str) -> None:
    world = make_world(name, 20_000, 3, equal=True)
    observation, _ = world.reset(seed=5)
    accept = (observation["features"][:, 0] > 0).astype(np.float32)
    info = world.step(accept)[4]
    small = info["figures"]["qualified"].min()
    for gap in ("selection_gap", "opportunity_gap", "repayment_gap"):
        assert info["gaps"][gap] < 4 * np.sqrt(0.5 / small)


@pytest.mark.parametrize("name", WORLDS)
def test_rates_and_gaps_are_fairlearns(name: str) -> None:
    world: PopulationWorld = make_world(name, 3_000, 3)
    world.reset(seed=6)
    world.step(np.random.default_rng(1).random(3_000).astype(np.float32))
    last, known = world.last, {"y_true": world.last.qualified * 1, "y_pred": world.last.accepted * 1}
    theirs = {"selection_rate": selection_rate, "true_positive_rate": true_positive_rate}
    theirs["false_positive_rate"] = false_positive_rate
    frame = MetricFrame(metrics=theirs, sensitive_features=last.groups, **known)
    figures = group_figures(last, 2)
    for measure in theirs:
        assert figures[measure] == pytest.approx(frame.by_group[measure].to_numpy(), abs=1e-12)
    apart, found = frame.difference(), gaps(figures)
    assert found["selection_gap"] == pytest.approx(apart["selection_rate"], abs=1e-12)
    assert found["odds_gap"] == pytest.approx(max(apart[["true_positive_rate", "false_positive_rate"]]), abs=1e-12)


@pytest.mark.parametrize("name", ["lending_fico", "lending_7"])
def test_a_shock_takes_its_share_of_the_scale_from_scores_and_from_what_is_seen_of_them(name: str) -> None:
    """A small one, too, where scores are whole: then some lose one and all others nothing."""
    world: Any = make_world(name, 5_000, 3)
    seen, _ = world.reset(seed=0)
    world.scores = np.full(5_000, (world.lowest + world.highest) // 2)
    before, scale = world.scores, world.highest - world.lowest
    for _ in range(10):
        after = world.shock(0.02, 0.5)
    assert (before - world.scores).mean() == pytest.approx(0.1 * scale, abs=1e-3 * scale)
    fell = (seen["features"] - after["features"])[:, 0] * scale / 4
    assert fell == pytest.approx(before - world.scores, abs=1e-3)
    if name == "lending_7":
        assert set(np.unique(world.scores)) == {2.0, 3.0}


@pytest.mark.parametrize("name", ["admission", "performative"])
def test_worlds_whose_scores_do_not_last_refuse_feedback(name: str) -> None:
    world = make_world(name, 100, 3)
    world.reset(seed=0)
    with pytest.raises(ValueError, match=rf"feedback: 0\.1 is not allowed in {name}; allowed: 0"):
        world.shock(0.1, 0.0)


def test_admission_is_gamed_by_those_whom_it_pays() -> None:
    world: Any = make_world("admission", 5_000, 3)
    before, _ = world.reset(seed=7)
    after = world.publish(lambda features, groups: (features[:, 0] * 0.25 + 0.7 >= 0.8) * 1.0)
    raised = after["features"][:, 0] > before["features"][:, 0]
    short, cost = 0.8 - world.scores, world.cost[world.groups]
    assert np.array_equal(raised, (short > 1e-9) & (short * cost <= world.worth))
    assert (short[raised & (world.groups == 0)].max(), short[raised & (world.groups == 1)].max()) == pytest.approx(
        (0.25 / 0.8, 0.25 / 1.2), abs=0.02
    )


def test_people_move_along_the_slope_and_by_nothing_at_epsilon_0() -> None:
    def rule(features: np.ndarray, groups: np.ndarray) -> np.ndarray:
        return np.clip(0.5 + 0.01 * features[:, 0] - 0.01 * features[:, 1], 0, 1)

    still = WORLDS["performative"](1_000, 3, epsilon=0.0)
    moving = WORLDS["performative"](1_000, 3, epsilon=10.0)
    plain, _ = still.reset(seed=8)
    moving.reset(seed=8)
    assert np.array_equal(still.publish(rule)["features"], plain["features"])
    step = moving.publish(rule)["features"] - plain["features"]
    assert step.mean(0) == pytest.approx([0.1] + [0.0] * 9, abs=1e-5)  # the second is none that people can change


def test_rates_of_incidents_are_found_behind_the_censoring() -> None:
    random, rates = np.random.default_rng(9), np.array([[8.0, 3.0, 1.5]])
    estimates = RateEstimates(1, 3, 6, window=4_000)
    for _ in range(4_000):
        placed = random.integers(0, 7, (1, 3))
        estimates.saw(placed, np.minimum(placed, random.poisson(rates)) * 1.0)
    assert estimates.rates == pytest.approx(rates, rel=0.08)
    assert at_least(rates, 3)[2, 0, 2] == pytest.approx(1 - np.exp(-1.5) * 2.5)


def test_the_greedy_one_takes_what_brings_most_and_the_fair_one_what_is_left_behind() -> None:
    random, rates = np.random.default_rng(0), np.array([[8.0, 6.0, 4.0, 3.0, 1.5]])
    assert allocated("greedy", rates, 6, random).tolist() == [[3, 2, 1, 0, 0]]
    fair = allocated("fair_greedy", rates, 6, random, gap=0.1)
    assert fair.sum() == 6
    assert fair[0, -1] > 0
    assert allocated("uniform", np.tile(rates, (400, 1)), 6, random).mean(0) == pytest.approx([1.2] * 5, abs=0.2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shares": FICO.shares * 0.9}, r"shares of Black: a sum of 0\.9 is not allowed; allowed: 1"),
        (
            {"shares": FICO.shares[:, :5]},
            r"shares: shape \(2, 5\) is not allowed; allowed: groups and scores, \(2, 11\)",
        ),
        ({"repayment": FICO.repayment + 0.5}, r"repayment of Black: 1\.2\d* is not allowed; allowed: from 0 to 1"),
        ({"repayment": FICO.repayment * np.nan}, r"repayment of Black: nan is not allowed"),
        ({"weights": np.array([0.5, 0.6])}, r"weights: a sum of 1\.1 is not allowed"),
        ({"scores": FICO.scores[::-1]}, r"scores: not ascending"),
    ],
)
def test_a_table_that_is_no_population_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(FICO, **change)


def test_files_without_a_group_are_refused(tmp_path: Any) -> None:
    for name in ("transrisk_cdf_by_race_ssa", "transrisk_performance_by_race_ssa", "totals"):
        (tmp_path / f"{name}.csv").write_text("Score,Black\n0,1\n")
    with pytest.raises(ValueError, match=r"transrisk_cdf_by_race_ssa\.csv: column 'Non- Hispanic white' is missing"):
        read_percentiles(tmp_path)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (np.ones(3), r"action: shape \(3,\) is not allowed; allowed: one probability a person, \(500,\)"),
        (np.full(500, np.nan), "action: nan for person 0 is not allowed; allowed: from 0 to 1"),
        (np.full(500, 1.5), "action: 1.5 for person 0"),
    ],
)
def test_an_action_that_is_no_probability_is_refused(action: np.ndarray, said: str) -> None:
    world = make_world("lending_fico", 500, 3)
    world.reset(seed=0)
    with pytest.raises(ValueError, match=said):
        world.step(action)


def test_bad_worlds_and_units_are_refused() -> None:
    with pytest.raises(ValueError, match="world: 'mars' is not allowed; allowed: lending_fico, lending_7, admission"):
        make_world("mars", 10, 10)
    with pytest.raises(ValueError, match="people: 0 is not allowed"):
        make_world("admission", 0, 10)
    world = AttentionWorld(2)
    world.reset(seed=0)
    with pytest.raises(
        ValueError, match=r"action: \[7, 0, 0, 0, 0\] of run 1 is not allowed; allowed: at most 6 units"
    ):
        world.step(np.array([[6, 0, 0, 0, 0], [7, 0, 0, 0, 0]]))
    with pytest.raises(ValueError, match="mitigation: 'kind' is not allowed; allowed in attention: greedy"):
        allocated("kind", world.rates, 6, np.random.default_rng(0))


def test_every_named_world_is_there() -> None:
    assert (*WORLDS, AttentionWorld.name) == WORLD_NAMES
