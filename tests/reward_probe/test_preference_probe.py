"""The preference probe: told where a feature tells, by prompts that were held out, beside what needs no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracebank_models.language_model.direct_preference import PreferencePair
from tracebank_models.reward_probe.preference_probe import Pairs, held_out_preferences, told

PROMPTS = np.arange(100) // 2


def _codes(shift: float) -> Any:
    codes = np.random.default_rng(1).random((200, 6))
    codes[:100, 4] += shift
    return codes


def test_preferred_answers_are_told_apart_where_a_feature_says_so() -> None:
    scores, weights = held_out_preferences(_codes(0.8), PROMPTS, seed=0)
    figures = told(scores, PROMPTS, seed=0, draws=300).figures()
    assert figures["metric"].to_list() == ["pair_accuracy", "accuracy"]
    assert figures["count"].to_list() == [100, 200]
    assert (figures["value"] > 0.85).all()
    assert (figures["low"] > 0.75).all()
    assert int(np.abs(weights).argmax()) == 4
    blind = told(held_out_preferences(_codes(0), PROMPTS, seed=0)[0], PROMPTS, seed=0, draws=300)
    assert blind.figures()["low"][0] < 0.5 < blind.figures()["high"][0]
    more = told(scores, PROMPTS, seed=0, draws=300).less(blind)
    assert (more["low"] > 0).all()


def test_answers_to_one_prompt_are_held_out_together() -> None:
    """A code of the prompt and the side of its answers would tell everything to who has seen one of them."""
    codes = np.zeros((200, 100))
    for at, prompt in enumerate(PROMPTS):
        codes[at, prompt], codes[100 + at, 50 + prompt] = 1, 1
    scores, _ = held_out_preferences(codes, PROMPTS, seed=0)
    assert told(scores, PROMPTS, seed=0, draws=100).figures()["low"][0] <= 0.5


def test_shares_are_of_pairs_and_of_answers_and_draws_are_of_prompts() -> None:
    scores = np.array([1.0, 2, -1, -2, 5, 0, 0.0, 3, -2, -2, -5, -1])
    found = told(scores, np.arange(6), seed=0, draws=2_000)
    assert found.values.tolist() == pytest.approx([4.5 / 6, 8 / 12])
    assert found.drawn.mean(0) == pytest.approx(found.values, abs=0.02)
    one_prompt = told(scores, np.array([0, 0, 0, 1, 2, 3]), seed=0, draws=10).figures()
    assert one_prompt["value"].to_list() == one_prompt["low"].to_list() == [None, None]


def test_pairs_are_written_out_with_controls(tokenizer: Any) -> None:
    def ids(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text)["input_ids"])

    pairs = [
        PreferencePair(ids("The lid "), ids("is great"), ids("is awful it is")),
        PreferencePair(ids("The lid "), ids("is fine"), ids("leaks")),
        PreferencePair(ids("A pan "), ids("is fine"), ids("leaks")),
    ]
    found = Pairs.of(tokenizer, pairs)
    assert found.texts[0] == "The lid is great"
    assert found.texts[3] == "The lid is awful it is"
    assert found.answers[-1] == "leaks"
    assert found.prompts.tolist() == [0, 0, 1]
    controls = found.controls({"great": 3.0, "awful": -2.0})
    assert controls["length"].tolist() == [2, 2, 2, 4, 1, 1]
    assert controls["lexicon"].tolist() == [3, 0, 0, -2, 0, 0]


def test_rows_must_fit_the_pairs() -> None:
    with pytest.raises(ValueError, match=r"^codes: 3 rows are not allowed: 4"):
        held_out_preferences(np.zeros((3, 2)), np.array([0, 1]), seed=0)
