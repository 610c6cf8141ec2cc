"""The fast build makes what the slow loop makes, of a tiny model with random weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tests.neuron_graphs.conftest import TEXTS
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tracebank_benchmarks.neuron_graphs.rate import compare, windows_of
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.neuron_graphs.build import build_graphs
from tracebank_models.neuron_graphs.settings import PAPERS, GraphSettings
from tracebank_models.neuron_graphs.shared_runs import Runs
from tracebank_models.neuron_graphs.units import ModelUnits, UnitReader
from tracebank_models.neuron_graphs.words import MaskedWord


def any_word(words: Sequence[MaskedWord]) -> list[list[str]]:
    """The same substitutes for every word; some are several tokens."""
    return [["path", "typing", "name", "otherwise"] for _ in words]


def test_graphs_and_predictions_are_equal(model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    units = ModelUnits(model, tokenizer, "layers.1.neurons")
    corpus = TokenCorpus.from_texts(TEXTS, tokenizer, max_tokens=40)
    examples = windows_of(units, corpus, [3, 17, 40, 77, 100], 4)
    texts = [[units.texts[token] for token in units.encode(text)] for text in (*TEXTS, "a file is from the path.")]
    found = compare(units, examples, any_word, texts)
    assert found.equal_graphs == 5
    assert found.equal_predictions == {"longest": 5, "maximum": 5}
    assert found.variants > 0
    fast, slow = found.rates
    assert fast.tokens < slow.tokens / 2
    made = build_graphs(units, examples, PAPERS, any_word)
    assert all(one.graph is not None and one.graph.match.children for one in made)


CONFIGS = {
    "gpt2": (GPT2LMHeadModel, GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=2, n_positions=48), "neurons"),
    "opt": (
        OPTForCausalLM,
        OPTConfig(vocab_size=320, hidden_size=32, word_embed_proj_dim=32, num_hidden_layers=2, num_attention_heads=2,
                  ffn_dim=64, max_position_embeddings=48),
        "neurons",
    ),
    "llama": (
        LlamaForCausalLM,
        LlamaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                    intermediate_size=64, max_position_embeddings=48),
        "neurons",
    ),
    "mamba": (
        MambaForCausalLM,
        MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=4, time_step_rank=2),
        "resid",
    ),
}  # fmt: skip


def tiny(name: str) -> tuple[PreTrainedModel, str]:
    kind, config, part = CONFIGS[name]
    torch.manual_seed(0)
    return kind(config).eval(), f"layers.1.{part}"


@pytest.mark.parametrize("name", CONFIGS)
def test_masks_from_a_shared_prefix_give_what_whole_texts_give(
    name: str, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, site = tiny(name)
    units = ModelUnits(model, tokenizer, site)
    monkeypatch.setattr(ModelUnits, "_pass_tokens", 0.0)
    ids = torch.randint(2, 300, (3, 9), generator=torch.Generator().manual_seed(1))
    rows, wanted = torch.tensor([2, 0, 1, 2]), torch.tensor([5, 9, 30, 7])
    whole = UnitReader.masked_values(units, ids, rows, wanted)
    before = units.forwarded
    shared = units.masked_values(ids, rows, wanted)
    torch.testing.assert_close(shared.triu(), whole.triu(), rtol=1e-4, atol=1e-5)
    # 9 tokens of each text and its suffixes of 1 to 9, against 9 masks of 9; Mamba's state cannot be cut.
    assert units.forwarded - before == 3 * (81 if name == "mamba" else 9 + 45)


def test_a_dictionary_of_a_site_is_read_like_neurons(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    class Doubled:
        def encode(self, activations: torch.Tensor) -> torch.Tensor:
            return torch.cat([activations, -activations], 1).relu()

        def decode(self, codes: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError

    plain = ModelUnits(model, tokenizer, "layers.1.mlp")
    coded = ModelUnits(model, tokenizer, "layers.1.mlp", Doubled())
    assert (plain.features, coded.features) == (32, 64)
    ids = torch.tensor([[4, 9, 30, 7]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    values = plain.values(ids, mask, torch.tensor([3]))
    found = coded.values(ids, mask, torch.tensor([35, 3]))
    torch.testing.assert_close(found, torch.cat([(-values).relu(), values.relu()], 2))


def test_a_pass_ends_at_the_site(model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    units = ModelUnits(model, tokenizer, "layers.0.neurons")
    ran = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in model.named_modules()
        if name in ("gpt_neox.layers.0.mlp.act", "gpt_neox.layers.1", "embed_out")
    ]
    units.values(torch.tensor([[4, 9]]), torch.ones(1, 2, dtype=torch.bool), torch.tensor([1]))
    for hook in hooks:
        hook.remove()
    assert ran == ["gpt_neox.layers.0.mlp.act"]


class Counted(UnitReader):
    """The value of a token is its id times the unit; what was asked for is kept."""

    features, context, padding_id, start_id, texts = 9, 32, 0, 1, [f" w{number}" for number in range(50)]

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def values(self, ids: torch.Tensor, mask: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
        self.seen += ids.tolist()
        return (ids[..., None] * units).float()

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError


def test_what_is_the_same_is_run_once_for_all_units() -> None:
    reader = Counted()
    runs = Runs(reader, GraphSettings())
    asked = [((5, 6, 7), 2), ((5, 6), 3), ((5, 6, 7), 4), ((6, 7), 2), ((5, 6), 2)]
    found = runs.values(asked)
    assert [one.tolist() for one in found] == [[2, 10, 12, 14], [3, 15, 18], [4, 20, 24, 28], [2, 12, 14], [2, 10, 12]]
    assert sorted(reader.seen) == [[1, 5, 6, 7], [1, 6, 7, 0]]  # (5, 6) begins (5, 6, 7)
    masked = runs.masked([((5, 6), 2), ((7, 8), 3), ((5, 6), 2)])
    np.testing.assert_array_equal(np.triu(masked[0]), [[0, 12], [0, 0]])
    np.testing.assert_array_equal(np.triu(masked[1]), [[0, 24], [0, 0]])
    assert masked[0] is masked[2]
