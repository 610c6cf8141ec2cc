"""MEMIT, AlphaEdit and the norm constraint: equal to their closed forms, and each spares what it says it spares."""

from __future__ import annotations

import math
from dataclasses import replace

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
from torch import Tensor
from transformers import PreTrainedModel

from tracebank_models.model_editing.editors import EDITORS
from tracebank_models.model_editing.mass import Mass, NormConstrainedMass, NullSpaceMass
from tracebank_models.model_editing.settings import MassSettings
from tracebank_models.model_editing.value_search import SearchSettings

WRITING = MassSettings((0, 1), moment_weight=1e-4, moment_ridge=1e-3, norm_weight=1e-6)
"""A weight that lets three facts be written."""


def _keys(model: PreTrainedModel, layer: int) -> Tensor:
    """The prompt alone counts as much as all prefixes together; a column for each fact."""
    both = [(key_of(model, layer, fact), key_of(model, layer, fact, PREFIXES)) for fact in FACTS]
    return torch.stack([(alone + after) / 2 for alone, after in both], dim=1)


def _missing(model: PreTrainedModel, values: Tensor) -> Tensor:
    return values - torch.stack([one.start for one in values_of(model, 1, site="resid")]).double()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_layer_closes_its_share_as_in_the_closed_form(family: str) -> None:
    model, by_hand = byte_model(family).double(), byte_model(family).double()
    moments, prepared = moments_of(model, [0, 1]), values_of(model, 1, site="resid")
    traces = Mass(replace(WRITING, moment_weight=0.1)).apply(model, TOKENIZER, FACTS, moments, PREFIXES, prepared)
    values = torch.stack([one.value for one in prepared])
    start = _missing(by_hand, values).norm(dim=1)
    for layer, share in ((0, 2), (1, 1)):
        keys, before = _keys(by_hand, layer), weight_of(by_hand, layer)
        matrix = 0.1 * moments.regular(layer, 1e-3) + keys @ keys.T
        change = _missing(by_hand, values).T / share @ (torch.linalg.inv(matrix) @ keys).T
        found = weight_of(model, layer)
        assert (found - before - change).norm() <= 1e-8 * change.norm()
        by_hand.load_state_dict(model.state_dict() if layer else _with_layer(by_hand, model, layer))
    left = _missing(model, values).norm(dim=1) / start
    assert [one.residual for one in traces] == pytest.approx(left.tolist(), rel=1e-6)


