"""Values v*: of many facts at once as one at a time and as the papers' loop finds them; a bad one is told."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from tests.counterfact.cases import byte_model
from tests.model_editing.facts import FACTS, FAMILIES, PREFIXES, TOKENIZER
from transformers import PreTrainedModel

from tracebank_benchmarks.model_editing.slow_loop import slow_value
from tracebank_models.counterfact.layer_choice import chosen_layer
from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.model_editing.places import edit_place
from tracebank_models.model_editing.requests import EditRequest
from tracebank_models.model_editing.value_search import At, SearchSettings, search_values

SETTINGS = SearchSettings(steps=6, clamp=0.35, weight_decay=0.3, enough=6.9)
"""Some facts end early, some are held by the bound."""


@pytest.mark.parametrize(("family", "at"), list(itertools.product(FAMILIES, ("output", "stream"))))
def test_a_batch_finds_what_one_at_a_time_and_the_papers_loop_find(family: str, at: At) -> None:
    model = byte_model(family).double()
    place, before = edit_place(model, 0), weights_hash(model)
    together = search_values(model, TOKENIZER, FACTS, place, PREFIXES, SETTINGS, at)
    assert weights_hash(model) == before
    assert all(one.requires_grad and one.grad is None for one in model.parameters())
    for found in together:
        (alone,) = search_values(model, TOKENIZER, [found.request], place, PREFIXES, SETTINGS, at)
        value, loss, steps = slow_value(model, TOKENIZER, found.request, place, PREFIXES, SETTINGS, at)
        for other in (alone.value, value):
            assert (found.value - other).norm() <= 1e-9 * other.norm()
        assert [found.steps] * 2 == [alone.steps, steps]
        assert found.loss == pytest.approx(loss, rel=1e-9)
        assert (found.value - found.start).norm() <= 0.35 * found.start.norm() * (1 + 1e-9)
    # What is to be equal has to be there: ends of several kinds.
    reached = [float((one.value - one.start).norm() / one.start.norm()) for one in together]
    assert len({one.steps for one in together}) > 1
    assert max(reached) == pytest.approx(0.35)


def test_a_search_by_the_likeliest_token_ends_each_fact_by_itself(knowing_model: PreTrainedModel) -> None:
    facts = [EditRequest("{} lives in", *one) for one in (("D", "Oslo"), ("A", "Rome"), ("B", "Lima"), ("E", "Oslo"))]
    place = edit_place(knowing_model, 0)
    settings = SearchSettings(clamp=10, weight_decay=0.0, enough=1e-3, steps=18)
    early = replace(settings, top_steps=2)
    found = search_values(knowing_model, TOKENIZER, facts, place, PREFIXES, early)
    assert found[3].steps == 2  # what is said already is the likeliest in the first two passes
    assert 2 < found[0].steps < 18
    assert found[2].steps == 18
    for one in found:
        (alone,) = search_values(knowing_model, TOKENIZER, [one.request], place, PREFIXES, early)
        assert one.steps == alone.steps
        assert (one.value - alone.value).norm() <= 1e-2 * alone.value.norm()  # float32, which Adam makes larger


def test_dropout_is_off_and_the_mode_stays() -> None:
    model = byte_model("gpt2").double()
    place = edit_place(model, 0)
    (plain,) = search_values(model, TOKENIZER, FACTS[:1], place, PREFIXES, SETTINGS)
    model.train()
    (found,) = search_values(model, TOKENIZER, FACTS[:1], place, PREFIXES, SETTINGS)
    assert torch.equal(found.value, plain.value)
    assert model.training


@pytest.mark.parametrize("batch_tokens", [1, 40])
def test_nothing_depends_on_how_many_go_together(batch_tokens: int) -> None:
    model = byte_model().double()
    place = edit_place(model, 0)
    plain = search_values(model, TOKENIZER, FACTS, place, PREFIXES, SETTINGS)
    small = replace(SETTINGS, batch_tokens=batch_tokens)
    for one, other in zip(plain, search_values(model, TOKENIZER, FACTS, place, PREFIXES, small), strict=True):
        assert (one.value - other.value).norm() <= 1e-9 * one.value.norm()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_random_model_is_not_claimed_to_be_edited(family: str) -> None:
    model = byte_model(family)
    found = search_values(model, TOKENIZER, FACTS[1:2], edit_place(model, 0), PREFIXES, SearchSettings())
    assert found[0].loss > 2
    with pytest.raises(ValueError, match=r"^layer: v\* leaves .* nats in the best layer, 0, over 1 facts"):
        chosen_layer({0: [found[0].loss]}).check()


def test_the_loss_before_is_what_the_model_says_of_the_target() -> None:
    model = byte_model()
    (found,) = search_values(model, TOKENIZER, FACTS[1:2], edit_place(model, 0), PREFIXES, SearchSettings(steps=1))
    losses = []
    for prefix in ("", *PREFIXES):
        context, target = (TOKENIZER(text)["input_ids"] for text in (prefix + FACTS[1].text, f" {FACTS[1].target}"))
        with torch.no_grad():
            said = model(input_ids=torch.tensor([context + target])).logits[0].log_softmax(-1)
        losses.append(float(-said[range(len(context) - 1, len(context) + len(target) - 1), target].mean()))
    assert found.start_loss == pytest.approx(sum(losses) / 3, rel=1e-4)
    assert found.loss == found.start_loss
    assert torch.equal(found.value, found.start)
