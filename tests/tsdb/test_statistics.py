"""Medians, ranks and growth, held against what must hold for any samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_benchmarks.tsdb.statistics import READ_NOISE, RUN_NOISE, growth, median_interval, ranking

TIMES = st.lists(st.floats(1e-6, 100), min_size=5, max_size=30)


@settings(max_examples=50, deadline=None)
@given(TIMES, st.integers(0, 99))
def test_the_median_lies_in_its_interval_and_the_interval_among_the_samples(samples: list[float], seed: int) -> None:
    found = median_interval(samples, seed)
    assert found.value == float(np.median(samples))
    assert min(samples) <= found.low <= found.high <= max(samples)
    assert found == median_interval(samples, seed)


def test_intervals_hold_the_true_median_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    intervals = [median_interval(list(rng.exponential(1.0, 25)), seed) for seed in range(200)]
    inside = sum(one.low <= math.log(2) <= one.high for one in intervals)
    assert 0.88 <= inside / 200 <= 0.99


def test_too_few_samples_have_no_interval_and_no_place() -> None:
    for few in ([], [1.0], [1.0, 1.1, 1.2, 1.3]):
        with pytest.raises(ValueError, match="at least 5 samples"):
            median_interval(few)
    with pytest.raises(ValueError, match="a has 1 samples of x; a place needs 5"):
        ranking({"a": {"x": [1.0]}, "b": {"x": [2.0] * 5}})


def five(seconds: float) -> list[float]:
    """Samples that are all alike."""
    return [seconds] * 5


def test_the_ranking_is_the_geometric_mean_over_the_best() -> None:
    found = ranking({"a": {"x": five(0.999), "y": five(0.009)}, "b": {"x": five(1.999), "y": five(0.039)}})
    assert list(found) == ["a", "b"]
    assert found["a"].value == pytest.approx(1.0)
    assert found["b"].value == found["b"].behind == pytest.approx(math.sqrt(2 * 4))
    assert ranking({}) == {}


def test_leaving_out_what_is_hard_does_not_pay() -> None:
    found = ranking({"all": {"easy": five(0.01), "hard": five(9.0)}, "half": {"easy": five(0.01)}})
    assert list(found) == ["all", "half"]
    assert found["half"].value > 1.3


def test_no_way_to_fail_ranks_above_a_slow_right_answer_or_another_way_to_fail() -> None:
    reads = {f"r{number}": five(0.01) for number in range(9)}
    times = {"quick": {**reads, "hard": five(0.01)}, "slow": {**reads, "hard": five(59.0)},
             "late": reads, "unable": reads}  # fmt: skip
    found = ranking(times, {"late": {"hard": 60.0}})
    assert list(found)[:2] == ["quick", "slow"]
    assert found["late"].value == found["unable"].value > found["slow"].value
    assert found["late"].value == pytest.approx((120.001 / 0.011) ** 0.1, rel=1e-6)
    without = ranking({name: times[name] for name in ("quick", "late")}, {"late": {"hard": 60.0}})
    assert without["late"].value == pytest.approx((120.001 / 0.011) ** 0.1, rel=1e-6), "twice the limit, not the best"
    own_limit = ranking({"quick": times["quick"], "late": reads}, {"late": {"hard": 600.0}})
    assert own_limit["late"].value > without["late"].value
    assert list(ranking({"late": reads, "other": reads}, {"late": {"hard": 60.0}})) == ["late", "other"], (
        "a read that nobody answered counts for nobody")  # fmt: skip


def test_a_first_is_surely_ahead_only_where_it_is_by_more_than_chance() -> None:
    far = ranking({"a": {"x": [0.1, 0.11, 0.12, 0.1, 0.11]}, "b": {"x": [0.9, 0.91, 0.92, 0.9, 0.91]}})
    assert far["b"].surely
    assert not far["a"].surely
    near = ranking({"a": {"x": [0.1, 0.11, 0.12, 0.1, 0.11]}, "b": {"x": [0.11, 0.12, 0.13, 0.11, 0.12]}})
    assert not near["b"].surely


@pytest.mark.parametrize("reads", [1, 5, 28])
def test_two_engines_of_one_distribution_have_no_winner(reads: int) -> None:
    """With samples that scatter, and engines and reads that differ from run to run as much as is known of them."""
    rng = np.random.default_rng(reads)
    named, runs = 0, 300 if reads < 9 else 90
    for _ in range(runs):
        times = {}
        for engine in "ab":
            centre = 0.01 * np.exp(rng.normal(0, RUN_NOISE) + rng.normal(0, READ_NOISE, reads))
            times[engine] = {f"R{read}": list(centre[read] * rng.lognormal(0, 0.1, 5)) for read in range(reads)}
        named += list(ranking(times).values())[1].surely
    assert named <= runs // 100, f"{named} winners in {runs} runs of nobody"


def test_growth_is_the_slope_of_the_logarithms() -> None:
    assert growth([1, 10, 100], [0.1, 1.0, 10.0]) == pytest.approx(1.0)
    assert growth([1, 100], [0.1, 1.0]) == pytest.approx(0.5)
    assert growth([1, 1], [0.1, 1.0]) is None
