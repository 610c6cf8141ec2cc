"""Capture: one forward pass, masked padding, hooks that go away, and one clear line for bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.activations.conftest import TEXTS
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tracebank_models.activations.capture import forward, site_widths, stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.activations.sites import replaced, resolve_sites
from tracebank_models.language_model.blocks import named_modules
from tracebank_models.language_model.tokenizer import tokenizer_hash

SITES = ["layers.1.mlp", "layers.2.resid", "layers.0.attn", "gpt_neox.embed_in"]


def _hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def _corpus(tokenizer: Any) -> TokenCorpus:
    return TokenCorpus.from_texts(TEXTS, tokenizer, max_tokens=20)


def test_padding_changes_nothing(model: Any, tokenizer: Any) -> None:
    """Each document alone, without a pad, is the oracle."""
    corpus = _corpus(tokenizer)
    sites = resolve_sites(model, SITES)
    seen = 0
    for batch in stream_activations(model, corpus, SITES, batch_tokens=70):
        for document in batch.documents.unique().tolist():
            rows = batch.documents == document
            ids = tokenizer(TEXTS[document], add_special_tokens=False)["input_ids"][:20]
            assert batch.token_ids[rows].tolist() == ids
            assert batch.positions[rows].tolist() == list(range(len(ids)))
            alone = torch.tensor([ids])
            for name, value in forward(model, alone, torch.ones_like(alone), sites).items():
                torch.testing.assert_close(batch.activations[name][rows], value[0], rtol=1e-4, atol=1e-5)
            seen += len(ids)
    assert seen == corpus.tokens


def test_values_are_those_of_the_model(model: Any, tokenizer: Any) -> None:
    """`output_hidden_states` of transformers is the oracle of the residual stream."""
    ids = torch.tensor([tokenizer("quick brown")["input_ids"]])
    seen = forward(model, ids, torch.ones_like(ids), resolve_sites(model, ["layers.0.resid", "layers.1.resid"]))
    states = model(ids, output_hidden_states=True).hidden_states
    assert torch.equal(seen["layers.0.resid"], states[1])
    assert torch.equal(seen["layers.1.resid"], states[2])


def test_one_forward_pass_serves_all_sites_and_leaves_no_hook(model: Any, tokenizer: Any) -> None:
    corpus, calls, before = _corpus(tokenizer), [], _hooks(model)
    handle = model.gpt_neox.register_forward_hook(lambda *_: calls.append(1))
    batches = list(stream_activations(model, corpus, SITES, batch_tokens=100))
    handle.remove()
    assert len(calls) == len(batches) > 1
    assert _hooks(model) == before


def test_hooks_go_when_the_pass_fails(model: Any) -> None:
    ids, before = torch.tensor([[999]]), _hooks(model)
    with pytest.raises(IndexError):
        forward(model, ids, torch.ones_like(ids), resolve_sites(model, ["layers.0.mlp"]))
    assert _hooks(model) == before


def test_every_token_comes_once_whatever_the_batch(model: Any, tokenizer: Any) -> None:
    corpus = _corpus(tokenizer)
    for size in (1, 33, 10_000):
        rows = torch.cat([b.rows for b in stream_activations(model, corpus, ["layers.0.mlp"], batch_tokens=size)])
        assert rows.sort().values.tolist() == list(range(corpus.tokens))


def test_the_mode_of_the_model_is_put_back(model: Any, tokenizer: Any) -> None:
    model.train()
    list(stream_activations(model, _corpus(tokenizer), ["layers.0.mlp"]))
    assert model.training
    model.eval()


def test_sites_of_other_architectures() -> None:
    gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=20, n_positions=16))
    llama = LlamaForCausalLM(
        LlamaConfig(num_hidden_layers=2, hidden_size=8, intermediate_size=12, num_attention_heads=2, vocab_size=20)
    )
    for other in (gpt2, llama):
        names = [f"layers.{n}.{part}" for n in range(2) for part in ("attn", "mlp", "resid")]
        assert sorted(named_modules(other)) == names
        assert site_widths(other, resolve_sites(other, names)) == dict.fromkeys(names, 8)


def test_a_site_outside_the_body_is_reached(model: Any) -> None:
    assert site_widths(model, resolve_sites(model, ["lm_head"])) == {"lm_head": 257}


def test_a_replaced_output_is_what_the_model_goes_on_with(model: Any, tokenizer: Any) -> None:
    ids = torch.tensor([tokenizer("quick brown")["input_ids"]])
    (site,), before = resolve_sites(model, ["layers.2.resid"]), _hooks(model)
    with torch.inference_mode(), replaced(model, {site: lambda x: torch.zeros_like(x)}):
        changed = model(ids).logits
    plain = model.lm_head(model.gpt_neox.final_layer_norm(torch.zeros(1, ids.shape[1], 16)))
    torch.testing.assert_close(changed, plain)
    assert _hooks(model) == before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["layers.7.mlp"], r"^sites: 'layers.7.mlp' is not known .*layers.N.\{attn,mlp,resid\} with N from 0 to 2"),
        (["nowhere"], "^sites: 'nowhere' is not known"),
        (["layers.0.mlp", "layers.0.mlp"], "each once"),
        ([], "at least one site"),
    ],
)
def test_unknown_sites_are_refused(model: Any, names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as failure:
        resolve_sites(model, names)
    assert "\n" not in str(failure.value)


def test_a_site_that_gives_no_hidden_states_is_refused(model: Any) -> None:
    before = _hooks(model)
    with pytest.raises(ValueError, match=r"'gpt_neox' gives"):
        site_widths(model, resolve_sites(model, ["gpt_neox"]))
    assert _hooks(model) == before


def test_nan_is_refused_where_it_is(model: Any, tokenizer: Any) -> None:
    corpus = TokenCorpus.from_texts(["", "abcd"], tokenizer)
    (site,) = resolve_sites(model, ["layers.1.mlp"])

    def spoil(x: torch.Tensor) -> torch.Tensor:
        return x.index_fill(1, torch.tensor([2]), float("nan"))

    with (
        replaced(model, {site: spoil}),
        pytest.raises(ValueError, match=r"^activations: site 'layers.1.mlp' has nan at document 1, position 2:"),
    ):
        list(stream_activations(model, corpus, ["layers.1.mlp"]))


def test_an_empty_corpus_is_refused(tokenizer: Any) -> None:
    for texts in ([], ["", ""]):
        with pytest.raises(ValueError, match=r"^corpus: 0 tokens: at least one"):
            TokenCorpus.from_texts(texts, tokenizer)


def test_another_tokenizer_is_refused(model: Any, tokenizer: Any) -> None:
    corpus = _corpus(tokenizer)
    with pytest.raises(ValueError, match=r"^tokenizer: the corpus was tokenized by"):
        next(iter(stream_activations(model, corpus, ["layers.0.mlp"], expected_tokenizer="f" * 64)))
    beyond = TokenCorpus(np.array([3, 257], np.int32), np.array([0, 2]), np.array([0]), "x")
    with pytest.raises(ValueError, match="token 257: allowed are 0 to 256"):
        next(iter(stream_activations(model, beyond, ["layers.0.mlp"])))


def test_the_hash_is_of_the_tokens_and_not_of_the_tokenizers_mood(tokenizer: Any) -> None:
    before = tokenizer_hash(tokenizer)
    first = _corpus(tokenizer)
    assert tokenizer_hash(tokenizer) == before == first.tokenizer_hash
    assert first.hash == _corpus(tokenizer).hash
    assert first.hash != TokenCorpus.from_texts(TEXTS, tokenizer, max_tokens=19).hash
    assert first.hash != TokenCorpus.from_texts(["", *TEXTS], tokenizer, max_tokens=20).hash


def test_windows_are_whole_documents(tokenizer: Any) -> None:
    corpus = _corpus(tokenizer)
    for size in (1, 25, 10_000):
        windows = list(corpus.windows(size))
        assert [n for window in windows for n in window] == list(range(corpus.documents))
        for window in windows:
            assert corpus.starts[window.stop] - corpus.starts[window.start] <= size or len(window) == 1
