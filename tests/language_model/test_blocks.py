"""Blocks are found whatever else a model has, paths need none, and the mode of a model is put back."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

import pytest
import torch
from torch import nn
from transformers import DynamicCache, GPTNeoXForCausalLM

from tracebank_models.activations.sites import resolve_sites
from tracebank_models.language_model.blocks import block_path, block_taps, named_modules
from tracebank_models.language_model.hooks import Tap, evaluating, first_of, replaced, stopping_after, watched
from tracebank_models.language_model.layer_divergence import activation_divergence


def test_a_list_that_is_as_long_by_chance_is_no_list_of_blocks(model: GPTNeoXForCausalLM) -> None:
    experts = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    model.gpt_neox._modules = {"experts": experts, **model.gpt_neox._modules}
    assert block_path(model) == "gpt_neox.layers"
    assert named_modules(model)["layers.2.attn"] == "gpt_neox.layers.2.attention"


def test_a_model_without_blocks_has_paths_alone(model: GPTNeoXForCausalLM) -> None:
    model.config.num_hidden_layers = 5
    with pytest.raises(ValueError, match="model: GPTNeoXForCausalLM is not allowed; allowed: one with a list of 5"):
        named_modules(model)
    (site,) = resolve_sites(model, ["gpt_neox.layers.1.mlp"])
    assert site.tap.module == "gpt_neox.layers.1.mlp"


def test_divergence_needs_an_mlp_in_each_block(model: GPTNeoXForCausalLM) -> None:
    block: Any = model.gpt_neox.layers[1]
    plain = block.forward
    block.forward = lambda *given, **named: plain(*given, **named) * 1.5
    ids = torch.tensor([[3, 4]])
    with pytest.raises(ValueError, match=r"model: GPTNeoXForCausalLM has no 'layers.1.mlp', only resid; allowed"):
        activation_divergence(model, model, [(ids, torch.ones_like(ids))])


def test_what_is_watched_is_what_was_put_there(model: GPTNeoXForCausalLM) -> None:
    ids, tap = torch.tensor([[3, 4, 5]]), Tap("gpt_neox.layers.0.mlp")
    with replaced(model, {tap: torch.zeros_like}), watched(model, {7: tap}) as seen:
        model(ids)
    assert torch.equal(seen[7], torch.zeros(1, 3, 32))
    assert not any(module._forward_hooks for module in model.modules())


def test_the_mode_is_put_back_when_the_pass_fails(model: GPTNeoXForCausalLM) -> None:
    model.train()
    with evaluating(model):
        assert not model.training
        assert not torch.is_grad_enabled()
    with pytest.raises(IndexError), evaluating(model):
        model(torch.tensor([[9999]]))
    assert model.training
    assert torch.is_grad_enabled()


def test_a_pass_that_stops_leaves_the_cache_of_what_ran(model: GPTNeoXForCausalLM) -> None:
    ids, tap = torch.tensor([[3, 4, 5, 6, 7]]), block_taps(model)["layers.1.neurons"]
    cache = DynamicCache(config=model.config)
    with evaluating(model), watched(model, {0: tap}) as seen:
        model(ids)
        whole = seen[0]
        for part in (ids[:, :3], ids[:, 3:]):
            with stopping_after(model, [tap]):
                model(part, past_key_values=cache, use_cache=True)
                raise AssertionError("the pass went on")
    torch.testing.assert_close(seen[0], whole[:, 3:])
    assert [cache.get_seq_length(layer) for layer in range(3)] == [5, 5, 0]


def test_a_pass_that_stops_puts_the_mode_back_and_keeps_no_tensor(model: GPTNeoXForCausalLM) -> None:
    model.train()
    taps, kept = block_taps(model), []
    handle = model.gpt_neox.layers[0].register_forward_hook(lambda *given: kept.append(ref(first_of(given[2]))))
    gc.disable()
    try:
        with evaluating(model), stopping_after(model, [taps["layers.2.resid"]]):
            with stopping_after(model, [taps["layers.1.mlp"], taps["layers.0.attn"]]):
                model(torch.tensor([[3, 4]]))
            model(torch.tensor([[3, 4]]))
            raise AssertionError("the pass went on")
    finally:
        gc.enable()
        handle.remove()
    assert [one() for one in kept] == [None, None]
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_failure_inside_is_no_stop(model: GPTNeoXForCausalLM) -> None:
    with pytest.raises(IndexError), stopping_after(model, [block_taps(model)["layers.0.mlp"]]):
        model(torch.tensor([[9999]]))
    assert not any(module._forward_hooks for module in model.modules())
