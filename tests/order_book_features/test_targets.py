"""Targets: the paper's scale, the three prices, classes beyond the spread, and where a stretch ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.order_book_features.random_ticks import random_ticks, stretches

from tracebank_models.order_book_features.targets import DOWN, NO_LABEL, SAME, UP, target_scale, targets, three_classes
from tracebank_models.order_book_features.ticks import PRICES, Price, Ticks


@pytest.mark.parametrize("price", PRICES)
def test_targets_are_returns_over_the_papers_scale(price: Price) -> None:
    ticks = random_ticks([50], 0)
    value = ticks.price(price)
    returns = 1e4 * np.log(value[30:] / value[:-30])
    assert_allclose(targets(ticks, price, [1, 30], scaled=False)[:-30, 1], returns, rtol=1e-6)
    assert_allclose(targets(ticks, price, [30])[:-30, 0], returns / (1.1 * 30**0.5 + 0.3), rtol=1e-6)
    assert_allclose(target_scale([1, 4]), [1.11, 2.24])


@given(stretches(), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_there_is_no_target_beyond_a_stretch(ticks: Ticks, horizon: int) -> None:
    longest = int(np.bincount(ticks.segment).max())
    if horizon >= longest:
        with pytest.raises(ValueError, match=f"horizons: {horizon} is not allowed; allowed: 1 to {longest - 1}, "):
            targets(ticks, "mid", [horizon])
        return
    left = np.concatenate([np.arange(n)[::-1] for n in np.bincount(ticks.segment)])
    assert np.array_equal(np.isnan(targets(ticks, "mid", [horizon])[:, 0]), left < horizon)
    labels = three_classes(ticks, "mid", [horizon], beyond_spread=False)[:, 0]
    assert np.array_equal(labels == NO_LABEL, left < horizon)


def moving(bids: list[float], asks: list[float]) -> Ticks:
    one = np.ones((len(bids), 1))
    prices = (np.array(side)[:, None] for side in (bids, asks))
    bid, ask = prices
    return Ticks("v", "S", np.arange(len(bids)), "local", bid, one, ask, one, np.zeros(len(bids), np.int32))


def test_classes_with_and_without_the_spread() -> None:
    # The mid stays (of other quotes, and floats that differ), rises by less than the spread, by more, by the spread (in
    # floats by more), and falls by more.
    bids = [30001.5, 30001.4, 30001.6, 30002.5, 30002.7, 30001.0]
    asks = [30001.6, 30001.7, 30001.7, 30002.7, 30002.9, 30001.2]
    ticks = moving(bids, asks)
    for beyond_spread, expected in ((False, [SAME, UP, UP, UP, DOWN]), (True, [SAME, SAME, UP, SAME, DOWN])):
        classes = three_classes(ticks, "mid", [1], beyond_spread=beyond_spread)
        assert classes.dtype == np.int8
        assert classes[:, 0].tolist() == [*expected, NO_LABEL]
