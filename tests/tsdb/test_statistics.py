"""Medians, ranks and rank tests, held against enumeration and against what must hold for any samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_benchmarks.tsdb.statistics import corrected, growth, median_interval, rank_test, ranking

TIMES = st.lists(st.floats(1e-6, 100), min_size=1, max_size=30)


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


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        median_interval([])
    with pytest.raises(ValueError, match="both sides"):
        rank_test([], [1.0])


def _enumerated(earlier: list[float], later: list[float]) -> float:
    """Share of all ways to call so many of the samples `later` whose U is at least the found one."""
    everything = np.array([*earlier, *later])

    def u(chosen: tuple[int, ...]) -> float:
        b = everything[list(chosen)]
        a = np.delete(everything, list(chosen))
        return float((b[:, None] > a).sum() + 0.5 * (b[:, None] == a).sum())

    found = u(tuple(range(len(earlier), len(everything))))
    ways = [u(chosen) for chosen in itertools.combinations(range(len(everything)), len(later))]
    return sum(way >= found for way in ways) / len(ways)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(9)), st.integers(1, 8))
def test_the_exact_rank_test_is_what_enumeration_gives(order: list[int], cut: int) -> None:
    samples = [float(value) for value in order]
    earlier, later = samples[:cut], samples[cut:]
    assert rank_test(earlier, later).p_value == pytest.approx(_enumerated(earlier, later), abs=1e-12)


def test_the_normal_rank_test_is_near_enumeration_with_ties() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        earlier, later = ([float(v) for v in rng.integers(0, 5, 7)] for _ in range(2))
        assert rank_test(earlier, later).p_value == pytest.approx(_enumerated(earlier, later), abs=0.05)
    assert rank_test([1.0] * 9, [1.0] * 9).p_value == 1.0


def test_false_alarms_are_as_rare_as_they_should_be_and_slowdowns_are_found() -> None:
    rng = np.random.default_rng(5)
    same = [rank_test(list(rng.exponential(1, 30)), list(rng.exponential(1, 30))).p_value for _ in range(400)]
    assert 0.02 <= np.mean(np.array(same) < 0.05) <= 0.09
    slower = rank_test(list(rng.normal(1.0, 0.05, 30)), list(rng.normal(1.2, 0.05, 30)))
    faster = rank_test(list(rng.normal(1.2, 0.05, 30)), list(rng.normal(1.0, 0.05, 30)))
    assert slower.p_value < 1e-6 < 0.5 < faster.p_value
    assert slower.ratio == pytest.approx(1.2, rel=0.05)


def test_many_comparisons_are_corrected() -> None:
    assert corrected({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert corrected({}) == {}


def test_the_ranking_is_the_geometric_mean_over_the_best() -> None:
    found = ranking({"a": {"x": [0.999], "y": [0.009]}, "b": {"x": [1.999], "y": [0.039]}})
    assert list(found) == ["a", "b"]
    assert found["a"].value == pytest.approx(1.0)
    assert found["b"].value == pytest.approx(math.sqrt(2 * 4))
    assert ranking({}) == {}


def test_leaving_out_what_is_hard_does_not_pay() -> None:
    found = ranking({"all": {"easy": [0.01], "hard": [9.0]}, "half": {"easy": [0.01]}})
    assert list(found) == ["all", "half"]
    assert found["half"].value > 1.3


def test_intervals_of_ranks_overlap_where_the_engines_are_alike() -> None:
    rng = np.random.default_rng(2)
    noisy = {name: {w: list(rng.exponential(0.1, 9)) for w in "xyz"} for name in "ab"}
    first, second = ranking(noisy).values()
    assert first.high > second.low
    far = ranking({"a": {"x": [0.1, 0.11, 0.12]}, "b": {"x": [0.9, 0.91, 0.92]}})
    assert far["a"].high < far["b"].low


def test_growth_is_the_slope_of_the_logarithms() -> None:
    assert growth([1, 10, 100], [0.1, 1.0, 10.0]) == pytest.approx(1.0)
    assert growth([1, 100], [0.1, 1.0]) == pytest.approx(0.5)
    assert growth([1, 1], [0.1, 1.0]) is None
