"""ROME, r-ROME and FT-L: what is written is what was wanted, there and nowhere else."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from tests.counterfact.cases import byte_model
from tests.model_editing.facts import (
    FACTS,
    FAMILIES,
    PREFIXES,
    TOKENIZER,
    key_of,
    moments_of,
    values_of,
    weight_of,
)

from tracebank_models.model_editing.editors import EDITORS
from tracebank_models.model_editing.fine_tuning import FineTuning
from tracebank_models.model_editing.places import edit_place
from tracebank_models.model_editing.rank_one import RankOne, RevisedRankOne
from tracebank_models.model_editing.settings import FineTuningSettings, RankOneSettings
from tracebank_models.model_editing.value_search import SearchSettings

SETTINGS = RankOneSettings(1, SearchSettings(steps=3), moment_ridge=1e-2)


@pytest.mark.parametrize(("editor", "family"), list(itertools.product(("rome", "r_rome"), FAMILIES)))
def test_the_matrix_gives_the_value_at_its_key_by_a_change_of_rank_one(editor: str, family: str) -> None:
    model, fact = byte_model(family), FACTS[1]
    moments, values, before = moments_of(model, [1]), values_of(model, 1, [fact]), weight_of(model, 1)
    mean = key_of(model, 1, fact, ("", *PREFIXES))
    key = mean if editor == "r_rome" else key_of(model, 1, fact)
    (trace,) = EDITORS[editor](SETTINGS).apply(model, TOKENIZER, [fact], moments, PREFIXES, values)
    bias, wanted = edit_place(model, 1).parameters[1].detach().double(), values[0].value.double()
    after = weight_of(model, 1)
    assert (after @ key + bias - wanted).norm() <= 1e-4 * wanted.norm()
    change = after - before
    _, sizes, right = torch.linalg.svd(change)
    assert sizes[1] <= 1e-4 * sizes[0]
    direction = torch.linalg.inv(moments.regular(1, 1e-2)) @ mean
    direction /= direction.norm()
    assert abs(right[0] @ direction) == pytest.approx(1, abs=1e-5)
    assert trace.key_product == pytest.approx(float(key @ direction), rel=1e-4)
    assert trace.change_norm == pytest.approx(float(change.norm()), rel=1e-9)
    assert trace.weight_norm == pytest.approx(float(after.norm()), rel=1e-9)
    assert trace.residual is not None
    assert trace.residual <= 1e-4


def test_without_prefixes_both_keys_are_one() -> None:
    weights = []
    for kind in (RankOne, RevisedRankOne):
        model = byte_model()
        kind(SETTINGS).apply(model, TOKENIZER, FACTS, moments_of(model, [1]), (), values_of(model, 1))
        weights.append(weight_of(model, 1))
    assert torch.equal(*weights)


def test_facts_are_written_on_what_the_ones_before_have_left() -> None:
    together, apart = byte_model(), byte_model()
    moments, editor = moments_of(apart, [1]), RankOne(SETTINGS)
    first = RankOne(SETTINGS).apply(together, TOKENIZER, FACTS[:2], moments, PREFIXES)
    second = [editor.apply(apart, TOKENIZER, [fact], moments, PREFIXES)[0] for fact in FACTS[:2]]
    assert torch.equal(weight_of(together, 1), weight_of(apart, 1))
    assert [dataclasses.replace(one, seconds=0.0) for one in first] == [
        dataclasses.replace(one, seconds=0.0) for one in second
    ]
    assert [one.order for one in first] == [0, 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_fine_tuning_stays_in_its_box_and_in_the_first_layer(family: str) -> None:
    model, radius = byte_model(family), 2e-3
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    settings = FineTuningSettings(radius=radius, rate=1e-3, steps=6)
    traces = FineTuning(settings).apply(model, TOKENIZER, FACTS)
    moved = {
        name: float((one.detach() - before[name]).abs().max())
        for name, one in model.named_parameters()
        if not torch.equal(one.detach(), before[name])
    }
    place = edit_place(model, 0)
    assert {id(dict(model.named_parameters())[name]) for name in moved} == {id(one) for one in place.parameters}
    assert all(most == pytest.approx(radius, rel=1e-3) for most in moved.values())  # the box is reached, and held
    plain = FineTuning(dataclasses.replace(settings, steps=1)).apply(byte_model(family), TOKENIZER, FACTS)
    assert sum(one.value_loss for one in traces) < sum(one.value_loss for one in plain)
    assert all(one.requires_grad and one.grad is None for one in model.parameters())


def test_fine_tuning_reads_all_tokens_of_a_target_at_the_end_of_the_prompt() -> None:
    model, fact = byte_model(), FACTS[1]
    (trace,) = FineTuning(FineTuningSettings(radius=1e-3, steps=1)).apply(byte_model(), TOKENIZER, [fact])
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([TOKENIZER(fact.text)["input_ids"]])).logits[0, -1]
    target = TOKENIZER(f" {fact.target}")["input_ids"]
    assert trace.value_loss == pytest.approx(float(-logits.log_softmax(-1)[target].mean()), rel=1e-4)


def test_what_is_said_already_moves_nothing() -> None:
    model, fact = byte_model(), FACTS[0]
    before = weight_of(model, 1)
    settings = dataclasses.replace(SETTINGS, search=SearchSettings(steps=5, enough=1e3))  # any loss is enough
    (trace,) = RankOne(settings).apply(model, TOKENIZER, [fact], moments_of(model, [1]), PREFIXES)
    assert trace.change_norm <= 1e-5 * float(before.norm())
    tuned = FineTuning(FineTuningSettings(radius=1e-2, enough=1e3)).apply(model, TOKENIZER, [fact])
    assert tuned[0].change_norm == 0
