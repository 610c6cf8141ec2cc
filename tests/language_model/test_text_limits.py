"""Where responses end, how long texts may be, and what is no text at all."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    GPTNeoXForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MptConfig,
    MptForCausalLM,
    PreTrainedTokenizerFast,
    RwkvConfig,
    RwkvForCausalLM,
)

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.language_model.sampling import check_causal, check_padding, sample_completions
from tracebank_models.language_model.text_limits import context_length, end_ids
from tracebank_models.language_model.token_blocks import encode_documents, padded_batch


def _prompts() -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = padded_batch([np.array([5, 6, 7], np.int32), np.array([9], np.int32)], 1, left=True)
    return ids.repeat(40, 1), mask.repeat(40, 1)


@pytest.mark.parametrize(("ends", "wanted"), [([7, 12], {0, 7, 12}), (7, {0, 7}), (None, {0})])
def test_every_end_token_ends_a_response(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, ends: Any, wanted: set[int]
) -> None:
    model.generation_config.eos_token_id = ends
    assert set(end_ids(model, tokenizer)) == wanted
    with torch.no_grad():
        model.lm_head.weight[[7, 12, 0]] *= 40  # make ends frequent
    done = sample_completions(
        model.eval(), tokenizer, _prompts(), torch.full((80,), 9), torch.Generator().manual_seed(0)
    )
    rows = [row[:length] for row, length in zip(done.response_ids.tolist(), done.lengths.tolist(), strict=True)]
    assert not [row for row in rows if wanted & set(row[:-1])]
    assert {row[-1] for row in rows if len(row) < 9} == wanted


def test_an_end_token_that_is_also_the_padding_counts_once(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    same = copy.deepcopy(tokenizer)
    same.pad_token = same.eos_token
    with torch.no_grad():
        model.lm_head.weight[0] *= 40
    done = sample_completions(model.eval(), same, _prompts(), torch.full((80,), 9), torch.Generator().manual_seed(0))
    ended = done.lengths < 9
    assert ended.any()
    for row, length in zip(done.response_ids[ended].tolist(), done.lengths[ended].tolist(), strict=True):
        assert row[length - 1 :] == [0] * (10 - length)
        assert 0 not in row[: length - 1]


def test_the_context_is_read_under_each_name() -> None:
    mpt = MptForCausalLM(MptConfig(vocab_size=40, d_model=16, n_layers=1, n_heads=2, max_seq_len=24))
    mamba = MambaForCausalLM(MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, state_size=4))
    assert (context_length(mpt), context_length(mamba)) == (24, None)


def test_a_document_longer_than_the_context_is_named(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    corpus = TokenCorpus.from_texts(["short", "much longer " * 60, "long " * 90], tokenizer, max_tokens=80)
    message = (
        r"corpus: document 1 has 80 tokens: allowed are at most 64, the model's context \(2 documents are longer\)"
    )
    with pytest.raises(ValueError, match=message):
        next(iter(stream_activations(model, corpus, ["layers.0.mlp"])))


def test_half_a_surrogate_pair_is_named(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = ["fine", "", "not \udc80 fine"]
    message = r"texts: number 2 has a lone surrogate \(U\+DC80\) at character 4, which is no character"
    for read in (lambda: encode_documents(tokenizer, texts), lambda: TokenCorpus.from_texts(texts, tokenizer)):
        with pytest.raises(ValueError, match=message):
            read()


def _lively(model: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.3)
    return model.eval()


def test_models_that_cannot_be_sampled_in_batches_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    sizes = {"vocab_size": 400, "hidden_size": 16, "num_hidden_layers": 2}
    rwkv = _lively(RwkvForCausalLM(RwkvConfig(**sizes, attention_hidden_size=16, intermediate_size=24)))
    with pytest.raises(ValueError, match="model: RwkvForCausalLM reads padding before a prompt as tokens"):
        check_padding(rwkv, tokenizer)
    mamba = _lively(MambaForCausalLM(MambaConfig(**sizes, state_size=4)))
    check_padding(mamba, tokenizer)
    with torch.no_grad():
        mamba.backbone.norm_f.weight[0] = float("inf")
    with pytest.raises(ValueError, match="gives logits that are not finite"):
        check_padding(mamba, tokenizer)


def test_an_encoder_is_no_causal_model(model: GPTNeoXForCausalLM) -> None:
    encoder = _lively(
        BertLMHeadModel(
            BertConfig(vocab_size=400, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
        )
    )
    with pytest.raises(ValueError, match="model: BertLMHeadModel reads tokens that come later"):
        check_causal(encoder)
    check_causal(model.eval())


def test_a_model_without_such_a_cache_is_sampled_all_the_same(tokenizer: PreTrainedTokenizerFast) -> None:
    sizes = {"vocab_size": 400, "hidden_size": 16, "num_hidden_layers": 2}
    mamba = _lively(MambaForCausalLM(MambaConfig(**sizes, state_size=4)))
    ids, mask = padded_batch([np.array([5, 6, 7], np.int32), np.array([9], np.int32)], 1, left=True)
    done = sample_completions(mamba, tokenizer, (ids, mask), torch.tensor([4, 4]), temperature=0)
    row = torch.tensor([[9]])
    for _ in range(4):
        row = torch.cat((row, mamba(row).logits[:, -1].argmax(-1)[:, None]), dim=1)
    kept = int(done.lengths[1])
    assert done.response_ids[1, :kept].tolist() == row[0, 1 : 1 + kept].tolist()
