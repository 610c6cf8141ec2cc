"""Triples, probes and reconstruction: a planted reward is found, and chance does not find it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.sparse_coder import RawActivations, text_codes
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple, contrastive_triples
from tracebank_models.reward_probe.linear_probes import fit_logistic, fit_ridge, random_probe
from tracebank_models.reward_probe.probe import (
    fit_preference_probe,
    fit_reward_probes,
    probe_metrics,
    probe_weights,
    triple_texts,
)
from tracebank_models.reward_probe.rank_correlation import kendall_tau
from tracebank_models.reward_probe.reconstruction import reconstruct_rewards, reconstruction_metrics

LEXICON = {
    "great": 3.0,
    "lovely": 2.5,
    "ok": 0.5,
    "dull": -0.5,
    "awful": -2.5,
    "sadly": -3.0,
    "nice": 1.0,
    "weak": -1.0,
}


def test_triples_differ_in_the_last_word_alone() -> None:
    texts = [
        "The plot was Great fun. It was awful.",
        "A great and awful film.",
        "Nothing here.",
        "Such a lovely, great cast",
    ]
    found = list(contrastive_triples(texts, LEXICON, ["table", "daily"], seed=1))
    assert [(t.document, t.prefix, t.positive) for t in found] == [
        (0, "The plot was ", "great"),
        (3, "Such a ", "lovely"),
    ]
    assert found[1].negative == "sadly"
    assert found[1].neutral == "daily"
    assert found[0].negative in {"awful", "sadly"}
    assert found[0].texts == tuple(f"The plot was {w}" for w in ("great", found[0].negative, found[0].neutral))
    assert list(contrastive_triples(iter(texts), LEXICON, ["table", "daily"], seed=1)) == found


@pytest.mark.parametrize(
    ("lexicon", "neutral", "message"),
    [
        ({}, ["a"], "^lexicon: 0 words"),
        ({"good": 1.0, "better": 2.0}, ["a"], "^lexicon: 1 positive words in its top and 0 negative"),
        (LEXICON, ["great"], "^neutral_words: 'great' is not allowed"),
        (LEXICON, [], "^neutral_words: None is not allowed"),
    ],
)
def test_bad_words_are_refused(lexicon: dict[str, float], neutral: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(contrastive_triples(["a"], lexicon, neutral, seed=0))


def test_codes_are_those_of_the_last_token(model: Any, tokenizer: Any, signed: Any) -> None:
    texts = ["a great", "such a lovely", "x"]
    coders = {"layers.0.mlp": signed, "layers.1.mlp": RawActivations()}
    last = text_codes(model, tokenizer, texts, coders, over="last", batch_tokens=16)
    mean = text_codes(model, tokenizer, texts, coders, over="mean", batch_tokens=16)
    assert last.shape == mean.shape == (3, 48)
    for number, text in enumerate(texts):
        (batch,) = stream_activations(model, TokenCorpus.from_texts([text], tokenizer), list(coders))
        codes = torch.cat([signed.encode(batch.activations["layers.0.mlp"]), batch.activations["layers.1.mlp"]], 1)
        torch.testing.assert_close(last[number], codes[-1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mean[number], codes.mean(0), rtol=1e-4, atol=1e-5)


def test_codes_refuse_what_they_cannot_take(model: Any, tokenizer: Any, narrow: Any, signed: Any) -> None:
    with pytest.raises(ValueError, match=r"^dictionary: that of 'layers.0.mlp' does not take .* width 16"):
        text_codes(model, tokenizer, ["a"], {"layers.0.mlp": narrow}, over="last")
    for texts in (["abcde"], ["a", ""]):
        with pytest.raises(ValueError, match=r"^texts: a text has no token or more than 4"):
            text_codes(model, tokenizer, texts, {"layers.0.mlp": signed}, over="last", max_tokens=4)


def _planted(count: int, features: int) -> tuple[list[ContrastiveTriple], torch.Tensor, dict[str, float]]:
    """Triples whose words have codes that are their valence on feature 3 or 5, and the same noise in all three."""
    chance = torch.Generator().manual_seed(0)
    values = (torch.rand(count, 2, generator=chance) * 3.4 + 0.3).double()
    noise = torch.rand(count, features, generator=chance) * 0.5
    codes = noise[:, None].repeat(1, 3, 1)
    codes[:, :, 3], codes[:, :, 5] = 0, 0
    codes[:, 0, 3], codes[:, 1, 5] = values[:, 0].float(), values[:, 1].float()
    triples = [ContrastiveTriple(n, "", f"good{n}", f"bad{n}", "so") for n in range(count)]
    lexicon = {f"good{n}": float(values[n, 0]) for n in range(count)}
    return triples, codes.flatten(0, 1), lexicon | {f"bad{n}": -float(values[n, 1]) for n in range(count)}


def test_a_reward_linear_in_known_features_is_recovered() -> None:
    triples, codes, lexicon = _planted(400, 24)
    probes = fit_reward_probes(triples, {"sparse_codes": codes}, lexicon, random_probes=5)
    ridge, *chance = probes
    weights = ridge.probe.weights
    assert float(weights[3]) == pytest.approx(1, abs=0.02)
    assert float(weights[5]) == pytest.approx(-1, abs=0.02)
    others = torch.arange(24)
    assert float(weights[(others != 3) & (others != 5)].abs().max()) < 0.05
    metrics = {row["metric"]: row for row in ridge.metrics.iter_rows(named=True)}
    assert metrics["kendall_tau"]["value"] > 0.95
    assert metrics["kendall_tau"]["p_value"] < 1e-10
    assert metrics["kendall_tau_negative"]["value"] > 0.8
    assert metrics["sign_share"]["value"] > 0.95
    assert metrics["bad"]["value"] == 0
    assert metrics["kendall_tau"]["count"] == 160
    table = probe_metrics(probes)
    by_chance = table.filter(kind="random", metric="kendall_tau")["value"].abs()
    assert by_chance.len() == len(chance) == 5
    assert by_chance.max() < 0.9
    top = probe_weights(ridge.probe, {"layers.0.mlp": 4, "layers.1.mlp": 20}).filter(pl_rank_two())
    assert set(top.select("site", "feature").rows()) == {("layers.0.mlp", 3), ("layers.1.mlp", 1)}


def pl_rank_two() -> Any:
    import polars as pl

    return pl.col("rank") <= 2


def test_shuffled_codes_recover_nothing() -> None:
    triples, codes, lexicon = _planted(400, 24)
    mixed = codes[torch.randperm(len(codes), generator=torch.Generator().manual_seed(1))]
    (ridge,) = fit_reward_probes(triples, {"sparse_codes": mixed}, lexicon, random_probes=0)
    assert abs(ridge.metrics.filter(metric="kendall_tau")["value"][0]) < 0.3


def test_ridge_solves_its_equations_whichever_side_is_smaller() -> None:
    """The gradient of the objective at the solution is the oracle."""
    chance = torch.Generator().manual_seed(0)
    for rows, features in ((80, 9), (9, 80)):
        x, y = torch.randn(rows, features, generator=chance).double(), torch.randn(rows, generator=chance).double()
        probe = fit_ridge(x, y, alpha=0.7)
        error = probe.predict(x) - y
        assert float(error.sum().abs()) < 1e-9
        assert float((x.T @ error + 0.7 * probe.weights).abs().max()) < 1e-9


def test_logistic_regression_is_at_its_optimum() -> None:
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(120, 7, generator=chance).double()
    y = (x[:, 0] + torch.randn(120, generator=chance) > 0).double()
    probe = fit_logistic(x, y, c=2.0)
    error = torch.sigmoid(probe.predict(x)) - y
    assert float((2 * x.T @ error + probe.weights).abs().max()) < 1e-4
    assert float(error.sum().abs()) < 1e-4
    assert torch.equal(fit_logistic(x, y, c=2.0).weights, probe.weights)


def test_preference_is_told_where_there_is_one() -> None:
    chance = torch.Generator().manual_seed(0)
    chosen, rejected = torch.rand(300, 12, generator=chance), torch.rand(300, 12, generator=chance)
    _, none = fit_preference_probe(chosen, rejected)
    assert 0.3 < none.filter(split="test")["accuracy"][0] < 0.7
    chosen[:, 4] += 0.8
    probe, told = fit_preference_probe(chosen, rejected)
    assert told.filter(split="test")["accuracy"][0] > 0.85
    assert int(probe.weights.abs().argmax()) == 4
    assert told["count"].to_list() == [480, 120]


def test_tau_of_ties_and_its_p_value() -> None:
    """Figures of scipy 1.17 (`kendalltau`, method asymptotic)."""
    x = torch.tensor([4.0, 0, 3, 1, 2, 0, 3, 1, 2, 4, 0, 3])
    y = torch.tensor([6.0, 1, 6, 3, 4, 2, 7, 4, 6, 6, 4, 7])
    found = kendall_tau(x, y)
    assert found.tau == pytest.approx(0.690292517269669, abs=1e-12)
    assert found.p_value == pytest.approx(0.004707020944779379, rel=1e-9)
    assert kendall_tau(x, -y).tau == pytest.approx(-found.tau)
    constant = kendall_tau(x, torch.ones(12))
    assert math.isnan(constant.tau)
    assert math.isnan(constant.p_value)
    assert math.isnan(kendall_tau(x[:1], y[:1]).tau)


@pytest.mark.parametrize(("count", "p_value"), [(2, 1.0), (3, 2 / 6), (5, 2 / 120)])
def test_the_p_value_of_a_few_values_is_that_of_their_permutations(count: int, p_value: float) -> None:
    """Two of the permutations, one order and its reverse, agree as much."""
    values = torch.arange(count)
    found = kendall_tau(values, values.double() * 3)
    assert (found.tau, found.count) == (pytest.approx(1), count)
    assert found.p_value == pytest.approx(p_value)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_tau_is_concordant_less_discordant_pairs(pairs: list[tuple[int, int]]) -> None:
    def sign(a: int, b: int) -> int:
        return (a > b) - (a < b)

    signs = [(sign(a, c), sign(b, d)) for n, (a, b) in enumerate(pairs) for c, d in pairs[:n]]
    scale = math.sqrt(sum(abs(x) for x, _ in signs) * sum(abs(y) for _, y in signs))
    values = torch.tensor(pairs, dtype=torch.float64)
    found = kendall_tau(values[:, 0], values[:, 1]).tau
    assert math.isnan(found) if scale == 0 else found == pytest.approx(sum(x * y for x, y in signs) / scale)


def test_reconstruction_rescales_clamps_and_averages() -> None:
    lexicon = {"a": -4.0, "b": 0.0, "c": 4.0, "d": 2.0}
    words = ["a", "a", "b", "b", "b", "b", "b", "b", "b", "c", "d"]
    predictions = torch.tensor([-9.0, -1.0, 0, 0, 0, 0, 0, 0, 0, 1.0, -0.5])
    found = dict(reconstruct_rewards(words, predictions, lexicon).select("word", "reconstructed").rows())
    low, high = -1.0, 0.0
    assert found["c"] == 4.0
    assert found["a"] == pytest.approx((-4 + -4) / 2)
    assert found["b"] == pytest.approx(-4 + (0 - low) / (high - low) * 8)
    assert found["d"] == pytest.approx(0.0)


def test_error_is_set_against_frequency() -> None:
    lexicon = {"a": -2.0, "b": 1.0, "c": 2.0, "d": 3.0}
    rewards = reconstruct_rewards(list("abcd"), torch.tensor([0.0, 1.0, 2.0, 5.0]), lexicon)
    error = (rewards["reconstructed"] - rewards["lexicon"]).abs().to_list()
    order = sorted("abcd", key=lambda w: error["abcd".index(w)])
    emitted = {word: 10 - place for place, word in enumerate(order)}
    metrics = reconstruction_metrics(rewards, emitted)
    assert metrics.filter(metric="error_frequency_tau")["value"][0] < -0.7


def test_bad_probes_are_refused() -> None:
    x = torch.ones(3, 2)
    for call, message in (
        (lambda: fit_ridge(x, torch.ones(4)), "^codes: "),
        (lambda: fit_ridge(x * math.nan, torch.ones(3)), "^codes: a code or a target is not finite"),
        (lambda: fit_ridge(x, torch.ones(3), alpha=0), "^alpha: 0 is not allowed"),
        (lambda: fit_logistic(x, torch.ones(3)), "^labels: allowed are 0 and 1, and both"),
        (lambda: random_probe(3, seed=0).predict(x), "^codes: shape"),
        (lambda: reconstruct_rewards(["great"], torch.ones(1), LEXICON), "^predictions: 10th percentile"),
        (lambda: reconstruct_rewards(["what"], torch.ones(1), LEXICON), "^words: .*unknown 'what'"),
        (lambda: fit_preference_probe(x, torch.ones(2, 2)), "^codes: "),
        (lambda: kendall_tau(torch.tensor([math.nan]), torch.ones(1)), "^values: one is not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_texts_of_triples_come_three_by_three() -> None:
    assert triple_texts([ContrastiveTriple(0, "x ", "a", "b", "c")]) == ["x a", "x b", "x c"]
