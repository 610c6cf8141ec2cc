"""The probe of words: planted knowledge is found; memory of words, and nothing, are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tracebank_models.reward_probe.agreement import PRIMARY, Floats
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.word_probe import ProbedWords, WordCodes, WordProbeSettings, probe_words, ridge_probe

QUICK = WordProbeSettings(repeats=1, draws=500, controls=0)


def _words(seed: int, *, knows: float, words: int = 50, features: int = 12) -> WordCodes:
    """Codes of noise; one of them tells the sign, and three, as much as is said, how strong a word is."""
    valences = np.concatenate([np.linspace(1.5, 3.5, words), -np.linspace(1.5, 3.5, words)])
    chance = np.random.default_rng(seed)
    codes = chance.normal(size=(2 * words, features))
    codes[:, 0] += 2 * np.sign(valences)
    codes[:, 1:4] += knows * (valences - 2.5 * np.sign(valences))[:, None]
    names = tuple(f"w{at}" for at in range(2 * words))
    return WordCodes(names, valences, np.ones(2 * words, np.int64), codes)


def _row(found: ProbedWords, kind: str = "ridge") -> dict[str, float]:
    return found.figures()[kind].row(by_predicate=_is_primary(), named=True)


def _is_primary() -> object:
    import polars as pl

    return pl.col("metric") == PRIMARY


def _less(tuned: ProbedWords, base: ProbedWords) -> dict[str, float]:
    return tuned.measured.less(base.measured).row(by_predicate=_is_primary(), named=True)


def test_a_reward_planted_in_the_tuned_model_alone_is_found_there_and_in_the_difference() -> None:
    settings = WordProbeSettings(repeats=2, draws=500, controls=40)
    base, tuned = (probe_words(_words(seed, knows=knows), settings) for seed, knows in ((1, 0.0), (2, 1.0)))
    assert _row(tuned)["low"] > 0.2
    assert _row(tuned)["p_value"] == pytest.approx(1 / 41)
    assert _row(base)["low"] < 0 < _row(base)["high"]
    assert _row(base)["p_value"] > 0.05
    more = _less(tuned, base)
    assert more["low"] > 0
    assert more["p_value"] < 0.01
    for kind in ("shuffled", "random"):
        assert abs(_row(tuned, kind)["value"]) < 0.06
        assert _row(tuned, kind)["low"] < 0 < _row(tuned, kind)["high"]
    assert int(np.abs(tuned.weights).argmax()) in range(4)


@pytest.mark.parametrize(("knows", "features"), [(0.0, 12), (0.4, 150)])
def test_where_both_models_know_as_much_a_difference_is_seldom_found(knows: float, features: int) -> None:
    """Of 40 studies, a true 5 % gives more than 4 in one case of twenty."""
    found = 0
    for study in range(40):
        base, tuned = (probe_words(_words(2 * study + side, knows=knows, features=features), QUICK) for side in (0, 1))
        found += _less(tuned, base)["low"] > 0
    assert found <= 4


def test_equal_models_differ_by_nothing() -> None:
    found = probe_words(_words(3, knows=0.5), QUICK)
    more = _less(found, probe_words(_words(3, knows=0.5), QUICK))
    assert (more["value"], more["low"], more["high"], more["p_value"]) == (0, 0, 0, 1)


def test_a_probe_that_knows_words_by_heart_knows_nothing_of_unseen_ones() -> None:
    words = _words(0, knows=0)
    by_heart = WordCodes(words.words, words.valences, words.places, np.diag(np.abs(words.valences)))
    row = _row(probe_words(by_heart, QUICK))
    assert row["value"] is None or abs(row["value"]) < 0.15


def test_what_is_left_out_of_the_mean_does_not_turn_the_order_around() -> None:
    """The training mean is low where a held-out word is high; scores with it order words backwards."""
    values = [_row(probe_words(_words(seed, knows=0), QUICK))["value"] for seed in range(25)]
    assert abs(float(np.mean(values))) < 0.04


def test_the_strength_is_that_of_the_least_error_on_words_left_out() -> None:
    chance = np.random.default_rng(0)
    codes, valences = chance.normal(size=(24, 5)), chance.normal(size=24)
    scaler, ridge = ridge_probe().fit(codes, valences)
    x = (codes - codes.mean(0)) / codes.std(0)

    def solved(x: Floats, y: Floats, alpha: float) -> tuple[Floats, float]:
        mean = x.mean(0)
        weights = np.linalg.solve((x - mean).T @ (x - mean) + alpha * np.eye(5), (x - mean).T @ (y - y.mean()))
        return weights, float(y.mean() - mean @ weights)

    def error(alpha: float) -> float:
        others = [np.arange(24) != at for at in range(24)]
        fits = [solved(x[rest], valences[rest], alpha) for rest in others]
        return sum((x[at] @ w + b - valences[at]) ** 2 for at, (w, b) in enumerate(fits))

    assert ridge.alpha_ == min(ridge.alphas, key=error)
    weights, _ = solved(x, valences, float(ridge.alpha_))
    assert ridge.coef_ == pytest.approx(weights)
    assert scaler.scale_ == pytest.approx(codes.std(0))


def test_a_word_is_the_mean_of_its_places_and_neutral_words_are_none() -> None:
    triples = [ContrastiveTriple(0, "x ", "good", "bad", "so"), ContrastiveTriple(1, "y ", "good", "dire", "so")]
    codes = torch.tensor([[1.0, 0], [2, 0], [9, 9], [3, 4], [5, 0], [9, 9]])
    read = WordCodes.of(triples, codes, {"good": 2.0, "bad": -2.0, "dire": -3.0})
    assert read.words == ("bad", "dire", "good")
    assert read.valences.tolist() == [-2, -3, 2]
    assert read.places.tolist() == [1, 1, 2]
    assert read.codes.tolist() == [[2, 0], [5, 0], [2, 2]]
    with pytest.raises(ValueError, match=r"^words: 'dire' is not allowed"):
        WordCodes.of(triples, codes, {"good": 2.0, "bad": -2.0})
    with pytest.raises(ValueError, match=r"^codes: 5 rows are not allowed: 6"):
        WordCodes.of(triples, codes[:5], {})


def test_a_seed_gives_the_same_again_and_another_gives_other_folds() -> None:
    words = _words(4, knows=0.3)
    first, again, other = (
        probe_words(words, WordProbeSettings(seed, repeats=1, draws=50, controls=2)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.scores, again.scores)
    assert np.array_equal(first.shuffled, again.shuffled)
    assert not np.allclose(first.scores, other.scores)
    assert not np.array_equal(first.draws.times, other.draws.times)
