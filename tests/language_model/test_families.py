"""What a site is, on a tiny model of each family: parts add up to what a block adds, and zeros there take it away."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from tracebank_models.activations.capture import forward
from tracebank_models.activations.sites import replaced, resolve_sites
from tracebank_models.language_model.blocks import block_taps
from tracebank_models.language_model.hooks import evaluating

_COMMON: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
}
_GROUPED = {**_COMMON, "num_key_value_heads": 1}
_EIGHT = {**_GROUPED, "head_dim": 8}
_GPT = {"vocab_size": 60, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
_OPT = {**_COMMON, "ffn_dim": 24, "word_embed_proj_dim": 16}
_MOE = {"num_local_experts": 2, "num_experts_per_tok": 1}
_LINEAR = {
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 8,
    "linear_num_key_heads": 1,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_MAMBA = {"mamba_d_ssm": 16, "mamba_n_heads": 2, "mamba_d_head": 8, "mamba_d_state": 4, "mamba_n_groups": 1}
FAMILIES: dict[str, Any] = {
    "gpt2": lambda: hf.GPT2Config(**_GPT),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**_COMMON),
    "gptj": lambda: hf.GPTJConfig(**_GPT, rotary_dim=4),  # one addition of both parts
    "llama": lambda: hf.LlamaConfig(**_GROUPED),
    "mistral": lambda: hf.MistralConfig(**_GROUPED),
    "qwen2": lambda: hf.Qwen2Config(**_GROUPED),
    "falcon": lambda: hf.FalconConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2),
    "falcon_bloom_like": lambda: hf.FalconConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, parallel_attn=False, alibi=True
    ),
    "bloom": lambda: hf.BloomConfig(vocab_size=60, hidden_size=16, n_layer=2, n_head=2),
    "mpt": lambda: hf.MptConfig(vocab_size=60, d_model=16, n_layers=2, n_heads=2, expansion_ratio=2, max_seq_len=32),
    "gemma2": lambda: hf.Gemma2Config(**_EIGHT, query_pre_attn_scalar=8, sliding_window=8),
    "olmo2": lambda: hf.Olmo2Config(**_GROUPED),
    "glm4": lambda: hf.Glm4Config(**_EIGHT, pad_token_id=0),
    "granite": lambda: hf.GraniteConfig(**_GROUPED, residual_multiplier=0.22, embedding_multiplier=12.0),
    "cohere": lambda: hf.CohereConfig(**_GROUPED),
    "phi": lambda: hf.PhiConfig(**_COMMON),
    "opt": lambda: hf.OPTConfig(**_OPT),
    "xglm": lambda: hf.XGLMConfig(vocab_size=60, d_model=16, num_layers=2, ffn_dim=24, attention_heads=2),
    "dbrx": lambda: hf.DbrxConfig(
        vocab_size=60,
        d_model=16,
        n_layers=2,
        n_heads=2,
        max_seq_len=32,
        attn_config={"kv_n_heads": 1, "rope_theta": 1e4, "clip_qkv": 8},
        ffn_config={"ffn_hidden_size": 24, "moe_num_experts": 2, "moe_top_k": 1},
    ),
    "granitemoe": lambda: hf.GraniteMoeConfig(**_GROUPED, **_MOE),
    "llama4_text": lambda: hf.Llama4TextConfig(**_EIGHT, **_MOE, intermediate_size_mlp=24),
    "gpt_oss": lambda: hf.GptOssConfig(**_EIGHT, **_MOE, sliding_window=8),
    "falcon_h1": lambda: hf.FalconH1Config(**_EIGHT, **_MAMBA, attention_out_multiplier=0.7, ssm_out_multiplier=0.3),
    "qwen3_next": lambda: hf.Qwen3NextConfig(**_EIGHT, **_LINEAR, layer_types=["linear_attention", "full_attention"]),
    "lfm2": lambda: hf.Lfm2Config(**_GROUPED, layer_types=["conv", "full_attention"]),
    "recurrent_gemma": lambda: hf.RecurrentGemmaConfig(
        **_EIGHT, lru_width=16, attention_window_size=8, block_types=["recurrent", "attention"]
    ),
    "mamba": lambda: hf.MambaConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, state_size=4),
    "rwkv": lambda: hf.RwkvConfig(
        vocab_size=60, hidden_size=16, attention_hidden_size=16, num_hidden_layers=2, intermediate_size=24
    ),
}
_PARTS = {
    "falcon_h1": {"attn", "mlp", "mamba"},
    "mamba": {"mixer"},
}
"""Of the second block, where they are others than `attn` and `mlp`."""


def _model(name: str) -> Any:
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(FAMILIES[name]()).float().eval()
    with torch.no_grad():  # livelier than fresh weights, so that a wrong place is told from a right one
        for path, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.2)
            elif "norm" in path or "ln" in path:
                weight.add_(torch.randn_like(weight) * 0.1)
    return model


def _ids() -> tuple[Tensor, Tensor]:
    ids = torch.arange(18).mul(5).remainder(60).view(3, 6)
    return ids, torch.ones_like(ids)


def _stream(model: nn.Module, ids: Tensor) -> list[Tensor]:
    """The stream after each block, by transformers itself; the last one has gone through the final norm there."""
    with torch.no_grad():
        return list(model(ids, use_cache=False, output_hidden_states=True).hidden_states)


@pytest.mark.parametrize("name", FAMILIES)
def test_parts_add_up_to_what_a_block_adds(name: str) -> None:
    model, (ids, mask) = _model(name), _ids()
    taps = block_taps(model)
    parts = {path.rpartition(".")[2] for path in taps if path.startswith("layers.1.")} - {"resid", "neurons"}
    assert parts == _PARTS.get(name, {"attn", "mlp"})
    seen = forward(model, ids, mask, resolve_sites(model, [path for path in taps if not path.endswith("neurons")]))
    assert {tuple(value.shape) for value in seen.values()} == {(3, 6, 16)}
    first = 0 if name in ("mamba", "rwkv") else 1  # whether transformers lists the embeddings too
    torch.testing.assert_close(seen["layers.0.resid"], _stream(model, ids)[first])
    added = seen["layers.1.resid"] - seen["layers.0.resid"]
    torch.testing.assert_close(sum(seen[f"layers.1.{part}"] for part in parts), added, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("mamba",)])
def test_zeros_at_a_site_take_just_that_part_away(name: str) -> None:
    """In place of the last MLP, so that nothing before it changes."""
    model, (ids, mask) = _model(name), _ids()
    sites = {site.name: site for site in resolve_sites(model, ["layers.1.mlp", "layers.1.resid"])}
    plain = forward(model, ids, mask, list(sites.values()))
    with replaced(model, {sites["layers.1.mlp"]: torch.zeros_like}):
        without = forward(model, ids, mask, [sites["layers.1.resid"]])["layers.1.resid"]
    expected = plain["layers.1.resid"] - plain["layers.1.mlp"]
    torch.testing.assert_close(without, expected, rtol=1e-4, atol=1e-4)
    with replaced(model, {sites["layers.1.mlp"]: lambda x: x}):
        same = forward(model, ids, mask, [sites["layers.1.resid"]])["layers.1.resid"]
    torch.testing.assert_close(same, plain["layers.1.resid"])


def test_where_the_stream_itself_is_normalised_a_part_is_what_goes_into_the_norm() -> None:
    FAMILIES["opt350"] = lambda: hf.OPTConfig(**{**_OPT, "word_embed_proj_dim": 8}, do_layer_norm_before=False)
    model, (ids, mask) = _model("opt350"), _ids()
    del FAMILIES["opt350"]
    names = [f"layers.{n}.{part}" for n in range(2) for part in ("attn", "mlp", "resid")]
    seen = forward(model, ids, mask, resolve_sites(model, names))
    block = model.model.decoder.layers[1]
    with torch.no_grad():
        middle = block.self_attn_layer_norm(seen["layers.0.resid"] + seen["layers.1.attn"])
        after = block.final_layer_norm(middle + seen["layers.1.mlp"])
    torch.testing.assert_close(after, seen["layers.1.resid"])


_NO_NEURONS = {"dbrx", "granitemoe", "gpt_oss", "qwen3_next", "mamba", "rwkv", "llama4_text"}
"""Mixtures of experts, and what is gated behind the second matrix."""
_NORMS_AFTER = {
    "gemma2": "post_feedforward_layernorm",
    "olmo2": "post_feedforward_layernorm",
    "glm4": "post_mlp_layernorm",
}


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in _NO_NEURONS])
def test_neurons_times_the_second_matrix_are_what_the_mlp_adds(name: str) -> None:
    model, (ids, mask) = _model(name), _ids()
    for block in (0, 1):
        neurons, mlp = resolve_sites(model, [f"layers.{block}.neurons", f"layers.{block}.mlp"])
        seen = forward(model, ids, mask, [neurons, mlp])
        matrix = model.get_submodule(neurons.tap.module)
        weight = matrix.weight.T if isinstance(matrix, Conv1D) else matrix.weight
        assert seen[neurons.name].shape == (3, 6, weight.shape[1])
        made = seen[neurons.name] @ weight.T + (0 if matrix.bias is None else matrix.bias)
        if name in _NORMS_AFTER:
            made = model.get_submodule(f"model.layers.{block}.{_NORMS_AFTER[name]}")(made)
        torch.testing.assert_close(made * mlp.tap.factor, seen[mlp.name], rtol=1e-5, atol=1e-5)
        scale = 3.0 if name not in _NORMS_AFTER else 0.0
        with replaced(model, {neurons: lambda x, scale=scale: x * scale}):
            changed = forward(model, ids, mask, [mlp])[mlp.name]
        bias = torch.zeros(16) if matrix.bias is None else matrix.bias * mlp.tap.factor
        torch.testing.assert_close(changed, (seen[mlp.name] - bias) * scale + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(_NO_NEURONS))
def test_an_mlp_that_does_not_end_in_one_matrix_has_no_neurons(name: str) -> None:
    model = _model(name)
    with pytest.raises(
        ValueError, match=r"^sites: 'layers.1.neurons' is not there: that block of \w+ has no MLP of two"
    ):
        resolve_sites(model, ["layers.1.resid", "layers.1.neurons"])
    assert "layers.1.resid" in block_taps(model)


def test_one_matrix_alone_is_no_mlp_of_two() -> None:
    model = _model("llama")
    model.model.layers[1].mlp = nn.Linear(16, 16)
    assert [name for name in block_taps(model) if name.endswith("neurons")] == ["layers.0.neurons"]
    with pytest.raises(ValueError, match=r"LlamaForCausalLM has no MLP of two matrices; allowed: layers.1.\{attn,mlp"):
        resolve_sites(model, ["layers.1.neurons"])


class _Odd(nn.Module):
    """An MLP that is added twice over: a block that no sum of its parts explains."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.inner = mlp

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.inner(x)
        return made * x.sigmoid()


