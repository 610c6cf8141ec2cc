"""Triples out of texts, and the codes of the last token of theirs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.sparse_coder import RawActivations
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple, contrastive_triples, triple_texts
from tracebank_models.reward_probe.representations import RAW, SPARSE, represented

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
    coders = {"layers.1.mlp": signed, "layers.0.mlp": RawActivations()}
    last = represented(model, tokenizer, texts, coders, over="last", batch_tokens=16)
    mean = represented(model, tokenizer, texts, coders, over="mean", batch_tokens=16)
    assert last.features == mean.features == {"layers.1.mlp": 32, "layers.0.mlp": 16}
    for number, text in enumerate(texts):
        (batch,) = stream_activations(model, TokenCorpus.from_texts([text], tokenizer), list(coders))
        first, second = (batch.activations[site] for site in coders)
        for name, parts in ((SPARSE, [signed.encode(first), second]), (RAW, [first, second])):
            values = torch.cat(parts, dim=1)
            torch.testing.assert_close(last.codes[name][number], values[-1], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(mean.codes[name][number], values.mean(0), rtol=1e-4, atol=1e-5)


def test_codes_refuse_what_they_cannot_take(model: Any, tokenizer: Any, narrow: Any, signed: Any) -> None:
    with pytest.raises(ValueError, match=r"^dictionary: that of 'layers.0.mlp' does not take .* width 16"):
        represented(model, tokenizer, ["a"], {"layers.0.mlp": narrow}, over="last")
    for texts in (["abcde"], ["a", ""]):
        with pytest.raises(ValueError, match=r"^texts: a text has no token or more than 4"):
            represented(model, tokenizer, texts, {"layers.0.mlp": signed}, over="last", max_tokens=4)


def test_texts_of_triples_come_three_by_three() -> None:
    assert triple_texts([ContrastiveTriple(0, "x ", "a", "b", "c")]) == ["x a", "x b", "x c"]
