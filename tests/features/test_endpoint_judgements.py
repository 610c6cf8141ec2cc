"""Marked texts of a planted feature: what is drawn, what judges of several minds score, and answers without sense."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests.endpoint_double import Double

from tracebank_models.features.dictionary_codes import DictionarySet
from tracebank_models.features.endpoint_explainer import EndpointExplainer
from tracebank_models.features.endpoint_explanations import (
    SMALLEST_SHARE,
    FeatureQuestion,
    ask_all,
    codes_of,
    questions,
)
from tracebank_models.features.endpoint_judgements import fuzzing, intruder
from tracebank_models.features.endpoint_scores import score_rows
from tracebank_models.features.streams import TokenBatch, TokenPlaces
from tracebank_models.features.text_pieces import MarkedDraw, MarkedText, Pieces
from tracebank_models.sparse_autoencoder.architectures import build
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig

WORDS, DOCUMENT, TOKENS = 12, 20, 2_400
TEXTS = pl.Series("token", [f"w{number} " for number in range(WORDS - 1)] + ["⟦odd⟧ "])
"""The last of them looks like a mark."""
FIRES, MARKED = 7, re.compile("⟦(.+?)⟧")


@pytest.fixture(scope="module")
def places() -> TokenPlaces:
    """A tenth of the tokens is the word that the feature fires on."""
    ids = np.random.default_rng(0).choice(WORDS, TOKENS, p=[0.885 / 10] * 7 + [0.1] + [0.885 / 10] * 3 + [0.015])
    rows = np.arange(TOKENS)
    return TokenPlaces(ids.astype(np.int32), rows // DOCUMENT, (rows % DOCUMENT).astype(np.int32))


@pytest.fixture(scope="module")
def question(places: TokenPlaces) -> FeatureQuestion:
    codes = (places.token_ids == FIRES).astype(np.float32)[:, None] * 2 - 0.01
    (found,) = questions(_features(SMALLEST_SHARE), codes, places, TEXTS)
    return found


def _features(share: float) -> pl.DataFrame:
    return pl.DataFrame({"dictionary": ["d"], "feature": [3], "share": [share]})


def _words(text: str) -> list[str]:
    """Marked words, where marks around several are of each."""
    return [word for marked in MARKED.findall(text) for word in marked.split()]


def _plain(text: str) -> list[str]:
    return re.sub("[⟦⟧]", "", text).split()


def _odd(places: TokenPlaces) -> set[str]:
    """Pieces of 16 tokens of documents that the feature is not described from."""
    words = TEXTS.gather(places.token_ids).to_list()
    spans = [(first, first + 16) for first in range(0, TOKENS, DOCUMENT)]
    spans += [(last, last + 4) for _, last in spans]
    return {"".join(words[slice(*span)]) for span in spans if span[0] // DOCUMENT % 2}


def test_half_of_fuzzed_texts_are_marked_where_the_feature_fires(
    question: FeatureQuestion, places: TokenPlaces
) -> None:
    assert [one.right for one in question.fuzzed].count(True) == len(question.fuzzed) / 2 == 5
    for one in question.fuzzed:
        plain, marked = _plain(one.text), _words(one.text)
        assert len(plain) == one.tokens
        assert len(marked) == plain.count("w7") > 0
        assert marked == ["w7"] * len(marked) if one.right else "w7" not in marked
        assert re.sub("[⟦⟧]", "", one.text) in _odd(places)
        assert "odd" not in one.text


def test_an_intruder_has_as_many_marks_as_the_others_and_none_where_the_feature_fires(
    question: FeatureQuestion, places: TokenPlaces
) -> None:
    assert len(question.intruders) == 4
    for one in question.intruders:
        assert len(set(one.texts)) == 5
        marks = [_words(text) for text in one.texts]
        assert [number for number, words in enumerate(marks) if "w7" not in words] == [one.intruder]
        assert all(
            words == ["w7"] * _plain(text).count("w7")
            for words, text in zip(marks, one.texts, strict=True)
            if "w7" in words
        )
        assert "w7" not in _plain(one.texts[one.intruder])
        others = [len(words) for number, words in enumerate(marks) if number != one.intruder]
        assert len(marks[one.intruder]) == round(sum(others) / 4)
        assert {re.sub("[⟦⟧]", "", text) for text in one.texts} <= _odd(places)
        assert one.tokens == sum(len(_plain(text)) for text in one.texts)


def test_guessing_is_at_the_chance_that_is_told(places: TokenPlaces, double: Double) -> None:
    pieces, on = Pieces.of(places, TEXTS), places.token_ids == FIRES
    draws = [MarkedDraw(pieces, on, np.random.default_rng(seed)) for seed in range(60)]
    positions = [one.intruder for draw in draws for one in draw.intruder_sets()]
    assert max(np.bincount(positions, minlength=5) / len(positions)) < 0.2 + 4 * (0.2 * 0.8 / 240) ** 0.5
    double.judge = lambda prompt: _ones(prompt) or "1"
    endpoint = EndpointExplainer(double.url, "m")
    assert fuzzing(endpoint, "x", draws[0].fuzzed()).value == 0.5


def _ones(prompt: str) -> str | None:
    count = re.search(r"JSON list of (\d+) digits", prompt)
    return json.dumps([1] * int(count[1])) if count else None


def _listed(prompt: str) -> list[str]:
    return re.findall(r"^\d+\. '(.*)'$", prompt, re.MULTILINE)


def _knows(prompt: str) -> str:
    """A judge who knows the word."""
    texts = _listed(prompt)
    if "odd one" in prompt:
        return str(1 + next(number for number, text in enumerate(texts) if "w7" not in _words(text)))
    if "⟦" in prompt:
        return json.dumps([int("w7" in _words(text)) for text in texts])
    return json.dumps([int("w7" in text.split()) for text in texts]) if "does it fire" in prompt else "It fires on w7."


def _scored(question: FeatureQuestion, double: Double, judge: Callable[[str], str], **choice: Any) -> pl.DataFrame:
    double.judge = judge
    return score_rows(ask_all([question], lambda: EndpointExplainer(double.url, "m"), at_once=1, **choice))


def test_who_knows_is_right_about_everything(question: FeatureQuestion, double: Double) -> None:
    found = _scored(question, double, _knows, also=["intruder", "fuzzing"])
    assert found.select("metric", "value", "chance").rows() == [
        ("precision", 1.0, None),
        ("recall", 1.0, None),
        ("f1", 1.0, None),
        ("detection", 1.0, 0.5),
        ("fuzzing", 1.0, 0.5),
        ("intruder", 1.0, 0.2),
    ]
    assert set(found.select("dictionary", "feature").rows()) == {("d", 3)}
    assert found["tokens"].to_list()[-2:] == [
        sum(one.tokens for one in question.fuzzed),
        sum(one.tokens for one in question.intruders),
    ]
    prompts = [body["messages"][0]["content"] for _, _, body in double.asked]
    assert len(prompts) == 7
    assert not any("It fires on w7" in prompt for prompt in prompts if "odd one" in prompt), "nothing is given away"


@pytest.mark.parametrize("answer", ["Either 1 or 2.", "6", "none", "0", "[1, 1]", "[0, 1, 0, 1, 0, 1, 0, 1, 0, 2]"])
def test_what_cannot_be_read_is_null_and_never_right(
    question: FeatureQuestion,
    double: Double,
    answer: str,
) -> None:
    found = _scored(
        question, double, lambda prompt: answer if "⟦" in prompt else _knows(prompt), also=("fuzzing", "intruder")
    )
    values = dict(found.select("metric", "value").iter_rows())
    assert values["fuzzing"] is values["intruder"] is None
    assert values["detection"] == 1.0
    assert (found["tokens"] > 0).all()


def test_one_set_without_an_answer_makes_the_score_null(question: FeatureQuestion, double: Double) -> None:
    for text in ("no idea", "1", "1", "1"):
        double.says(text)
    found = intruder(EndpointExplainer(double.url, "m"), question.intruders)
    assert found.value is None
    assert [one.answer for one in found.exchanges] == ["no idea", "1", "1", "1"]


def test_nothing_beside_detection_is_asked_for_unless_it_is_wanted(
    question: FeatureQuestion,
    double: Double,
) -> None:
    assert _scored(question, double, _knows)["metric"].to_list() == ["precision", "recall", "f1", "detection"]
    assert len(double.asked) == 2
    with pytest.raises(ValueError, match=r"^also: 'simulation' is not allowed: fuzzing and intruder$"):
        ask_all([question], lambda: EndpointExplainer(double.url, "m"), also=["simulation"])


def test_too_few_texts_are_no_question(places: TokenPlaces, double: Double) -> None:
    on = np.zeros(TOKENS, np.bool_)
    on[DOCUMENT + 2] = True
    draw = MarkedDraw(Pieces.of(places, TEXTS), on, np.random.default_rng(0))
    endpoint = EndpointExplainer(double.url, "m")
    for found in (fuzzing(endpoint, "x", draw.fuzzed()), intruder(endpoint, draw.intruder_sets())):
        assert (found.value, found.tokens, found.exchanges) == (None, 0, ())
    assert double.asked == []


def test_neighbours_are_marked_as_one(places: TokenPlaces) -> None:
    pieces = Pieces.of(places, TEXTS)
    words = TEXTS.gather(places.token_ids[:16]).to_list()
    marks = np.zeros(16, np.bool_)
    marks[[0, 3, 4, 15]] = True
    expected = f"⟦{words[0]}⟧{words[1]}{words[2]}⟦{words[3]}{words[4]}⟧{''.join(words[5:15])}⟦{words[15]}⟧"
    assert pieces.marked(0, marks) == expected


def test_neurons_fire_on_a_text_at_half_of_their_maximum(places: TokenPlaces) -> None:
    """Most texts have a little of it."""
    config = DictionaryConfig(name="n", architecture="neurons", d_in=2, d_sae=2, sites=("s",))
    sparse = DictionaryConfig(name="r", architecture="relu", d_in=2, d_sae=5, sites=("s",))
    group = DictionarySet({"d": build(config), "r": build(sparse)})
    rows = torch.arange(TOKENS)
    values = torch.full((TOKENS, 2), 0.3)
    values[torch.from_numpy(places.token_ids == FIRES), 1] = 1.0
    ids = torch.from_numpy(places.token_ids)
    batch = TokenBatch({"s": values}, ids, rows // DOCUMENT, (rows % DOCUMENT).int(), rows)
    chosen = pl.DataFrame(
        {"dictionary": ["r", "d"], "feature": [4, 1]}, schema={"dictionary": pl.String, "feature": pl.Int32}
    )
    features, codes = codes_of(group, chosen, [batch])
    assert features.rows() == [("d", 1, 0.5), ("r", 4, SMALLEST_SHARE)]
    assert codes.shape == (TOKENS, 2)
    (found,) = questions(features[:1], codes[:, :1], places, TEXTS)
    for text, fires in zip(found.tried_texts, found.tried_fires, strict=True):
        assert fires == ("w7" in text.split())
    assert all(_words(one.text) == ["w7"] * len(_words(one.text)) for one in found.fuzzed if one.right)
    assert isinstance(found.fuzzed[0], MarkedText)
