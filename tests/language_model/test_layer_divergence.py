from __future__ import annotations

import copy

import polars as pl
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.architecture import ModelSize, build_model
from tracebank_models.language_model.layer_divergence import (
    DEFINITIONS,
    Batch,
    activation_divergence,
    layer_divergence,
    output_divergence,
    swap_divergence,
    weight_divergence,
)
from tracebank_models.language_model.token_blocks import padded_texts

TEXTS = ["Review of a kettle.", "It came in red and the lid was dull.", "We love it."]


@pytest.fixture
def batch(tokenizer: PreTrainedTokenizerFast) -> Batch:
    return padded_texts(tokenizer, TEXTS)[0]


@pytest.fixture
def tuned(model: GPTNeoXForCausalLM) -> GPTNeoXForCausalLM:
    other = copy.deepcopy(model)
    chance = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=chance)
    return other


def _value(frame: pl.DataFrame, layer: int, definition: str) -> float:
    return float(frame.filter(layer=layer, definition=definition)["value"].item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_is_at_no_distance_from_itself(model: GPTNeoXForCausalLM, batch: Batch, dtype: torch.dtype) -> None:
    model = model.to(dtype)
    frame = layer_divergence(model, copy.deepcopy(model), [batch])
    assert frame.height == 3 * len(DEFINITIONS)
    assert set(frame["definition"]) == set(DEFINITIONS)
    assert frame["value"].to_list() == [0.0] * frame.height
    assert output_divergence(model, copy.deepcopy(model), [batch])["value"].to_list() == [0.0] * 3
    assert weight_divergence(model, model)["l2"].to_list() == [0.0] * len(list(model.parameters()))


def test_every_definition_is_positive_for_another_model(
    model: GPTNeoXForCausalLM, tuned: GPTNeoXForCausalLM, batch: Batch
) -> None:
    assert (layer_divergence(model, tuned, [batch])["value"] > 0).all()
    assert (output_divergence(model, tuned, [batch])["value"] > 0).all()


def test_weights_have_the_norms_of_what_was_added(model: GPTNeoXForCausalLM, batch: Batch) -> None:
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.gpt_neox.layers[1].mlp.dense_4h_to_h.bias += 0.5
        other.gpt_neox.layers[1].attention.dense.bias += 0.25
        other.lm_head.weight += 1
    tensors = weight_divergence(model, other)
    changed = tensors.filter(pl.col("l2") > 0)
    assert changed["layer"].to_list() == [1, 1, None]
    assert changed["l2"].to_list() == pytest.approx([0.25 * 32**0.5, 0.5 * 32**0.5, (400 * 32) ** 0.5], rel=1e-6)
    frame = layer_divergence(model, other, [batch], swaps=False)
    assert _value(frame, 1, "weight_l2_sum") == pytest.approx(0.75 * 32**0.5)
    assert _value(frame, 1, "weight_l2") == pytest.approx((0.25**2 + 0.5**2) ** 0.5 * 32**0.5)
    block = torch.cat([one.flatten() for one in model.gpt_neox.layers[1].parameters()]).norm().item()
    whole = _value(frame, 1, "weight_l2")
    assert _value(frame, 1, "weight_relative") == pytest.approx(whole / block, rel=1e-5)
    assert [_value(frame, layer, "weight_l2_sum") for layer in (0, 2)] == [0, 0]
    assert _value(frame, 0, "block_activation_relative") == 0
    assert _value(frame, 1, "mlp_activation_relative") > 0


def test_padding_changes_nothing(model: GPTNeoXForCausalLM, tuned: GPTNeoXForCausalLM, batch: Batch) -> None:
    ids, mask = batch
    assert int(mask.sum()) < mask.numel()
    together = layer_divergence(model, tuned, [batch])
    other_ids = torch.where(mask.bool(), ids, 99)
    assert layer_divergence(model, tuned, [(other_ids, mask)]).equals(together)
    alone = [(row[kept.bool()][None], kept[kept.bool()][None]) for row, kept in zip(ids, mask, strict=True)]
    wide = torch.nn.functional.pad(ids, (7, 5), value=1), torch.nn.functional.pad(mask, (7, 5))
    for batches in (alone, [wide]):
        apart = layer_divergence(model, tuned, batches)
        assert apart["value"].to_list() == pytest.approx(together["value"].to_list(), rel=1e-4)
        outputs = output_divergence(model, tuned, batches)["value"].to_list()
        assert outputs == pytest.approx(output_divergence(model, tuned, [batch])["value"].to_list(), rel=1e-4)


def test_outputs_are_compared_by_their_formulas(
    model: GPTNeoXForCausalLM, tuned: GPTNeoXForCausalLM, batch: Batch
) -> None:
    ids, mask = batch
    with torch.no_grad():
        one, two = (
            net(ids, attention_mask=mask).logits.log_softmax(-1)[mask.bool()].double() for net in (model, tuned)
        )
    found = dict(output_divergence(model, tuned, [batch]).iter_rows())
    kl = torch.nn.functional.kl_div(two, one, reduction="batchmean", log_target=True).item()
    assert found["kl_parent_tuned"] == pytest.approx(kl, rel=1e-4)
    middle = (one.exp() + two.exp()).mul(0.5).log()
    halves = [torch.nn.functional.kl_div(middle, part, reduction="batchmean", log_target=True) for part in (one, two)]
    assert found["jensen_shannon"] == pytest.approx(float(halves[0] + halves[1]) / 2, rel=1e-4)


def test_activations_are_compared_by_their_formulas(
    model: GPTNeoXForCausalLM, tuned: GPTNeoXForCausalLM, batch: Batch
) -> None:
    frame = activation_divergence(model, tuned, [batch])
    assert not any(module._forward_hooks for net in (model, tuned) for module in net.modules())
    ids, mask = batch
    states = [
        net(ids, attention_mask=mask, output_hidden_states=True).hidden_states[2][mask.bool()].double()
        for net in (model, tuned)
    ]
    relative = ((states[0] - states[1]).norm() / states[0].norm()).item()
    assert _value(frame, 1, "block_activation_relative") == pytest.approx(relative, rel=1e-4)
    cosine = 1 - torch.nn.functional.cosine_similarity(states[0], states[1]).mean().item()
    assert _value(frame, 1, "block_activation_cosine") == pytest.approx(cosine, rel=1e-4)


def test_a_swap_of_the_only_block_tuned_is_the_whole_difference(
    model: GPTNeoXForCausalLM, tuned: GPTNeoXForCausalLM, batch: Batch
) -> None:
    other = copy.deepcopy(model)
    other.gpt_neox.layers[2].load_state_dict(tuned.gpt_neox.layers[2].state_dict())
    swaps = swap_divergence(model, other, [batch])["value"].to_list()
    assert swaps[:2] == [0, 0]
    assert swaps[2] == pytest.approx(dict(output_divergence(model, other, [batch]).iter_rows())["kl_parent_tuned"])


def test_gpt2_blocks_are_found(batch: Batch) -> None:
    torch.manual_seed(0)
    first = GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=16, n_layer=2, n_head=2, n_positions=64))
    second = copy.deepcopy(first)
    with torch.no_grad():
        second.transformer.h[1].mlp.c_fc.bias += 1
    frame = layer_divergence(first, second, [batch])
    assert _value(frame, 1, "weight_l2_sum") > 0 == _value(frame, 0, "weight_l2_sum")


def test_bad_input_is_refused(
    model: GPTNeoXForCausalLM, tuned: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, batch: Batch
) -> None:
    wider = build_model(ModelSize(48, 3, 2, vocabulary_size=400), tokenizer)
    with pytest.raises(
        ValueError, match=r"tuned: shape of 'gpt_neox.embed_in.weight': \(400, 48\) is not allowed; allowed"
    ):
        weight_divergence(model, wider)
    with pytest.raises(ValueError, match="batches: none with a token is not allowed"):
        layer_divergence(model, tuned, [(batch[0], torch.zeros_like(batch[1]))])
    with pytest.raises(ValueError, match=r"batches: ids .* and mask .* of batch 0 are not allowed"):
        activation_divergence(model, tuned, [(batch[0], batch[1][:, :2])])
    coded = copy.deepcopy(tuned)
    coded.lm_head.weight = torch.nn.Parameter(coded.lm_head.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match=r"weights: 'lm_head.weight' is torch.int8; allowed: float32"):
        weight_divergence(model, coded)
