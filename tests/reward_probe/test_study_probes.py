"""Triples out of reviews, two readings from one pass, words held out, and the probes of a model as rows."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor

from tracebank_models.features.sparse_coder import RawActivations, text_codes
from tracebank_models.language_model.lexicon import Lexicon, load_vader_lexicon
from tracebank_models.language_model.product_reviews import ProductReviews
from tracebank_models.language_model.prompts import PromptBatch
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.emitted_words import emitted_words, review_starts
from tracebank_models.reward_probe.fitted_probes import preference_tables, reward_tables, unseen_word_tables
from tracebank_models.reward_probe.probe_tables import ProbedModel
from tracebank_models.reward_probe.representations import RAW, SPARSE, Representations, represented
from tracebank_models.reward_probe.review_triples import neutral_words, review_triples, word_classes
from tracebank_models.reward_probe.unseen_words import FEWEST_WORDS, held_out_words, unseen_words_metric

POSITIVE = [f"good{chr(97 + at)}" for at in range(20)]
NEGATIVE = [f"bad{chr(97 + at)}" for at in range(20)]
LEXICON = {word: 0.5 + at / 8 for at, word in enumerate(POSITIVE)}
LEXICON |= {word: -0.6 - at / 8 for at, word in enumerate(NEGATIVE)}
SUBJECT = ProbedModel("study", "tuned", {"layers.0.mlp": "study/zero", "layers.1.mlp": "study/one"})


def _triples(count: int) -> list[ContrastiveTriple]:
    chance = torch.Generator().manual_seed(5)
    draws = torch.randint(20, (count, 2), generator=chance).tolist()
    return [ContrastiveTriple(at, f"{at} ", POSITIVE[p], NEGATIVE[n], "chair") for at, (p, n) in enumerate(draws)]


def _planted(triples: list[ContrastiveTriple]) -> Tensor:
    """Feature 0 is a good word's valence, feature 4 a bad one's; the sentence has features of its own."""
    chance = torch.Generator().manual_seed(6)
    rows = []
    for triple in triples:
        sentence = torch.rand(6, generator=chance)
        for word in (triple.positive, triple.negative, triple.neutral):
            codes = sentence.clone()
            codes[0], codes[4] = max(LEXICON.get(word, 0.0), 0.0), max(-LEXICON.get(word, 0.0), 0.0)
            rows.append(codes)
    return torch.stack(rows)


def _memorised(triples: list[ContrastiveTriple]) -> Tensor:
    """Every word has a feature of its own, as large as its valence."""
    place = {word: at for at, word in enumerate([*LEXICON, "chair"])}
    rows = torch.zeros(3 * len(triples), len(place))
    for at, word in enumerate(word for t in triples for word in (t.positive, t.negative, t.neutral)):
        rows[at, place[word]] = abs(LEXICON.get(word, 0.0))
    return rows


def _read(codes: Tensor) -> Representations:
    split = {"layers.0.mlp": 4, "layers.1.mlp": codes.shape[1] - 4}
    return Representations({SPARSE: codes, RAW: codes}, split)


def test_a_reward_linear_in_planted_features_is_recovered_also_of_unseen_words() -> None:
    triples = _triples(400)
    tables = reward_tables(SUBJECT, triples, _read(_planted(triples)), LEXICON, random_probes=3)
    name = SUBJECT.probe("reward", "ridge", SPARSE)
    tau, p_value = tables.metric(name, "kendall_tau")
    assert tau is not None
    assert tau > 0.99  # the tenth of either end is clamped, and ties there
    assert p_value is not None
    assert p_value < 1e-9
    weights = tables.weights.filter(probe=name).sort("rank")
    assert set(weights.head(2).select("dictionary", "feature").rows()) == {("study/zero", 0), ("study/one", 0)}
    by_place = {(d, f): w for d, f, w in weights.select("dictionary", "feature", "weight").iter_rows()}
    assert by_place["study/zero", 0] == pytest.approx(1.0, abs=0.02)
    assert by_place["study/one", 0] == pytest.approx(-1.0, abs=0.02)
    unseen = unseen_word_tables(SUBJECT, triples, _read(_planted(triples)), LEXICON, random_probes=3)
    value, _ = unseen.metric(SUBJECT.probe("unseen_words", "ridge", SPARSE), "kendall_tau")
    assert value is not None
    assert value > 0.9


def test_a_probe_that_knows_words_by_heart_knows_nothing_of_unseen_ones() -> None:
    triples = _triples(400)
    read = _read(_memorised(triples))
    seen, _ = reward_tables(SUBJECT, triples, read, LEXICON, random_probes=0).metric(
        SUBJECT.probe("reward", "ridge", SPARSE), "kendall_tau"
    )
    tables = unseen_word_tables(SUBJECT, triples, read, LEXICON, random_probes=0)
    name = SUBJECT.probe("unseen_words", "ridge", SPARSE)
    assert seen is not None
    assert seen > 0.9
    assert tables.metric(name, "kendall_tau") == (None, None)
    assert tables.metric(name, "sign_share")[0] == 0.0
    assert tables.rewards.filter(probe=name)["reconstructed"].unique().to_list() == [0.0]


def test_rows_of_probes_say_what_they_were_fitted_on() -> None:
    triples = _triples(100)
    tables = reward_tables(SUBJECT, triples, _read(_planted(triples)), LEXICON, random_probes=2, emitted={"gooda": 3})
    assert tables.probes["probe"].n_unique() == tables.probes.height == 6
    ridge = tables.probes.filter(kind="ridge", representation=SPARSE).row(0, named=True)
    assert (ridge["train_rows"], ridge["test_rows"], ridge["inputs"]) == (160, 40, 6)
    assert tables.probes.filter(kind="random")["train_rows"].to_list() == [0, 0, 0, 0]
    assert set(tables.weights["probe"]) == {ridge["probe"]}
    assert set(tables.rewards["probe"]) == set(tables.probes.filter(kind="ridge")["probe"])
    assert "error_frequency_tau" in set(tables.metrics["metric"])
    words = unseen_word_tables(SUBJECT, triples, _read(_planted(triples)), LEXICON, random_probes=0)
    row = words.probes.row(0, named=True)
    assert row["train_rows"] + row["test_rows"] == 200
    held_out = held_out_words(triples, seed=42)
    assert set(words.rewards["word"]) == held_out
    assert sum(word in POSITIVE for word in held_out) == sum(word in NEGATIVE for word in held_out) == 4


def test_tau_of_unseen_words_looks_at_those_alone_and_wants_enough_of_them() -> None:
    words = [f"w{at:02d}" for at in range(FEWEST_WORDS + 5)]
    values = [float(at) for at in range(len(words))]
    falling = [*values[:5], *(-value for value in values[5:])]
    rewards = pl.DataFrame({"word": words, "reconstructed": falling, "lexicon": values})
    row = unseen_words_metric(rewards, words[:5]).row(0, named=True)
    assert (row["metric"], row["value"], row["count"]) == ("kendall_tau_unseen_words", pytest.approx(-1), FEWEST_WORDS)
    few = unseen_words_metric(rewards, words[:6]).row(0, named=True)
    assert (few["value"], few["p_value"], few["count"]) == (None, None, FEWEST_WORDS - 1)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.99, 1.0])
def test_words_must_be_left_on_both_sides(share: float) -> None:
    with pytest.raises(ValueError, match=r"^share: .* positive words is not allowed"):
        held_out_words(_triples(50), seed=0, share=share)


def test_preferred_answers_are_told_apart_where_a_feature_says_so() -> None:
    chance = torch.Generator().manual_seed(1)
    codes = torch.rand(200, 6, generator=chance)
    codes[:100, 5] += 2
    tables = preference_tables(
        SUBJECT, Representations({SPARSE: codes, RAW: codes[:, :5]}, {"layers.0.mlp": 4, "layers.1.mlp": 2})
    )
    assert tables.metric(SUBJECT.probe("preference", "logistic", SPARSE), "accuracy")[0] == 1.0
    blind, _ = tables.metric(SUBJECT.probe("preference", "logistic", RAW), "accuracy")
    assert blind is not None
    assert blind < 0.8
    first = tables.weights.sort("rank").row(0, named=True)
    assert (first["dictionary"], first["feature"], tables.rewards.height) == ("study/one", 1, 0)
    assert tables.probes["train_rows"].to_list() == [160, 160]


def test_two_readings_of_one_pass_are_those_of_two(model: Any, tokenizer: Any, signed: Any) -> None:
    texts = ["a great", "such a lovely", "x"]
    sites = ["layers.1.mlp", "layers.0.mlp"]
    for over in ("last", "mean"):
        found = represented(model, tokenizer, texts, dict.fromkeys(sites, signed), over=over)  # type: ignore[arg-type]
        assert found.features == {"layers.1.mlp": 32, "layers.0.mlp": 32}
        for name, coder in ((SPARSE, signed), (RAW, RawActivations())):
            alone = text_codes(model, tokenizer, texts, dict.fromkeys(sites, coder), over=over)  # type: ignore[arg-type]
            torch.testing.assert_close(found.codes[name], alone)


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

    class Prompts:
        def batch(self, count: int, step: int) -> PromptBatch:
            del step
            ids = torch.zeros(count, 2, dtype=torch.int64)
            return PromptBatch(ids, torch.ones_like(ids), torch.full((count,), 3))

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
