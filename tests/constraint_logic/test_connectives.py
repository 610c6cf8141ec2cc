"""Algebra of the connectives: what holds of every p and both families, on NumPy and on torch."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tracebank_models.constraint_logic.connectives import FAMILIES, Family, conjunction, disjunction, negation

_P = st.one_of(st.floats(1, 60), st.just(math.inf))
_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=5).map(np.array)
_FAMILY = st.sampled_from(FAMILIES)


@given(_VALUES, _P, _FAMILY)
def test_de_morgan_is_exact(values: np.ndarray, p: float, family: Family) -> None:
    assert negation(conjunction(values, p, family)) == pytest.approx(
        disjunction(negation(values), p, family), abs=1e-12
    )
    assert negation(disjunction(values, p, family)) == pytest.approx(
        conjunction(negation(values), p, family), abs=1e-12
    )


@given(_VALUES, _P, _FAMILY)
def test_all_is_at_most_the_least_and_any_at_least_the_largest(values: np.ndarray, p: float, family: Family) -> None:
    assert -1e-12 <= conjunction(values, p, family) <= values.min() + 1e-12
    assert values.max() - 1e-12 <= disjunction(values, p, family) <= 1 + 1e-12


@given(_VALUES, st.integers(0, 4), st.floats(0, 1), _P, _FAMILY)
def test_more_of_one_is_never_less_of_all(values: np.ndarray, at: int, more: float, p: float, family: Family) -> None:
    raised = values.copy()
    raised[at % len(values)] = max(raised[at % len(values)], more)
    for joined in (conjunction, disjunction):
        assert joined(raised, p, family) >= joined(values, p, family) - 1e-12


@given(_VALUES, _P, _FAMILY, st.randoms())
def test_order_does_not_matter(values: np.ndarray, p: float, family: Family, chance) -> None:
    shuffled = values.copy()
    chance.shuffle(shuffled)
    for joined in (conjunction, disjunction):
        assert joined(shuffled, p, family) == pytest.approx(joined(values, p, family), abs=1e-12)


@given(st.floats(0, 1), _P, _FAMILY)
def test_what_is_certain_changes_nothing(value: float, p: float, family: Family) -> None:
    assert conjunction(np.array([value, 1.0]), p, family) == pytest.approx(value, abs=1e-12)
    assert disjunction(np.array([value, 0.0]), p, family) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, 8.0, math.inf])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_on_true_and_false_it_is_logic(p: float, family: Family, size: int) -> None:
    values = np.array(list(product([0.0, 1.0], repeat=size)))
    assert conjunction(values, p, family).tolist() == values.min(axis=1).tolist()
    assert disjunction(values, p, family).tolist() == values.max(axis=1).tolist()


def test_with_p_it_goes_to_the_least_as_measured() -> None:
    values = np.random.default_rng(0).random((200_000, 3))
    gaps = [float(np.abs(conjunction(values, p) - values.min(axis=1)).mean()) for p in (1.0, 2.0, 4.0, 8.0, math.inf)]
    assert gaps == pytest.approx([0.21, 0.12, 0.05, 0.015, 0], abs=0.006)


@pytest.mark.parametrize("p", [1.0, 2.0, 5.0, math.inf])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_finite_where_all_is_satisfied_and_where_nothing_is(p: float, family: Family) -> None:
    for level in (0.0, 0.5, 1.0):
        values = torch.full((2, 3), level, dtype=torch.float64, requires_grad=True)
        for joined in (conjunction, disjunction):
            (gradient,) = torch.autograd.grad(joined(values, p, family).sum(), values)
            assert torch.isfinite(gradient).all()
            plain = joined(values.detach().numpy(), p, family)
            assert joined(values, p, family).tolist() == pytest.approx(plain.tolist(), abs=1e-12)