def _with_layer(one: PreTrainedModel, other: PreTrainedModel, layer: int) -> dict[str, Tensor]:
    """State of a model with one block of another."""
    return {
        name: other.state_dict()[name] if f".{layer}.mlp." in name else value
        for name, value in one.state_dict().items()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_after_the_last_layer_less_than_a_share_is_missing(family: str) -> None:
    model = byte_model(family)
    prepared = values_of(model, 1, site="resid")
    traces = Mass(WRITING).apply(model, TOKENIZER, FACTS, moments_of(model, [0, 1]), (), prepared)
    assert all(one.residual is not None and one.residual < 0.5 / 10 for one in traces)  # 1/m, and far below


@pytest.mark.parametrize("name", ["memit", "memit_norm"])
def test_nothing_moves_where_all_other_keys_weigh_more_than_anything(name: str) -> None:
    model = byte_model()
    before, prepared = [weight_of(model, layer) for layer in (0, 1)], values_of(model, 1, site="resid")
    editor = EDITORS[name](replace(WRITING, moment_weight=1e20, norm_weight=1e20))
    traces = editor.apply(model, TOKENIZER, FACTS, moments_of(model, [0, 1]), (), prepared)
    assert [one.change_norm for one in traces] == [0.0] * 3
    assert [one.residual for one in traces] == pytest.approx([1.0] * 3)
    assert all(torch.equal(weight_of(model, layer), one) for layer, one in enumerate(before))


@pytest.mark.parametrize("family", FAMILIES)
def test_alpha_edit_leaves_what_other_keys_give(family: str) -> None:
    model = byte_model(family)
    moments, before = moments_of(model, [1]), weight_of(model, 1)
    values, vectors = torch.linalg.eigh(moments.of(1))
    threshold = float(values[len(values) // 2])
    editor = NullSpaceMass(replace(WRITING, layers=(1,), null_threshold=threshold))
    prepared = values_of(model, 1, site="resid")
    traces = editor.apply(model, TOKENIZER, FACTS, moments, PREFIXES, prepared)
    change = weight_of(model, 1) - before
    preserved = vectors[:, values >= threshold]
    spared = preserved @ torch.randn(preserved.shape[1], 50, dtype=torch.float64)
    assert (change @ spared).norm() <= 1e-4 * change.norm() * spared.norm()
    assert change.norm() > 1e-2 * before.norm()
    assert all(one.residual is not None and one.residual < 1 for one in traces)


@pytest.mark.parametrize("kind", [NullSpaceMass, NormConstrainedMass])
def test_what_was_written_before_is_spared(kind: type[Mass]) -> None:
    """The same second edit, by an editor that wrote the first and by one that did not."""
    model = byte_model()
    settings = MassSettings((1,), moment_weight=1e-6, norm_weight=1e-2, null_threshold=10.0)
    moments, first, second = moments_of(model, [1]), FACTS[:1], FACTS[1:2]
    key = key_of(model, 1, first[0])
    moved = []
    for remembers in (True, False):
        own, editor = byte_model(), kind(settings)
        editor.apply(own, TOKENIZER, first, moments, (), values_of(own, 1, first, "resid"))
        assert torch.allclose(editor.memory[1], torch.outer(key, key), rtol=1e-4, atol=1e-6)
        writer = editor if remembers else kind(settings)
        before, values = weight_of(own, 1), values_of(own, 1, second, "resid")
        (trace,) = writer.apply(own, TOKENIZER, second, moments, (), values)
        assert trace.order == int(remembers)
        moved.append(float(((weight_of(own, 1) - before) @ key).norm()))
    assert moved[0] < 0.1 * moved[1]


def test_growth_of_the_weights_costs() -> None:
    norms = []
    for growth in (1e-6, 1.0, 1e6):
        model = byte_model()
        editor = NormConstrainedMass(replace(WRITING, norm_weight=growth))
        traces = editor.apply(model, TOKENIZER, FACTS, moments_of(model, [0, 1]), (), values_of(model, 1, site="resid"))
        norms.append(traces[0].change_norm)
    assert norms[0] > norms[1] > norms[2]


@pytest.mark.parametrize("name", ["memit", "alpha_edit", "memit_norm"])
def test_what_is_said_already_moves_little_and_leaves_a_number(name: str) -> None:
    model = byte_model()
    before = weight_of(model, 1)
    settings = MassSettings(
        (0, 1), SearchSettings(steps=5, enough=1e3), 1e-4, 1e-3, norm_weight=1e-3, null_threshold=10.0
    )
    traces = EDITORS[name](settings).apply(model, TOKENIZER, FACTS, moments_of(model, [0, 1]), PREFIXES)
    assert traces[0].change_norm <= 1e-4 * float(before.norm())
    assert all(one.residual is not None and math.isfinite(one.residual) for one in traces)


def test_alpha_edit_needs_a_weight_against_growth() -> None:
    with pytest.raises(
        ValueError, match=r"^MassSettings.norm_weight: 0.0 is not allowed; allowed: above 0 in alpha_edit"
    ):
        NullSpaceMass(MassSettings((1,)))


def test_alpha_edit_says_where_it_has_no_room() -> None:
    model = byte_model()
    editor = NullSpaceMass(replace(WRITING, null_threshold=0.0))
    with pytest.raises(ValueError, match=r"^null_threshold: 0 leaves nothing of layer 0 to write in; allowed: above"):
        editor.apply(model, TOKENIZER, FACTS, moments_of(model, [0, 1]), (), values_of(model, 1, site="resid"))
