"""Metrics against fairlearn's, what is not defined, and intervals of gaps."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from fairlearn import metrics as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tracebank_models.fairness_mitigation.intervals import gap_interval
from tracebank_models.fairness_mitigation.metrics import gaps, gini_between, group_metrics

Codes = NDArray[np.int64]
PEOPLE = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 2)), min_size=2, max_size=60)


def _arrays(people: list[tuple[int, int, int]]) -> tuple[Codes, Codes, Codes]:
    accepted, labels, groups = np.array(people).T
    return accepted, labels, np.unique(groups, return_inverse=True)[1]


def _there(labels: Codes, groups: Codes, label: int) -> bool:
    return all((labels[groups == group] == label).any() for group in np.unique(groups))


@settings(max_examples=40, deadline=None)
@given(PEOPLE)
def test_metrics_are_those_of_fairlearn(people: list[tuple[int, int, int]]) -> None:
    accepted, labels, groups = _arrays(people)
    count = int(groups.max()) + 1
    ours = group_metrics(accepted, labels, groups, count)
    found = gaps(ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ratios and precisions that are not defined
        frame = theirs.MetricFrame(
            metrics={
                "selection_rate": theirs.selection_rate,
                "true_positive_rate": lambda y, p: theirs.true_positive_rate(y, p, pos_label=1),
                "false_positive_rate": lambda y, p: theirs.false_positive_rate(y, p, pos_label=1),
                "count": theirs.count,
            },
            y_true=labels,
            y_pred=accepted,
            sensitive_features=groups,
        )
    by_group = frame.by_group.to_numpy().T
    np.testing.assert_allclose(ours.selection_rate, by_group[0], atol=1e-12)
    # Where nobody is positive fairlearn says 0, and here it is not known.
    np.testing.assert_allclose(np.nan_to_num(ours.true_positive_rate), by_group[1], atol=1e-12)
    np.testing.assert_allclose(np.nan_to_num(ours.false_positive_rate), by_group[2], atol=1e-12)
    np.testing.assert_array_equal(ours.people, by_group[3])
    keys = {"sensitive_features": groups}
    assert found.demographic_parity_difference == pytest.approx(
        theirs.demographic_parity_difference(labels, accepted, **keys), abs=1e-12
    )
    if accepted.any():
        assert found.demographic_parity_ratio == pytest.approx(
            theirs.demographic_parity_ratio(labels, accepted, **keys), abs=1e-12
        )
    if _there(labels, groups, 1):
        assert found.equal_opportunity_difference == pytest.approx(
            theirs.equal_opportunity_difference(labels, accepted, **keys), abs=1e-12
        )
        if _there(labels, groups, 0):
            assert found.equalised_odds_difference == pytest.approx(
                theirs.equalized_odds_difference(labels, accepted, **keys), abs=1e-12
            )


@settings(max_examples=30, deadline=None)
@given(PEOPLE)
def test_precision_is_that_of_scikit_learn(people: list[tuple[int, int, int]]) -> None:
    from sklearn.metrics import precision_score

    accepted, labels, groups = _arrays(people)
    ours = group_metrics(accepted, labels, groups, int(groups.max()) + 1).positive_predictive_value
    for group, rate in enumerate(ours):
        own = groups == group
        if accepted[own].any():
            assert rate == pytest.approx(precision_score(labels[own], accepted[own]), abs=1e-12)
        else:
            assert np.isnan(rate)


def test_a_group_without_positives_has_no_rate_where_fairlearn_says_0() -> None:
    labels, accepted, groups = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])
    assert np.isnan(gaps(group_metrics(accepted, labels, groups, 2)).equal_opportunity_difference)
    assert theirs.equal_opportunity_difference(labels, accepted, sensitive_features=groups) == 0.5
    assert np.isnan(gaps(group_metrics(accepted, labels, np.zeros(4), 2)).demographic_parity_difference)


def test_periods_at_once_are_periods_one_by_one_and_unknown_labels_are_left_out() -> None:
    random = np.random.default_rng(0)
    accepted, groups = random.integers(0, 2, (5, 200)), random.integers(0, 3, 200)
    labels = np.where(random.random((5, 200)) < 0.3, np.nan, random.integers(0, 2, (5, 200)))
    scores, utilities = random.random((5, 200)), random.normal(size=(5, 200))
    whole = group_metrics(accepted, labels, groups, 3, scores, utilities)
    for period in range(5):
        one = group_metrics(accepted[period], labels[period], groups, 3, scores[period], utilities[period])
        for name in one.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(whole, name)[period], getattr(one, name))
    known = ~np.isnan(labels[0])
    some = group_metrics(accepted[0][known], labels[0][known], groups[known], 3, scores[0][known])
    for name in ("true_positive_rate", "false_positive_rate", "positive_predictive_value", "calibration_gap"):
        np.testing.assert_allclose(getattr(whole, name)[0], getattr(some, name), atol=1e-12)
    assert whole.calibration_gap[0, 1] == pytest.approx(
        (scores[0] - labels[0])[known & (groups == 1)].mean(), abs=1e-12
    )


def test_ginis_index_between_groups_is_that_over_people_who_have_their_groups_mean() -> None:
    means, sizes = np.array([1.0, 3.0, 6.0]), np.array([5, 3, 2])
    people = np.repeat(means, sizes)
    gini = np.abs(people[:, None] - people).mean() / (2 * people.mean())
    assert gini_between(means, sizes / 10) == pytest.approx(gini)
    np.testing.assert_allclose(gini_between(np.full((4, 3), 2.0), sizes / 10), 0, atol=1e-15)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"labels": [0, 2]}, "labels: 2 is not allowed; allowed: 0, 1 or NaN"),
        ({"groups": [0, 5]}, "groups: 5 is not allowed; allowed: whole numbers from 0 to 1"),
        ({"labels": [0, 1, 1]}, r"labels: shape \(3,\) is not allowed; allowed: that of accepted, \(2,\)"),
    ],
)
def test_bad_arrays_are_one_line(change: dict[str, list[int]], line: str) -> None:
    arrays = {"accepted": [0, 1], "labels": [0, 1], "groups": [0, 1], **change}
    with pytest.raises(ValueError, match=f"^{line}$"):
        group_metrics(**arrays, count=2)


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_of_equal_groups_hold_0_as_often_as_they_say(clustered: bool) -> None:
    """People who are seen ten times are ten alike decisions: drawn one by one they would be missed far too often."""
    random, runs, covered, naive = np.random.default_rng(1), 200, 0, 0
    for run in range(runs):
        people = 150 if clustered else 600
        groups, labels = random.integers(0, 2, people), random.integers(0, 2, people)
        accepted = random.random(people) < 0.4
        times, units = (10, np.arange(people).repeat(10)) if clustered else (1, None)
        arrays = [array.repeat(times) for array in (accepted, labels, groups)]
        covered += gap_interval("equalised_odds", *arrays, units, draws=200, seed=run).low == 0
        naive += clustered and gap_interval("equalised_odds", *arrays, draws=200, seed=run).low == 0
    spread = 3 * np.sqrt(0.95 * 0.05 / runs)
    assert 0.95 - spread <= covered / runs <= 0.95 + spread
    if clustered:
        assert naive / runs < 0.6


def test_an_interval_holds_a_true_gap_and_no_interval_has_a_reason() -> None:
    random, runs = np.random.default_rng(2), 100
    groups, labels = np.arange(1_000) % 2, np.arange(1_000) // 2 % 2
    covered = 0
    for run in range(runs):
        accepted = random.random(1_000) < np.where(groups * labels == 1, 0.7, 0.5)
        found = gap_interval("equalised_odds", accepted, labels, groups, draws=200, seed=run)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.2 <= found.high
    assert covered >= 88
    few = gap_interval("demographic_parity", [1, 0, 1], [1, 1, 0], [0, 1, 1])
    assert (few.gap, few.low, few.reason) == (0.5, None, "3 units; an interval takes 5")
    none = gap_interval("equal_opportunity", [1] * 6, [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1])
    assert np.isnan(none.gap)
    assert none.reason == "a group has nobody of whom the rate is"
    with pytest.raises(ValueError, match=r"accepted: 0\.5 is not allowed; allowed: 0 or 1"):
        gap_interval("equal_opportunity", [0.5, 1], [1, 0], [0, 1])
