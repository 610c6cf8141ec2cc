"""Triples out of reviews, two readings from one pass, words held out, and the probes of a model as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from tracebank_models.language_model.direct_preference import PreferencePair
from tracebank_models.language_model.lexicon import Lexicon, load_vader_lexicon
from tracebank_models.language_model.product_reviews import ProductReviews
from tracebank_models.language_model.prompts import PromptBatch
from tracebank_models.reward_probe.agreement import METRICS
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.emitted_words import emitted_words, review_starts
from tracebank_models.reward_probe.probe_tables import ProbedModel, ProbeTables, weight_rows
from tracebank_models.reward_probe.representations import RAW, SPARSE
from tracebank_models.reward_probe.review_triples import neutral_words, review_triples, word_classes
from tracebank_models.reward_probe.study_probes import ProbedReader, StudyProbeSettings, probe_study
from tracebank_models.reward_probe.word_probe import WordProbeSettings

from .conftest import SignedCoder

WORDS = {f"good{chr(97 + at)}": 0.5 + at / 8 for at in range(8)} | {
    f"bad{chr(97 + at)}": -0.6 - at / 8 for at in range(8)
}


class Prompts:
    """Two tokens, of which three are to come."""

    def batch(self, count: int, step: int) -> PromptBatch:
        del step
        ids = torch.zeros(count, 2, dtype=torch.int64)
        return PromptBatch(ids, torch.ones_like(ids), torch.full((count,), 3), tuple(map(tuple, ids.tolist())))


@pytest.fixture(scope="module")
def tables(model: Any, tokenizer: Any) -> ProbeTables:
    """A null study: the tuned model is the base."""
    words = list(WORDS)
    triples = [ContrastiveTriple(at, f"{at} ", words[at % 8], words[8 + at // 3 % 8], "chair") for at in range(40)]
    coders = {"layers.0.mlp": SignedCoder(), "layers.1.mlp": SignedCoder()}
    readers = {}
    for side in ("base", "tuned"):
        subject = ProbedModel("study-seed7", "study", 7, side, {site: f"{side}/{site}" for site in coders})
        readers[side] = ProbedReader(subject, model, tokenizer, coders, Prompts())  # type: ignore[arg-type]
    pairs = [PreferencePair((at, at + 1), (at, 2), (3, at)) for at in range(65, 75)]
    settings = StudyProbeSettings(WordProbeSettings(7, repeats=1, draws=50, controls=3), 8, random_probes=2)
    told: list[tuple[int, int]] = []
    found = probe_study(readers, triples, WORDS, settings, pairs=pairs, progress=lambda *one: told.append(one))
    assert told[-1] == (240, 240)
    return found


def test_every_probe_of_both_sides_is_a_row_with_its_controls(tables: ProbeTables) -> None:
    kinds = {("reward", kind, read) for kind in ("ridge", "shuffled", "random") for read in (SPARSE, RAW)} | {
        ("reward", "sign", "words"),
        ("preference", "length", "words"),
        ("preference", "lexicon", "words"),
    }
    kinds |= {("preference", "logistic", read) for read in (SPARSE, RAW)}
    kinds |= {("replication", kind, read) for kind in ("ridge", "random") for read in (SPARSE, RAW)}
    rows = tables.probes
    assert set(rows.select("model", "task", "kind", "representation").rows()) == {
        (side, *kind) for side in ("base", "tuned") for kind in kinds
    }
    assert rows["probe"].n_unique() == rows.height == 2 * (len(kinds) + 2)
    assert set(rows["seed"]) == {7}
    ridge = rows.row(by_predicate=pl.col("probe") == "study-seed7/tuned/reward/ridge/sparse_codes", named=True)
    assert (ridge["train_rows"], ridge["test_rows"], ridge["inputs"]) == (16, 16, 64)
    split = rows.row(by_predicate=pl.col("probe") == "study-seed7/tuned/replication/ridge/sparse_codes", named=True)
    assert (split["train_rows"], split["test_rows"]) == (64, 16)
    assert set(tables.metrics["probe"]) == set(rows["probe"])
    weights = tables.weights.filter(probe="study-seed7/tuned/reward/ridge/sparse_codes")
    assert weights["rank"].sort().to_list() == list(range(1, 65))
    assert set(weights["dictionary"]) == {"tuned/layers.0.mlp", "tuned/layers.1.mlp"}
    rewards = tables.rewards.filter(probe="study-seed7/tuned/reward/ridge/sparse_codes")
    assert dict(rewards.select("word", "lexicon").rows()) == WORDS
    assert int(rewards["count"].sum()) == 80


def test_a_null_study_differs_by_nothing(tables: ProbeTables) -> None:
    found = tables.compared()
    assert set(found.select("task", "representation").rows()) == {
        (task, read) for task in ("reward", "preference") for read in (SPARSE, RAW)
    }
    assert found.filter(task="reward", representation=SPARSE)["metric"].to_list() == list(METRICS)
    assert found["base"].to_list() == found["tuned"].to_list()
    for name in ("value", "low", "high"):
        assert set(found[name]) == {0.0}


def test_a_probe_has_a_weight_for_each_feature() -> None:
    subject = ProbedModel("k", "s", 0, "m", {"a": "d"})
    with pytest.raises(ValueError, match=r"^features: 3 are not allowed: 2, as the probe has"):
        weight_rows(subject, "p", np.zeros(2), {"a": 3})


def test_triples_of_reviews_swap_words_of_one_class() -> None:
    lexicon = load_vader_lexicon()
    reviews = [review.text for review in ProductReviews(lexicon).documents(150, start=77)]
    found = review_triples(reviews, lexicon, limit=60, seed=3)
    classes, neutral = word_classes(lexicon), neutral_words(lexicon)
    assert len(found) == 60
    for triple in found:
        (kind,) = [kind for kind, words in classes.items() if triple.positive in words]
        assert triple.negative in classes[kind]
        assert triple.neutral in neutral[kind]
        assert lexicon.valence(triple.positive) > 0 > lexicon.valence(triple.negative)
        assert f"{triple.prefix}{triple.positive}" in reviews[triple.document]
        if triple.prefix.lower().endswith((" a ", " an ")):
            vowel = triple.prefix.endswith("n ")
            assert [word[0] in "aeiou" for word in (triple.positive, triple.negative, triple.neutral)] == [vowel] * 3
    positive = [triple.texts[0] for triple in found]
    assert len(set(positive)) == len(positive)
    assert [triple.document for triple in found] == sorted(triple.document for triple in found)
    assert review_triples(reviews, lexicon, limit=20, seed=3) == found[:20]
    assert {word for words in neutral.values() for word in words}.isdisjoint(lexicon.valences)


def test_reviews_without_opinions_give_no_triples() -> None:
    with pytest.raises(ValueError, match=r"^reviews: 1 sentences give no triple"):
        review_triples(["The lid is on the left side."], load_vader_lexicon(), limit=5, seed=0)
    with pytest.raises(ValueError, match=r"^limit: 0"):
        review_triples([], load_vader_lexicon(), limit=0, seed=0)
    with pytest.raises(ValueError, match=r"^lexicon: "):
        review_triples(["A lid."], Lexicon("none", {"zz": 1.0}), limit=5, seed=0)


def test_words_that_a_model_writes_are_counted(model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracebank_models.language_model.sampling import Completions
    from tracebank_models.reward_probe import emitted_words as module

    sampled: list[int] = []

    def spoken(_model: Any, tokenizer: Any, prompts: Any, lengths: Any, generator: Any) -> Completions:
        assert generator.initial_seed() not in sampled
        sampled.append(generator.initial_seed())
        ids = torch.tensor([tokenizer("Great lid")["input_ids"]] * len(lengths))
        return Completions(*prompts, ids, torch.ones_like(ids))

    monkeypatch.setattr(module, "sample_completions", spoken)
    found = emitted_words(model, tokenizer, Prompts(), texts=70, seed=1, batch=32)  # type: ignore[arg-type]
    assert found == {"great": 70, "lid": 70}
    assert len(sampled) == 3


def test_prompts_are_starts_of_reviews_each_once(tokenizer: Any) -> None:
    found = review_starts(tokenizer, ["abcde", "abcxx", "ab", "bcdef", "zzzzz"], tokens=3, limit=2)
    assert [tokenizer.decode(ids) for ids in found] == ["abc", "bcd"]
    with pytest.raises(ValueError, match=r"^reviews: none of 1 has 9 tokens"):
        review_starts(tokenizer, ["abc"], tokens=9, limit=2)
