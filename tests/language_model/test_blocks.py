"""Blocks are found whatever else a model has, paths need none, and the mode of a model is put back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import GPTNeoXForCausalLM

from tracebank_models.activations.sites import resolve_sites
from tracebank_models.language_model.blocks import block_path, named_modules
from tracebank_models.language_model.hooks import Tap, evaluating, replaced, watched
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
