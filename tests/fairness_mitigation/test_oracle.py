"""Best policies on tables: the released figures, linear programmes, and what their constraints say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from tracebank_models.fairness_mitigation.metrics import Floats
from tracebank_models.fairness_mitigation.oracle import GRID, Policy, Table, best_policy

CLUSTERS = Table(
    np.array([0.5, 0.5]),
    np.array([[0, 0.1, 0.1, 0.2, 0.3, 0.3, 0], [0.1, 0.1, 0.2, 0.3, 0.3, 0, 0]]),
    np.tile([0.1, 0.2, 0.45, 0.6, 0.65, 0.7, 0.7], (2, 1)),
)


def _rates(table: Table, accepted: Floats) -> dict[str, Floats]:
    good, bad = table.shares * table.chances, table.shares * (1 - table.chances)
    return {
        "selection": (table.shares * accepted).sum(1),
        "true": (good * accepted).sum(1) / good.sum(1),
        "false": (bad * accepted).sum(1) / bad.sum(1),
    }


def _drawn(seed: int, groups: int, scores: int) -> Table:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.ones(scores), groups)
    return Table(random.dirichlet(np.ones(groups)), shares, random.uniform(0.02, 0.98, (groups, scores)))


def _best(table: Table, policy: Policy, break_even: float) -> float:
    """Utility of the best policy by a linear programme over all cells."""
    groups, scores = table.shares.shape
    good, bad = table.shares * table.chances, table.shares * (1 - table.chances)
    measures: dict[str, list[Any]] = {
        "maximum_utility": [],
        "demographic_parity": [table.shares],
        "equal_opportunity": [good / good.sum(1, keepdims=True)],
        "equalised_odds": [part / part.sum(1, keepdims=True) for part in (good, bad)],
    }
    rows = []
    for measure in measures[policy]:
        for group in range(1, groups):
            row = np.zeros((groups, scores))
            row[0], row[group] = measure[0], -measure[group]
            rows.append(row.ravel())
    equal = {"A_eq": np.array(rows), "b_eq": np.zeros(len(rows))} if rows else {}
    return -float(linprog(-table.worth(break_even).ravel(), bounds=(0, 1), **equal).fun)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 3),
    st.integers(1, 6),
    st.floats(0.1, 0.9),
    st.sampled_from(["maximum_utility", "demographic_parity", "equal_opportunity", "equalised_odds"]),
)
def test_policies_are_the_optima_of_linear_programmes(
    seed: int, groups: int, scores: int, break_even: float, policy: Policy
) -> None:
    table = _drawn(seed, groups, scores)
    accepted = best_policy(table, policy, break_even)
    assert ((accepted >= 0) & (accepted <= 1)).all()
    found, best = float((table.worth(break_even) * accepted).sum()), _best(table, policy, break_even)
    slack = 1 / GRID if policy == "equalised_odds" else 1e-9
    assert best - slack <= found <= best + 1e-9
    rates = _rates(table, accepted)
    held = {"demographic_parity": ["selection"], "equal_opportunity": ["true"], "equalised_odds": ["true", "false"]}
    for name in held.get(policy, []):
        assert np.ptp(rates[name]) < 1e-9


def test_policies_of_ml_fairness_gyms_lending() -> None:
    """Its first policy under equal opportunity: a rate of .890, the second group by lot at cluster 2."""
    np.testing.assert_array_equal(best_policy(CLUSTERS, "maximum_utility", 0.5)[:, 2:4], [[0, 1], [0, 1]])
    accepted = best_policy(CLUSTERS, "equal_opportunity", 0.5)
    np.testing.assert_allclose(accepted[0, [2, 3, 4, 5]], [0, 1, 1, 1])
    np.testing.assert_allclose(accepted[1, [1, 2, 3, 4]], [0, 0.727, 1, 1], atol=5e-4)
    np.testing.assert_allclose(_rates(CLUSTERS, accepted)["true"], 0.8898, atol=5e-5)


@pytest.mark.parametrize("policy", ["demographic_parity", "equal_opportunity"])
@pytest.mark.parametrize("step", [None, 0.01])
def test_many_tables_at_once_are_tables_one_by_one(policy: Policy, step: float | None) -> None:
    tables = [_drawn(seed, 2, 5) for seed in range(20)]
    weights = tables[0].weights
    many = Table(weights, *(np.stack([getattr(one, name) for one in tables]) for name in ("shares", "chances")))
    found = best_policy(many, policy, 0.5, "score", step)
    for one, accepted in zip(tables, found, strict=True):
        np.testing.assert_array_equal(accepted, best_policy(replace(one, weights=weights), policy, 0.5, "score", step))


def test_scores_are_taken_from_the_last_column_where_that_is_asked_for() -> None:
    table = Table(np.ones(1), np.full((1, 3), 1 / 3), np.array([[0.9, 0.1, 0.6]]))
    np.testing.assert_allclose(best_policy(table, "demographic_parity", 0.5, "chance"), [[1, 0, 1]])
    np.testing.assert_allclose(best_policy(table, "demographic_parity", 0.5, "score"), [[0, 0, 1]])


def test_people_who_cannot_repay_are_never_accepted_for_equal_opportunity() -> None:
    table = Table(np.full(2, 0.5), np.full((2, 2), 0.5), np.array([[0.0, 1.0], [0.0, 0.5]]))
    np.testing.assert_array_equal(best_policy(table, "equal_opportunity", 0.5), [[0, 1], [0, 1]])
