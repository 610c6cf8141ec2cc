"""Edits for a while: every tensor comes back bit by bit, however the edit ends, and what does not is named."""

from __future__ import annotations

import pytest
import torch
from tests.counterfact.cases import byte_model
from tests.model_editing.facts import FACTS, FAMILIES, PREFIXES, TOKENIZER, moments_of, values_of
from transformers import PreTrainedModel

from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.model_editing.editors import EDITORS
from tracebank_models.model_editing.fine_tuning import FineTuning
from tracebank_models.model_editing.mass import NullSpaceMass
from tracebank_models.model_editing.places import EditPlace, edit_place
from tracebank_models.model_editing.restored import WeightGuard, edited
from tracebank_models.model_editing.settings import FineTuningSettings, MassSettings, RankOneSettings

RANK_ONE = RankOneSettings(1, moment_ridge=1e-2)
MASS = MassSettings((0, 1), moment_weight=1e-3, moment_ridge=1e-3, norm_weight=1e-3, null_threshold=10.0)
SETTINGS = {
    "ft_l": FineTuningSettings(radius=1e-2, steps=2),
    **dict.fromkeys(("rome", "r_rome"), RANK_ONE),
    **dict.fromkeys(("memit", "alpha_edit", "memit_norm"), MASS),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", EDITORS)
def test_weights_come_back(name: str, family: str) -> None:
    model, editor = byte_model(family), EDITORS[name](SETTINGS[name])
    moments, was = moments_of(model, [0, 1]), weights_hash(model)
    prepared = values_of(model, 1, site="mlp" if "rome" in name else "resid")
    with edited(model, TOKENIZER, editor, FACTS, moments, PREFIXES, prepared) as traces:
        assert weights_hash(model) != was
        assert len(traces) == editor.written == len(FACTS)
    assert weights_hash(model) == was
    assert (editor.written, editor.memory) == (0, {})


def test_weights_come_back_where_the_second_layer_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    model, editor = byte_model(), NullSpaceMass(MASS)
    moments, prepared, was = moments_of(model, [0, 1]), values_of(model, 1, site="resid"), weights_hash(model)
    plain = EditPlace.add

    def add(place: EditPlace, change: torch.Tensor) -> None:
        plain(place, change)
        if place.layer == 1:
            assert weights_hash(model) != was
            raise KeyboardInterrupt

    monkeypatch.setattr(EditPlace, "add", add)
    with pytest.raises(KeyboardInterrupt), edited(model, TOKENIZER, editor, FACTS, moments, (), prepared):
        pass
    assert weights_hash(model) == was
    assert (editor.written, editor.memory) == (0, {})


def test_weights_come_back_where_scoring_raises() -> None:
    model, editor = byte_model(), FineTuning(FineTuningSettings(radius=1e-2, steps=2))
    was = weights_hash(model)

    def score() -> None:
        assert weights_hash(model) != was
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), edited(model, TOKENIZER, editor, FACTS):
        score()
    assert weights_hash(model) == was


def _norm_weight(model: PreTrainedModel) -> torch.Tensor:
    return dict(model.named_parameters())["gpt_neox.final_layer_norm.weight"]


def _frequencies(model: PreTrainedModel) -> torch.Tensor:
    return dict(model.named_buffers())["gpt_neox.rotary_emb.inv_freq"]  # in no saved state


@pytest.mark.parametrize("tensor", [_norm_weight, _frequencies])
@pytest.mark.parametrize("keeps_guard", [True, False])
def test_a_tensor_that_no_editor_writes_to_is_watched(tensor: object, keeps_guard: bool) -> None:
    assert callable(tensor)
    model, editor = byte_model(), FineTuning(FineTuningSettings(radius=1e-2, steps=1))
    guard = WeightGuard(model) if keeps_guard else None
    with (
        pytest.raises(RuntimeError, match=r"^weights: gpt_neox\..* are not what they were before the edit"),
        edited(model, TOKENIZER, editor, FACTS, guard=guard),
        torch.no_grad(),
    ):
        tensor(model)[0] += 1e-6


def test_a_write_that_torch_does_not_count_is_seen_by_hashes() -> None:
    model = byte_model()
    guard = WeightGuard(model)
    _norm_weight(model).data.view(torch.int32)[0] ^= 1
    with pytest.raises(RuntimeError, match=r"^weights: gpt_neox\.final_layer_norm\.weight are not what"):
        guard.check(whole=True)


def test_what_is_not_a_number_comes_back_too() -> None:
    model, editor = byte_model(), FineTuning(FineTuningSettings(radius=1e-2, steps=1))
    edit_place(model, 0)
    with torch.no_grad():
        _norm_weight(model)[3] = torch.nan
    was = weights_hash(model)
    with pytest.raises(ValueError, match=r"not finite"), edited(model, TOKENIZER, editor, FACTS):
        pass
    assert weights_hash(model) == was
