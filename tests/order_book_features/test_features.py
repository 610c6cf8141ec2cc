"""Columns of ticks: by hand, against a plain loop, and never from a later row or another stretch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.order_book_features.random_ticks import random_ticks, stretches

from tracebank_models.order_book_features.features import FEATURE_SETS, feature_matrix, keeps_its_scale
from tracebank_models.order_book_features.permuted import outer_levels_permuted
from tracebank_models.order_book_features.targets import NO_LABEL, targets, three_classes
from tracebank_models.order_book_features.ticks import PRICES, Ticks

ALL = (*FEATURE_SETS["paper"], *FEATURE_SETS["book"])


def two_rows(**levels: tuple[float, float]) -> Ticks:
    """One level a side, two rows; a mid of 100 and quantities of 1 unless said."""
    values = {"bid_price": (99.0, 99.0), "bid_qty": (1.0, 1.0), "ask_price": (101.0, 101.0), "ask_qty": (1.0, 1.0)}
    sides = {name: np.array(values[name] if name not in levels else levels[name])[:, None] for name in values}
    return Ticks("v", "S", np.arange(2), "local", **sides, segment=np.zeros(2, np.int32))


@pytest.mark.parametrize(
    ("levels", "flow"),
    [
        ({"bid_qty": (2.0, 5.0)}, 3.0 / 9.0),  # three more at the same bid
        ({"ask_qty": (2.0, 5.0)}, -3.0 / 9.0),
        ({"bid_price": (99.0, 99.5), "bid_qty": (2.0, 5.0)}, 5.0 / 9.0),  # a better bid: all of it is new
        ({"bid_price": (99.0, 98.0), "bid_qty": (2.0, 5.0)}, -2.0 / 9.0),  # the bid is gone
        ({"ask_price": (101.0, 100.0), "ask_qty": (2.0, 5.0)}, -5.0 / 9.0),
        ({"ask_price": (101.0, 102.0), "ask_qty": (2.0, 5.0)}, 2.0 / 9.0),
    ],
)
def test_flow_is_that_of_cont_kukanov_and_stoikov(levels: dict[str, tuple[float, float]], flow: float) -> None:
    assert_allclose(feature_matrix(two_rows(**levels), ["flow_0"])[:, 0], [0.0, flow], rtol=1e-6)


def test_columns_by_hand() -> None:
    ticks = two_rows(bid_qty=(1.0, 3.0), ask_price=(101.0, 103.0))
    names = ["bid_price_0", "ask_price_0", "ask_qty_0", "weighted_mid", "imbalance_0", "micro_price", "spread"]
    by_hand = [
        [-1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1e8 * np.log(101 / 99)],
        [-1.0, 3.0, 1.0, 0.0, 0.5, 1e8 * np.log(102 / 101), 1e8 * np.log(103 / 99)],
    ]
    assert_allclose(feature_matrix(ticks, names), by_hand, rtol=1e-6)
    returns = feature_matrix(
        two_rows(ask_price=(101.0, 103.0)), ["return_1", "return_2", "lag_return_0", "lag_return_1"]
    )
    assert_allclose(returns, [[0, 0, 0, 0], [1e8 * np.log(1.01), 1e8 * np.log(1.01), 1e4 * np.log(1.01), 0]], rtol=1e-6)


def test_the_papers_columns_are_the_book_of_nine_levels() -> None:
    ticks = random_ticks([30], 0)
    features = feature_matrix(ticks, FEATURE_SETS["paper"])
    assert features.shape == (30, 38)
    assert features.dtype == np.float32
    first = ticks.price("mid")[0]
    book = [ticks.ask_price[:, :9] - first, ticks.ask_qty[:, :9], ticks.bid_price[:, :9] - first, ticks.bid_qty[:, :9]]
    assert np.array_equal(features[:, :36], np.hstack(book).astype(np.float32))


@given(stretches())
@settings(max_examples=25, deadline=None)
def test_what_keeps_its_scale_is_within_one_of_zero(ticks: Ticks) -> None:
    kept = [name for name in FEATURE_SETS["book"] if keeps_its_scale(name)]
    assert len(kept) == 20
    assert np.abs(feature_matrix(ticks, kept)).max() <= 1


@given(stretches())
@settings(max_examples=25, deadline=None)
def test_a_stretch_is_alone(ticks: Ticks) -> None:
    """What a stretch shows is what it shows when there is no other."""
    together = feature_matrix(ticks, ALL)
    for number in range(ticks.segment[-1] + 1):
        mine = ticks.segment == number
        assert np.array_equal(feature_matrix(rows_of(ticks, mine), ALL), together[mine])
    firsts = np.flatnonzero(np.diff(ticks.segment, prepend=-1))
    changes = [name for name in ALL if name.startswith(("flow", "return", "lag_return"))]
    assert not feature_matrix(ticks, changes)[firsts].any()


def rows_of(ticks: Ticks, rows: np.ndarray) -> Ticks:
    names = ("times", "bid_price", "bid_qty", "ask_price", "ask_qty", "segment")
    return replace(ticks, **{name: getattr(ticks, name)[rows] for name in names})


@given(stretches(), st.data())
@settings(max_examples=50, deadline=None)
def test_the_future_doubled_changes_nothing_before_it(ticks: Ticks, data: st.DataObject) -> None:
    now = data.draw(st.integers(0, len(ticks) - 1))
    names = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    later = np.where(np.arange(len(ticks)) > now, 2.0, 1.0)[:, None]
    doubled = replace(ticks, **{name: getattr(ticks, name) * later for name in names})
    assert np.array_equal(feature_matrix(doubled, ALL)[: now + 1], feature_matrix(ticks, ALL)[: now + 1])
    longest = int(np.bincount(ticks.segment).max())
    for horizon in {1, longest // 2, longest - 1} & set(range(1, longest)):
        known = max(0, now + 1 - horizon)
        for price in PRICES:
            one, other = (targets(each, price, [horizon])[:known] for each in (ticks, doubled))
            assert np.array_equal(one, other, equal_nan=True)
            one, other = (three_classes(each, price, [horizon], beyond_spread=True) for each in (ticks, doubled))
            assert np.array_equal(one[:known], other[:known])
            # What lies beyond is seen, unless it is in another stretch.
            crossing = np.arange(known, min(now + 1, len(ticks) - horizon))
            crossing = crossing[ticks.segment[crossing] == ticks.segment[crossing + horizon]]
            assert (other[crossing] != NO_LABEL).all()
            assert (targets(doubled, price, [horizon])[crossing] > targets(ticks, price, [horizon])[crossing]).all()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("imbalance_5", "features: 'imbalance_5' is of a level that the ticks have not; allowed: 0 to 4"),
        ("imbalance", "features: 'imbalance' is not known; allowed: weighted_mid, micro_price, spread, ask_price_N, "),
        ("price_0", "features: 'price_0' is not known; allowed: "),
    ],
)
def test_a_column_that_cannot_be_made_is_refused(name: str, line: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as refusal:
        feature_matrix(random_ticks([5], 0, levels=5), [name])
    assert str(refusal.value).startswith(line)


def test_permuted_outer_levels_are_the_same_rows_at_other_times() -> None:
    ticks = random_ticks([50, 50], 0)
    other = outer_levels_permuted(ticks, 1)
    outer = [np.hstack([one.bid_qty[:, 5:], one.ask_qty[:, 5:]]) for one in (ticks, other)]
    assert sorted(map(tuple, outer[0])) == sorted(map(tuple, outer[1]))
    assert (outer[0] != outer[1]).any(axis=1).sum() > 90
    for name in ("bid_price", "ask_price"):
        assert np.array_equal(getattr(ticks, name), getattr(other, name))
    for name in ("bid_qty", "ask_qty"):
        assert np.array_equal(getattr(ticks, name)[:, :5], getattr(other, name)[:, :5])
    with pytest.raises(ValueError, match="levels: 5 a side are not allowed; allowed: more than 5"):
        outer_levels_permuted(random_ticks([9], 0, levels=5), 0)
