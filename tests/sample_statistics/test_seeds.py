"""Scores over seeds and tasks: by hand, by scipy, and how often intervals are right."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from tracebank_models.sample_statistics.seeds import interquartile_mean, probability_below


def test_the_middle_half_is_what_counts() -> None:
    found = interquartile_mean({"a": [0.0, 1.0, 2.0, 1000.0], "b": [-1000.0, 3.0, 4.0, 5.0]})
    assert found.mean == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert (found.clusters, found.low, found.high) == (4, None, None)
    assert found.standard_error is not None


def test_an_interval_is_of_seeds_drawn_again_within_tasks() -> None:
    """Tasks that differ, seeds that do not: there is nothing to be unsure of."""
    found = interquartile_mean({"a": [1.0] * 5, "b": [9.0] * 5, "c": [5.0] * 5})
    assert (found.mean, found.low, found.high, found.standard_error) == pytest.approx((5, 5, 5, 0))


def test_probabilities_are_those_of_mann_and_whitney() -> None:
    chance = np.random.default_rng(0)
    first = {task: chance.integers(0, 6, 7).astype(float) for task in "ab"}
    second = {task: chance.integers(1, 7, 9).astype(float) for task in "ab"}
    expected = np.mean([stats.mannwhitneyu(second[task], first[task]).statistic / 63 for task in "ab"])
    found, other = probability_below(first, second), probability_below(second, first)
    assert found.mean == pytest.approx(expected)
    assert found.mean + other.mean == pytest.approx(1)
    assert found.clusters == 7
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.mean < found.high


@pytest.mark.parametrize(("first", "probability"), [([1, 2, 3, 4, 5], 1.0), ([9, 9, 9, 9, 9], 0.0)])
def test_a_certain_order_is_certain(first: list[float], probability: float) -> None:
    found = probability_below({"a": first}, {"a": [6, 7, 8, 6, 7]})
    assert (found.mean, found.low, found.high) == (probability,) * 3


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Of normal scores the middle half's mean is their mean; ten seeds on each of four tasks."""
    chance = np.random.default_rng(1)
    held = [
        found.low <= 0 <= found.high  # type: ignore[operator]
        for run in range(300)
        for found in [interquartile_mean({t: chance.normal(size=10) for t in "abcd"}, draws=300, seed=run)]
    ]
    assert 0.88 < np.mean(held) < 0.99


def test_a_seed_repeats_itself() -> None:
    scores = {"a": [1.0, 5.0, 2.0, 8.0, 3.0]}
    assert interquartile_mean(scores, seed=3) == interquartile_mean(scores, seed=3)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"a": [1]}, "first: no task is not allowed"),
        ({"a": []}, {"a": [1]}, "first: [] of task 'a' is not allowed; allowed: finite numbers"),
        ({"a": [1]}, {"a": [float("nan")]}, "second: [nan] of task 'a'"),
        ({"a": [1]}, {"b": [1]}, "second: tasks b are not allowed; allowed: those of first, a"),
    ],
)
def test_what_cannot_be_compared_is_one_line(first: dict, second: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        probability_below(first, second)
    with pytest.raises(ValueError, match=r"confidence: 1\.5"):
        interquartile_mean({"a": [1]}, confidence=1.5)
