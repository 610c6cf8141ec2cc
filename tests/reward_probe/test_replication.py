"""The paper's probe: a planted reward is found, and its figures are what they say."""

from __future__ import annotations

import polars as pl
import pytest
import torch

from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.replication import reconstruct_rewards, reconstruction_figures, replicate


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
    ridge, *chance = replicate(triples, codes, lexicon, random_probes=5)
    figures = {row["metric"]: row for row in ridge.figures.iter_rows(named=True)}
    assert figures["kendall_tau"]["value"] > 0.95
    assert figures["kendall_tau"]["p_value"] < 1e-10
    assert figures["kendall_tau_negative"]["value"] > 0.8
    assert figures["sign_share"]["value"] > 0.95
    assert figures["bad"]["value"] == 0
    assert figures["kendall_tau"]["count"] == ridge.rewards.height == 160
    taus = pl.concat(one.figures for one in chance).filter(metric="kendall_tau")["value"]
    assert taus.abs().max() < 0.9
    assert [(one.kind, one.number) for one in chance] == [("random", at) for at in range(5)]


def test_shuffled_codes_recover_nothing() -> None:
    triples, codes, lexicon = _planted(400, 24)
    mixed = codes[torch.randperm(len(codes), generator=torch.Generator().manual_seed(1))]
    (ridge,) = replicate(triples, mixed, lexicon, random_probes=0)
    assert abs(ridge.figures.filter(metric="kendall_tau")["value"][0]) < 0.3


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
    figures = reconstruction_figures(rewards, emitted)
    assert figures.filter(metric="error_frequency_tau")["value"][0] < -0.7


def test_bad_replications_are_refused() -> None:
    triples, codes, lexicon = _planted(4, 6)
    with pytest.raises(ValueError, match=r"^triples: 2 with 0.2 to test"):
        replicate(triples[:2], codes[:6], lexicon, random_probes=0)
    with pytest.raises(ValueError, match=r"^words: 'what' is not allowed"):
        reconstruct_rewards(["what"], torch.ones(1), lexicon)


def test_features_that_are_silent_at_every_word_say_nothing() -> None:
    triples, codes, lexicon = _planted(20, 6)
    found = replicate(triples, torch.zeros_like(codes), lexicon, random_probes=1, emitted={})
    assert len(found) == 2
    for one in found:
        assert one.rewards.is_empty()
        assert one.figures.height == 6
        assert one.figures["value"].null_count() == one.figures["p_value"].null_count() == 6