def test_what_does_not_add_up_has_no_site() -> None:
    model = _model("llama")
    layer = model.model.layers[1]
    plain = layer.forward
    layer.forward = lambda *given, **named: plain(*given, **named) * 1.5
    assert [name for name in block_taps(model) if name.startswith("layers.1")] == ["layers.1.resid"]
    with pytest.raises(ValueError, match=r"sites: 'layers\.1\.mlp' is not known"):
        resolve_sites(model, ["layers.1.mlp"])


def test_a_block_may_hold_any_mlp_that_is_added_as_it_comes() -> None:
    model = _model("llama")
    model.model.layers[1].mlp = _Odd(model.model.layers[1].mlp)
    assert block_taps(model)["layers.1.mlp"].module == "model.layers.1.mlp"


def test_what_the_model_writes_over_is_copied() -> None:
    """Falcon adds its attention into the MLP's output, in place."""
    model, (ids, mask) = _model("falcon"), _ids()
    block = model.transformer.h[1]
    with evaluating(model):
        wanted = block.mlp(block.input_layernorm(_stream(model, ids)[1]))
    for name in ("layers.1.mlp", "transformer.h.1.mlp"):
        seen = forward(model, ids, mask, resolve_sites(model, [name]))
        torch.testing.assert_close(seen[name], wanted)


def test_sites_without_an_axis_of_sequences_are_given_one_while_tokens_come_one_by_one() -> None:
    """Generation with a cache runs one position at a time, where Llama 4's MoE and OPT's fc2 give (tokens, width)."""
    model = _model("llama4_text")
    (site,) = resolve_sites(model, ["layers.0.mlp"])
    shapes = []

    def look(x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        return x

    ids, mask = _ids()
    with replaced(model, {site: look}):
        model.generate(ids, attention_mask=mask, max_new_tokens=2, min_new_tokens=2, do_sample=False, pad_token_id=0)
    assert shapes == [(3, 6, 16), (3, 1, 16)]
