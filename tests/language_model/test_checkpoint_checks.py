"""What is loaded is what the files hold, or one line says what is not; every folder here is made from a right one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.checkpoint_checks import check_loaded
from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.language_model.loading import load_language_model

Tensors = dict[str, Tensor]
_MLP = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"


@pytest.fixture
def folder(model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def _change(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def _without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def _with(**tensors: Tensor) -> Callable[[Tensors], Tensors]:
    return lambda others: others | {name.replace("__", "."): tensor for name, tensor in tensors.items()}


def _as_value_head(tensors: Tensors) -> Tensors:
    return {f"pretrained_model.{name}": one for name, one in tensors.items()} | {
        "v_head.summary.weight": torch.ones(1, 32)
    }


def _spoilt(tensors: Tensors) -> Tensors:
    tensors[_MLP][3, 4] = float("nan")
    return tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _without("layers.1.mlp"),
            r"the files lack gpt_neox\.layers\.1\.mlp\.\S+, \S+ and 2 more tensors of the model",
        ),
        (
            _without("embed_out"),
            r"the files lack (lm_head|embed_out)\.weight of the model; allowed: a checkpoint of all",
        ),
        (_as_value_head, r"the files lack .*; the files hold pretrained_model\.\S+, .* more tensors instead; allowed"),
        (
            _with(gpt_neox__layers__3__mlp__dense_h_to_4h__weight=torch.ones(128, 32)),
            "the files hold gpt_neox.layers.3",
        ),
        (
            _with(gpt_neox__layers__0__mlp__lora_A__weight=torch.ones(4, 32)),
            "the files hold gpt_neox.layers.0.mlp.lora_A",
        ),
        (lambda t: t | {"lm_head.bias": torch.ones(400)}, "the files hold lm_head.bias, which the model by its conf"),
        (
            lambda t: t | {_MLP: torch.ones(120, 32)},
            rf"{_MLP} has shape \(120, 32\) in the files, and \(128, 32\) by the",
        ),
        (
            lambda t: t | {_MLP: torch.ones(128, 32, dtype=torch.int8)},
            rf"{_MLP} in model.safetensors is quantised \(I8\)",
        ),
        (_spoilt, rf"{_MLP} has 1 of 4096 numbers that are NaN or infinite"),
    ],
)
def test_tensors_that_are_not_the_models_are_named(
    folder: Path, change: Callable[[Tensors], Tensors], message: str
) -> None:
    _change(folder, change)
    with pytest.raises(ValueError, match=message) as caught:
        load_language_model(str(folder), device="cpu")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"name: {str(folder)!r} cannot be loaded: ")


def test_nothing_is_printed_beside_the_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _change(folder, _without("layers.1.mlp"))
    with pytest.raises(ValueError, match="lack"):
        load_language_model(str(folder), device="cpu")
    assert capfd.readouterr() == ("", "")


def test_a_head_that_is_no_part_of_the_model_and_old_buffers_are_passed_over(
    folder: Path, model: GPTNeoXForCausalLM
) -> None:
    _change(
        folder, _with(v_head__summary__weight=torch.ones(1, 32), gpt_neox__layers__0__attention__bias=torch.ones(2))
    )
    assert load_language_model(str(folder), device="cpu").facts.weights_hash == weights_hash(model)


def test_a_buffer_that_is_not_finite_is_refused(model: GPTNeoXForCausalLM) -> None:
    model.register_buffer("correction", torch.tensor([1.0, float("inf")]))
    report: dict[str, list[str]] = {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}
    with pytest.raises(ValueError, match=r"^correction has 1 of 2 numbers that are NaN or infinite"):
        check_loaded(model, report)


@pytest.mark.parametrize("alike", [True, False])
def test_an_unembedding_of_its_own_is_kept_where_the_configuration_ties_it(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, alike: bool
) -> None:
    tied = GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=16, n_layer=2, n_head=2, n_positions=32))
    tied.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    own = tied.lm_head.weight.detach() + (0 if alike else 1)
    _change(tmp_path, lambda tensors: tensors | {"lm_head.weight": own})
    loaded = load_language_model(str(tmp_path), device="cpu").model
    assert torch.equal(loaded.get_output_embeddings().weight, own)
    assert torch.equal(loaded.get_input_embeddings().weight, tied.lm_head.weight)


def test_a_tied_unembedding_need_not_be_in_the_files(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    tied = GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=16, n_layer=2, n_head=2, n_positions=32))
    tied.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    assert load_language_model(str(tmp_path), device="cpu").facts.weights_hash == weights_hash(tied)


@pytest.mark.parametrize("beside_a_model", [True, False])
def test_an_adapter_is_never_dropped(folder: Path, tmp_path: Path, beside_a_model: bool) -> None:
    target = folder if beside_a_model else tmp_path / "alone"
    target.mkdir(exist_ok=True)
    (target / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x"}))
    with pytest.raises(
        ValueError, match=r"it holds an adapter .*; allowed: the merged model \(PEFT: model.merge_and_un"
    ):
        load_language_model(str(target), device="cpu")


def _configure(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_codes_are_refused_by_the_configuration(folder: Path) -> None:
    _configure(folder, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    with pytest.raises(
        ValueError, match=r"its weights are quantised \(bitsandbytes\); allowed: float32, float16 or bf"
    ):
        load_language_model(str(folder), device="cpu")


class _Runs:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_pickles_give_tensors_and_run_nothing(folder: Path, model: GPTNeoXForCausalLM, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert load_language_model(str(folder), device="cpu").facts.weights_hash == weights_hash(model)
    torch.save(tensors | {"more": _Runs(tmp_path / "run")}, folder / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"a \.bin file of its weights holds more than tensors; allowed: weights saved"
    ):
        load_language_model(str(folder), device="cpu")
    assert not (tmp_path / "run").exists()


def test_files_that_are_not_whole_are_named(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cannot be loaded: .*incomplete"):
        load_language_model(str(folder), device="cpu")
    index = {"metadata": {}, "weight_map": {"embed_out.weight": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    file.unlink()
    with pytest.raises(ValueError, match=r"cannot be loaded: .*model-00002-of-00002\.safetensors"):
        load_language_model(str(folder), device="cpu")


def test_a_tokenizer_larger_than_the_embedding_is_refused(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    larger = type(tokenizer).from_pretrained(folder)
    larger.add_tokens(["<one>", "<two>"])
    larger.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"tokenizer: it has 402 tokens, and the model's embedding 400 rows: '<one>'"):
        load_language_model(str(folder), device="cpu")


def test_a_missing_tokenizer_is_said_to_be_missing(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"its tokenizer \(tokenizer\.json\) is missing or cannot be read"):
        load_language_model(str(folder), device="cpu")
