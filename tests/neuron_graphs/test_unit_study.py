"""Units of a model on a corpus: what cannot be read is one line, and what has no graph says why."""

from __future__ import annotations

import copy

import polars as pl
import pytest
import torch
from tests.neuron_graphs.conftest import TEXTS
from transformers import GPTNeoXForCausalLM, MambaConfig, MambaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.neuron_graphs.unit_study import UnitsOfModel, described_units, graphs_of_units, scores_of_units
from tracebank_models.sparse_autoencoder.architectures import build
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig

NO_TOKENS = pl.DataFrame(schema={"feature": pl.Int32, "token_id": pl.Int32})


def _units(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: list[str] = TEXTS, width: int = 128
) -> UnitsOfModel:
    neurons = build(DictionaryConfig(name="neurons", architecture="neurons", d_in=width, d_sae=width)).eval()
    corpus = TokenCorpus.from_texts(texts, tokenizer, max_tokens=40)
    return UnitsOfModel(model, tokenizer, "layers.1.neurons", neurons, corpus)


def test_a_unit_that_does_the_same_everywhere_says_so(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = copy.deepcopy(model)
    into = model.gpt_neox.layers[1].mlp.dense_h_to_4h
    with torch.no_grad():
        into.weight[3], into.bias[3] = 0, 2
    found = graphs_of_units(_units(model, tokenizer), [3, 4]).graphs
    assert [(one.unit, one.reason) for one in found] == [(3, "its activations are constant"), (4, None)]


def test_an_activation_that_is_no_number_is_refused(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = copy.deepcopy(model)
    with torch.no_grad():
        model.gpt_neox.layers[1].mlp.dense_h_to_4h.weight[3] = torch.nan
    units = _units(model, tokenizer)
    with pytest.raises(ValueError, match="NaN or infinite"):
        graphs_of_units(units, [4])
    with pytest.raises(ValueError, match="NaN or infinite"):
        described_units(units, "m")


def test_documents_to_make_and_to_test_are_needed(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    one = _units(model, tokenizer, TEXTS[:1])
    with pytest.raises(ValueError, match="no document has an odd number: allowed are two documents and more"):
        graphs_of_units(one, [4])
    with pytest.raises(ValueError, match="no document has an odd number"):
        scores_of_units(one, {4: None}, {4: "none"}, NO_TOKENS)
    with pytest.raises(ValueError, match="0 tokens: at least one document with a token is needed"):
        _units(model, tokenizer, ["", ""])


def test_a_model_without_an_mlp_of_two_matrices_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    config = MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=4, time_step_rank=2)
    mamba = MambaForCausalLM(config).eval()
    with pytest.raises(ValueError, match=r"that block of MambaForCausalLM has no MLP of two matrices"):
        graphs_of_units(_units(mamba, tokenizer), [1])
