"""What a study needs is asked before anything is trained: one line each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, MambaConfig, MambaForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.loading import LoadedModel, language_model_facts
from tracebank_models.language_model.tokenizer import train_tokenizer
from tracebank_models.reward_probe.study import EFFORTS
from tracebank_models.reward_probe.study_needs import check_model, check_space, needed_bytes

EFFORT = EFFORTS["small"]
WORDS = ("good", "great", "awful", "hate")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["good and great and awful is what I hate to hate"] * 2, 262)


def _loaded(tokenizer: PreTrainedTokenizerFast, model: Any = None, **changes: Any) -> LoadedModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": 262, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    made = model or GPTNeoXForCausalLM(
        GPTNeoXConfig(**{**sizes, "intermediate_size": 32, "max_position_embeddings": 128, **changes})
    )
    return LoadedModel(made.eval(), tokenizer, language_model_facts(made, tokenizer, "mine"))


def test_what_a_study_can_be_made_with_passes(tokenizer: PreTrainedTokenizerFast) -> None:
    check_model(_loaded(tokenizer), EFFORT, WORDS)


def test_a_short_context_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="model: mine reads 64 tokens at most; allowed: 96 or more"):
        check_model(_loaded(tokenizer, max_position_embeddings=64), EFFORT, WORDS)


def test_blocks_without_an_mlp_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    mamba = MambaForCausalLM(MambaConfig(vocab_size=262, hidden_size=16, num_hidden_layers=2, state_size=4))
    with pytest.raises(ValueError, match=r"MambaForCausalLM has no 'layers\.0\.mlp', only resid, mixer; allowed"):
        check_model(_loaded(tokenizer, mamba), EFFORT, WORDS)


def test_a_tokenizer_without_the_lexicons_words_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    one_word = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="<|endoftext|>")
    one_word.backend_tokenizer.normalizer = _constant()
    with pytest.raises(ValueError, match="tokenizer: that of mine tells 1 of the lexicon's 4 words apart"):
        check_model(_loaded(one_word), EFFORT, WORDS)


def _constant() -> Any:
    from tokenizers import Regex, normalizers

    return normalizers.Replace(Regex(".+"), "x")


def test_a_tokenizer_without_padding_and_end_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(ValueError, match="tokenizer: it has no padding and no end-of-text token"):
        check_model(_loaded(bare), EFFORT, WORDS)


def test_the_space_is_that_of_checkpoints_and_activations(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    loaded = _loaded(tokenizer)
    activations = 2_000 * 96 * 2 * 2 * 16 * 2  # documents, tokens, layers, sides, width, float16
    assert needed_bytes(loaded, EFFORT, "loaded") == activations
    assert needed_bytes(loaded, EFFORT, "ppo") == activations + 4 * 12 * loaded.facts.parameters
    last = dataclasses.replace(EFFORT, dpo=dataclasses.replace(EFFORT.dpo, checkpoint_every=0))
    assert needed_bytes(loaded, last, "dpo") == activations + 12 * loaded.facts.parameters
    check_space(tmp_path, activations)
    with pytest.raises(ValueError, match=r"disk: \S+ has \d+\.\d GiB free; the study's checkpoints .* 1048576\.0 GiB"):
        check_space(tmp_path, 2**50)
