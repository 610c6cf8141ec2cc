from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.language_model.loading import (
    LanguageModelUnavailable,
    language_model_facts,
    load_language_model,
)
from tracebank_models.language_model.tokenizer import tokenizer_hash


def test_a_folder_gives_the_model_back_with_its_facts(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    parent = language_model_facts(model, tokenizer, "parent")
    loaded = load_language_model(str(tmp_path), parent=parent, label="tuned", device="cpu")
    assert loaded.facts.frame().to_dicts() == [
        {
            "model": "tuned",
            "revision": weights_hash(model),
            "parent": "parent",
            "parent_weights_hash": weights_hash(model),
            "architecture": "GPTNeoXForCausalLM",
            "layers": 3,
            "hidden_size": 32,
            "mlp_size": 128,
            "attention_heads": 2,
            "vocabulary_size": 400,
            "context_length": 64,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "dtype": "float32",
            "tokenizer_hash": tokenizer_hash(tokenizer),
            "weights_hash": weights_hash(model),
        }
    ]
    assert not loaded.model.training
    half = load_language_model(str(tmp_path), dtype="bfloat16", device="cpu")
    assert half.facts.dtype == "bfloat16"
    assert half.facts.weights_hash != parent.weights_hash


def test_other_architectures_have_the_same_facts(tokenizer: PreTrainedTokenizerFast) -> None:
    other = GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=16, n_layer=2, n_head=2, n_positions=32))
    facts = language_model_facts(other, tokenizer, "gpt2")
    assert (facts.layers, facts.hidden_size, facts.mlp_size, facts.context_length) == (2, 16, 64, 32)


def test_offline_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pattern = "language model: 'nobody/nothing' at revision 'main' is not in the cache .*; allowed: a model in the"
    with pytest.raises(LanguageModelUnavailable, match=pattern) as caught:
        load_language_model("nobody/nothing", download=False, device="cpu")
    assert "\n" not in str(caught.value)
    # The switch of HF_HUB_OFFLINE, which spares the test the retries of a network that is not there.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LanguageModelUnavailable, match="the network did not give it") as caught:
        load_language_model("nobody/nothing", revision="abc", device="cpu")
    assert "\n" not in str(caught.value)
    assert "'abc'" in str(caught.value)


def test_bad_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not allowed; allowed: the folder of a model"):
        load_language_model(str(tmp_path), device="cpu")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"name: .* cannot be loaded: "):
        load_language_model(str(tmp_path), device="cpu")
    with pytest.raises(ValueError, match="revision: 'main' is not allowed with a folder; allowed: none"):
        load_language_model(str(tmp_path), "main", device="cpu")
    with pytest.raises(ValueError, match="dtype: 'int8' is not allowed; allowed: float32, float16, bfloat16"):
        load_language_model(str(tmp_path), dtype="int8")
    for device in ("tpu", "cpu:1", "cuda:99", "cpu:"):
        with pytest.raises(ValueError, match=f"device: '{device}' is not allowed; allowed here: auto, "):
            load_language_model(str(tmp_path), device=device)
