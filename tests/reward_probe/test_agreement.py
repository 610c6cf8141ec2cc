"""Kendall's tau over words and over draws of them, with scipy's as the oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from tracebank_models.reward_probe.agreement import METRICS, Measured, WordDraws, kendall_taus


def test_tau_of_a_draw_is_that_of_its_words_written_out() -> None:
    chance = np.random.default_rng(0)
    scores, truth = chance.normal(size=14).round(1), chance.integers(0, 4, 14).astype(float)
    times = chance.multinomial(14, np.full(14, 1 / 14), size=30).astype(float)
    found = kendall_taus(scores, truth, times)
    for row, tau in zip(times.astype(int), found, strict=True):
        assert tau == pytest.approx(kendalltau(np.repeat(scores, row), np.repeat(truth, row)).statistic)
    assert np.isnan(kendall_taus(scores, np.ones(14), times)).all()


def test_the_sign_alone_has_a_high_tau_and_none_within_a_sign() -> None:
    valences = np.array([*range(1, 9), *range(-7, 0)], float)
    figures = WordDraws(valences, seed=0, draws=50).measured(np.sign(valences)).figures()
    every, *within = figures["value"]
    assert every == pytest.approx(math.sqrt(8 * 7 / (15 * 14 / 2)))
    assert within == [None, None, None]
    assert figures["low"][1:].to_list() == figures["high"][1:].to_list() == [None] * 3
    assert figures["count"].to_list() == [15, 8, 7, 15]


@pytest.mark.parametrize("positive", [0, 4])
def test_nothing_is_said_of_fewer_than_five_words(positive: int) -> None:
    valences = np.array([*range(1, positive + 1), *range(-9, 0)], float)
    found = WordDraws(valences, seed=0, draws=20).measured(valences)
    for figures in (found.figures(np.zeros((3, 4))), found.less(found)):
        assert all(figures[name].null_count() == len(METRICS) for name in ("value", "low", "high", "p_value"))


def test_intervals_hold_the_value_and_shrink_with_more_words() -> None:
    chance = np.random.default_rng(1)
    widths = []
    for words in (20, 200):
        valences = np.concatenate([chance.uniform(1, 3, words), -chance.uniform(1, 3, words)])
        found = WordDraws(valences, seed=0, draws=400).measured(valences + chance.normal(size=2 * words)).figures()
        assert (found["low"] < found["value"]).all()
        assert (found["value"] < found["high"]).all()
        widths.append(found["high"][3] - found["low"][3])
    assert widths[1] < widths[0] / 2.5


def test_a_wider_interval_is_so_around_its_value() -> None:
    valences = np.array([*range(1, 9), *range(-8, 0)], float)
    scores = np.random.default_rng(0).normal(size=16)
    plain, wide = (WordDraws(valences, seed=0, draws=99).measured(scores, widening=by).figures() for by in (1.0, 1.5))
    assert wide["value"].to_list() == plain["value"].to_list()
    for name in ("low", "high"):
        assert (wide[name] - wide["value"]).to_list() == pytest.approx((1.5 * (plain[name] - plain["value"])).to_list())


def test_p_values_count_what_knows_nothing() -> None:
    valences = np.array([*range(1, 7), *range(-6, 0)], float)
    found = WordDraws(valences, seed=0, draws=20).measured(valences)
    null = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
    assert found.figures(null)["p_value"].to_list() == [0.5, 0.75, 0.25, 0.25]
    assert found.less(found)["p_value"].to_list() == [1.0] * 4


def test_what_is_not_defined_counts_as_chance() -> None:
    """Draws of one word alone have no tau; with few words of a sign there are some."""
    nothing = np.full((8, 4), np.nan)
    null = np.array([[0.0, 0, 0, 0], *nothing[:3]])
    one, other = (Measured(METRICS, np.full(4, value), (9,) * 4, np.full((10, 4), value)) for value in (0.5, 0.1))
    assert one.figures(null)["p_value"].to_list() == [4 / 5] * 4
    assert one.less(other)["p_value"].to_list() == pytest.approx([2 / 11] * 4)
    partly = Measured(METRICS, one.values, one.counts, np.vstack([one.drawn[:2], nothing]))
    assert partly.less(other)["p_value"].to_list() == [1.0] * 4
