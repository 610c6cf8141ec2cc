"""Every mitigation: the group at prediction, labels that nobody knows, input that nothing can be fitted to, its aim."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from fairlearn.postprocessing import ThresholdOptimizer
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression

from tracebank_models.fairness_mitigation.classifier import LogisticMitigation, Unmitigated
from tracebank_models.fairness_mitigation.inside import ConstrainedClassifier, CovarianceObjective
from tracebank_models.fairness_mitigation.metrics import Floats, Gaps, Ints, gaps, group_metrics
from tracebank_models.fairness_mitigation.post import GroupThresholds
from tracebank_models.fairness_mitigation.pre import independence_weights, massaged_labels
from tracebank_models.fairness_mitigation.protocol import Mitigation
from tracebank_models.fairness_mitigation.registry import MITIGATIONS
from tracebank_models.fairness_mitigation.sample import labelled
from tracebank_models.fairness_mitigation.system import CreditFloor, DelayedImpact, Exploration

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:fairlearn")
NAMES = sorted(MITIGATIONS)
COMPARING = sorted(name for name, kind in MITIGATIONS.items() if kind.compares_groups)
LUCK = np.random.default_rng(0)


class People(NamedTuple):
    features: Floats
    labels: Floats
    groups: Ints
    weights: Floats


def _people(count: int = 800, seed: int = 0, groups: int = 2) -> People:
    """Later groups have a higher first feature, and repay more often too."""
    random = np.random.default_rng(seed)
    codes = np.arange(count) % groups
    features = random.standard_normal((count, 4))
    features[:, 0] += codes
    chance = features[:, 0] + features[:, 1] + 0.5 * codes + random.standard_normal(count)
    return People(features, (chance > 0.8).astype(float), codes, np.ones(count))


def _quick(name: str, **changes: Any) -> LogisticMitigation:
    quick: dict[str, Any] = {"constrained": {"iterations": 8}, "adversarial": {"steps": 60}}.get(name, {})
    return MITIGATIONS[name](**{**quick, **changes})


def _decided(mitigation: Mitigation, people: People, groups: Ints | None = None) -> Floats:
    decider = mitigation.fit(*people)
    return decider.accept(people.features, people.groups if groups is None else groups, LUCK)


def _gaps(mitigation: Mitigation, people: People) -> Gaps:
    return gaps(group_metrics(_decided(mitigation, people), people.labels, people.groups, int(people.groups.max()) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_the_group_is_used_at_prediction_exactly_where_a_mitigation_says_so(name: str) -> None:
    mitigation, people = _quick(name), _people()
    decider = mitigation.fit(*people)
    assert decider.note == ""
    decisions = decider.accept(people.features, people.groups, LUCK)
    assert ((decisions >= 0) & (decisions <= 1)).all()

    @settings(max_examples=10, deadline=None)
    @given(st.permutations(range(40)))
    def unchanged(order: list[int]) -> None:
        some = slice(0, 40)
        found = decider.accept(people.features[some], people.groups[some][order], LUCK)
        np.testing.assert_array_equal(found, decisions[some])

    if mitigation.uses_group_at_prediction:
        assert (decider.accept(people.features, 1 - people.groups, LUCK) != decisions).any()
    else:
        unchanged()


@pytest.mark.parametrize("name", NAMES)
def test_people_whose_labels_nobody_knows_change_nothing(name: str) -> None:
    people = _people(300)
    unknown = np.arange(300) % 3 == 0
    labels = np.where(unknown, np.nan, people.labels)
    features = np.where(unknown[:, None], np.nan, people.features)
    mitigation = _quick(name)
    some = mitigation.fit(
        people.features[~unknown], labels[~unknown], people.groups[~unknown], people.weights[~unknown]
    )
    found = mitigation.fit(features, labels, people.groups, people.weights)
    one, other = (decider.accept(people.features, people.groups, LUCK) for decider in (some, found))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"massaging", "correlation_removal", "constrained"}))
def test_weights_count_people(name: str) -> None:
    """Twice as heavy is there twice."""
    people, twice = _people(400), np.arange(400) % 5 == 0
    heavy = people._replace(weights=np.where(twice, 2.0, 1.0))
    more = People(*(np.concatenate([column, column[twice]]) for column in people))
    one, other = (_quick(name).fit(*some).accept(people.features, people.groups, LUCK) for some in (heavy, more))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_reduction_that_knows_no_weights_is_given_people_as_often_as_they_weigh() -> None:
    sample = labelled(*_people(6)._replace(weights=np.array([3.0, 1, 0, 1, 0.5, 0.5])))
    numbered = replace(sample, features=np.arange(5.0)[:, None])
    assert np.bincount(numbered.evened().features[:, 0].astype(int), minlength=5) == pytest.approx(
        [3, 1, 1, 0, 0], abs=1
    )
    assert numbered.evened().features[:3, 0].max() <= 1
    even = labelled(*_people(6))
    assert even.evened() is even


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_of_one_class_decide_alike_and_say_so(name: str, label: float) -> None:
    people = _people(50)
    decider = _quick(name).fit(people.features, np.full(50, label), people.groups, people.weights)
    assert decider.note == f"all 50 known labels are {label:g}: {'all are' if label else 'none is'} accepted"
    np.testing.assert_array_equal(decider.accept(people.features, people.groups, LUCK), label)


@pytest.mark.parametrize("name", NAMES)
def test_two_labels_are_needed(name: str) -> None:
    people = _people(10)
    labels = np.full(10, np.nan)
    labels[3] = 1
    with pytest.raises(ValueError, match=r"^labels: 1 known is not allowed; allowed: two or more, to fit a rule$"):
        _quick(name).fit(people.features, labels, people.groups, people.weights)


@pytest.mark.parametrize("name", COMPARING)
def test_where_labels_are_known_of_one_group_nothing_is_mitigated_and_that_is_said(name: str) -> None:
    people = _people(200)
    labels = np.where(people.groups == 0, people.labels, np.nan)
    decider = _quick(name).fit(people.features, labels, people.groups, people.weights)
    assert decider.note.startswith("labels are known of group 0 alone: nothing is mitigated")
    plain = _decided(Unmitigated(), people._replace(labels=labels))
    np.testing.assert_array_equal(decider.accept(people.features, people.groups, LUCK), plain)


@pytest.mark.parametrize("name", sorted(name for name in NAMES if MITIGATIONS[name]().uses_group_at_prediction))
def test_a_group_without_labels_is_decided_as_without_mitigation_and_that_is_said(name: str) -> None:
    people = _people(600, groups=3)
    labels = np.where(people.groups == 1, np.nan, people.labels)
    decider = _quick(name).fit(people.features, labels, people.groups, people.weights)
    assert decider.note == "no label is known of group 1: it is decided as without mitigation"
    decisions, own = decider.accept(people.features, people.groups, LUCK), people.groups == 1
    assert 0 < decisions[own].mean() < 1
    if name != "correlation_removal":  # whose model is another one
        plain = _decided(Unmitigated(), people._replace(labels=labels))
        np.testing.assert_array_equal(decisions[own], plain[own])


@pytest.mark.parametrize("kind", [GroupThresholds, ConstrainedClassifier])
@pytest.mark.parametrize("constraint", ["equal_opportunity", "equalised_odds"])
def test_a_group_without_positives_cannot_have_equal_rates_and_that_is_said(kind: Any, constraint: str) -> None:
    people = _people(200)
    labels = np.where(people.groups == 0, 0.0, people.labels)
    decider = kind(constraint=constraint).fit(people.features, labels, people.groups, people.weights)
    assert decider.note == "no known label of group 0 is 1: nothing is mitigated"


@pytest.mark.parametrize("name", NAMES)
def test_features_that_say_nothing_are_fitted_all_the_same(name: str) -> None:
    people = _people(200)._replace(features=np.ones((200, 2)))
    decisions = _decided(_quick(name), people)
    assert np.isfinite(decisions).all()
    for group in (0, 1):
        assert np.ptp(decisions[people.groups == group]) < 1e-12


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"labels": np.full(10, 0.5)}, r"labels: 0\.5 is not allowed; allowed: 0, 1 or NaN"),
        ({"groups": np.full(10, -1)}, "groups: -1 is not allowed; allowed: whole numbers from 0"),
        ({"weights": np.full(10, -1.0)}, r"weights: -1\.0 is not allowed; allowed: finite, none below 0"),
        ({"features": np.full((10, 2), np.inf)}, "features: inf is not allowed; allowed: finite numbers where .*"),
        ({"features": np.ones(10)}, r"features: shape \(10,\) is not allowed; allowed: people and features"),
        ({"groups": np.ones(3)}, r"groups: shape \(3,\) is not allowed; allowed: \(10,\), one a person"),
    ],
)
def test_bad_input_is_one_line(change: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=f"^{line}$"):
        Unmitigated().fit(*_people(10)._replace(**change))


def test_bad_settings_are_one_line() -> None:
    with pytest.raises(ValueError, match=r"^GroupThresholds.constraint: 'parity' is not allowed; allowed: one of "):
        GroupThresholds(constraint="parity")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^Exploration\.share: 0 is not allowed"):
        Exploration(share=0)


@pytest.mark.parametrize(
    ("name", "changes", "gap", "most"),
    [
        ("reweighing", {}, "demographic_parity_difference", 0.98),
        ("massaging", {}, "demographic_parity_difference", 0.95),
        ("correlation_removal", {}, "demographic_parity_difference", 0.3),
        ("constrained", {"iterations": 30}, "demographic_parity_difference", 0.2),
        ("constrained", {"constraint": "equal_opportunity", "iterations": 30}, "equal_opportunity_difference", 0.5),
        ("penalised", {}, "demographic_parity_difference", 0.3),
        ("adversarial", {"steps": 300}, "demographic_parity_difference", 0.5),
        ("group_thresholds", {}, "demographic_parity_difference", 1e-9),
        ("group_thresholds", {"constraint": "equal_opportunity"}, "equal_opportunity_difference", 1e-9),
        ("group_thresholds", {"constraint": "equalised_odds"}, "equalised_odds_difference", 1e-9),
        ("reject_option", {}, "demographic_parity_difference", 0.8),
    ],
)
def test_a_gap_narrows_by_what_is_meant_to_narrow_it(name: str, changes: Any, gap: str, most: float) -> None:
    people = _people(2_000)
    before, after = (getattr(_gaps(one, people), gap) for one in (Unmitigated(), _quick(name, **changes)))
    assert before > 0.1
    assert after <= most * before


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("demographic_parity", "demographic_parity"),
        ("equal_opportunity", "true_positive_rate_parity"),
        ("equalised_odds", "equalized_odds"),
    ],
)
@pytest.mark.parametrize("groups", [2, 3])
def test_thresholds_are_as_accurate_as_those_of_fairlearn_and_no_worse(ours: Any, theirs: str, groups: int) -> None:
    """Corners of hulls are taken where fairlearn takes a grid of 1,000: better by less than a step of it."""
    people = _people(900, groups=groups)
    model = LogisticRegression(C=1 / (1e-4 * 900), tol=1e-8, solver="newton-cholesky").fit(people[0], people[1])
    other = ThresholdOptimizer(
        estimator=model, constraints=theirs, prefit=True, predict_method="predict_proba", objective="accuracy_score"
    ).fit(people.features, people.labels.astype(int), sensitive_features=people.groups)
    expected = other._pmf_predict(people.features, sensitive_features=people.groups)[:, 1]
    found = _decided(GroupThresholds(constraint=ours), people)
    sign = 2 * people.labels - 1
    assert -1e-9 <= (found * sign).mean() - (expected * sign).mean() <= 2e-3
    assert np.abs(found - expected).mean() < 0.02


def test_weights_of_reweighing_make_group_and_label_independent() -> None:
    people = _people(500)
    sample = labelled(*people._replace(weights=np.random.default_rng(3).random(500)))
    weights = sample.weights * independence_weights(sample)
    rates = [np.average(sample.labels[sample.groups == g], weights=weights[sample.groups == g]) for g in (0, 1)]
    assert rates[0] == pytest.approx(rates[1], abs=1e-12)
    assert weights.sum() == pytest.approx(sample.weights.sum())


def test_massaging_evens_shares_by_flipping_the_nearest() -> None:
    sample = labelled(*_people(500))
    ranking = sample.features[:, 1]
    labels = massaged_labels(sample, ranking)
    shares = [labels[sample.groups == group].mean() for group in (0, 1)]
    assert shares[0] == pytest.approx(shares[1], abs=2 / 250)
    assert labels.sum() == sample.labels.sum()
    raised, kept = labels > sample.labels, (labels == 0) & (sample.groups == 0)
    assert ranking[raised].min() >= ranking[kept].max()


def test_the_gradient_of_the_penalised_loss_is_its_slope() -> None:
    sample = labelled(*_people(200, groups=3))
    objective = CovarianceObjective.of(sample, 1e-3, 5.0)
    at = np.random.default_rng(4).standard_normal(5)
    assert check_grad(objective.value, objective.gradient, at) < 1e-5
    step = 1e-6 * np.eye(5)
    slope = np.stack([(objective.gradient(at + one) - objective.gradient(at - one)) / 2e-6 for one in step])
    np.testing.assert_allclose(objective.hessian(at), slope, atol=1e-6)


def test_what_systems_do_is_exact() -> None:
    people = _people(300)
    plain = _decided(Unmitigated(), people)
    explored = _decided(Exploration(share=0.2), people)
    np.testing.assert_allclose(explored, plain + 0.2 * (1 - plain))
    floor = CreditFloor(break_even=0.8, subsidy=0.5, floor=0.1).fit(*people)
    assert floor.threshold == pytest.approx(0.4 / 0.6)  # type: ignore[attr-defined]
    none = DelayedImpact(weight=0)
    np.testing.assert_allclose(none.thresholds(np.array([0.5, 0.5])), 0.5)
    # A loan's break-even chance is .8, and that of the score 150 / 225: the more scores count, the nearer to that.
    fico = DelayedImpact(break_even=0.8, up=75, down=150, weight=0.004)
    small, large = fico.thresholds(np.array([0.12, 0.88]))
    assert 2 / 3 < small < large < 0.8
    assert replace(fico, weight=1e6).thresholds(np.array([0.5, 0.5])) == pytest.approx(2 / 3, abs=1e-6)
