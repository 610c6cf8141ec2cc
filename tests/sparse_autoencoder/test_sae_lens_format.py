"""The SAELens format: its own loader and ours compute the same; what cannot be kept is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tracebank_models.sparse_autoencoder.architectures import Dictionary, build
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.sae_lens_format import export_sae_lens, import_sae_lens
from tracebank_models.sparse_autoencoder.training import ActivationBatch, StreamTraining

KINDS = ("tied_relu", "relu", "topk", "batchtopk", "matryoshka", "jumprelu")
X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)) * 5 + 1


def _trained(kind: str) -> Dictionary:
    """A dictionary whose every parameter, threshold and scale has moved."""
    values = {"normalize_activations": True, "learning_rate": 0.02, "warm_up_steps": 0}
    config = DictionaryConfig.from_dict({"name": kind, "architecture": kind, "d_in": 8, "d_sae": 24, "k": 4, **values})
    training = StreamTraining([config], "cpu")
    for _ in training.train(ActivationBatch({"activations": X}) for _ in range(10)):
        pass
    return training.dictionaries[kind].eval()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_exported_and_imported_computes_the_same(tmp_path: Path, kind: str) -> None:
    dictionary = _trained(kind)
    export_sae_lens(dictionary, tmp_path / "sae", {"hook_name": "blocks.1.mlp"})
    back, metadata = import_sae_lens(tmp_path / "sae", "back")
    assert metadata["hook_name"] == "blocks.1.mlp"
    assert metadata["tracebank_architecture"] == kind
    assert (dictionary.encode(X) > 0).any()
    torch.testing.assert_close(back.encode(X), dictionary.encode(X), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(back(X), dictionary(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_sae_lens_loads_the_export_and_computes_the_same(tmp_path: Path, kind: str) -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens is not installed: pip install sae-lens")
    dictionary = _trained(kind)
    export_sae_lens(dictionary, tmp_path / "sae", {"hook_name": "blocks.1.mlp", "model_name": "tiny"})
    sae = sae_lens.SAE.load_from_disk(tmp_path / "sae")
    torch.testing.assert_close(sae.encode(X), dictionary.encode(X), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sae(X), dictionary(X), rtol=1e-4, atol=1e-4)
    assert sae.cfg.metadata.hook_name == "blocks.1.mlp"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("standard", {"apply_b_dec_to_input": True}),
        ("standard", {"apply_b_dec_to_input": False}),
        ("topk", {"k": 5, "apply_b_dec_to_input": False}),
        ("topk", {"k": 5, "rescale_acts_by_decoder_norm": True}),
        ("jumprelu", {}),
    ],
)
def test_what_sae_lens_writes_is_read(tmp_path: Path, kind: str, values: dict[str, Any]) -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens is not installed: pip install sae-lens")
    config_class = {
        "standard": sae_lens.StandardSAEConfig,
        "topk": sae_lens.TopKSAEConfig,
        "jumprelu": sae_lens.JumpReLUSAEConfig,
    }[kind]
    sae = sae_lens.SAE.from_dict(config_class(d_in=8, d_sae=24, **values).to_dict())
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.rand_like(parameter) - 0.4)
        if kind == "jumprelu":
            sae.threshold.abs_()
    sae.save_model(tmp_path)
    dictionary, _ = import_sae_lens(tmp_path, "theirs")
    codes = dictionary.encode(X)
    assert (codes > 0).any()
    torch.testing.assert_close(dictionary(X), sae(X), rtol=1e-4, atol=1e-4)
    if not values.get("rescale_acts_by_decoder_norm"):
        torch.testing.assert_close(codes, sae.encode(X), rtol=1e-4, atol=1e-4)


def test_what_sae_lens_does_not_know_is_refused(tmp_path: Path) -> None:
    neurons = DictionaryConfig(name="n", architecture="neurons", d_in=8, d_sae=8)
    with pytest.raises(ValueError, match="architecture = 'neurons': SAELens knows batchtopk, jumprelu"):
        export_sae_lens(build(neurons), tmp_path, {})
    config = DictionaryConfig(name="c", architecture="crosscoder", d_in=8, d_sae=24, sites=("a", "b"), k=2)
    with pytest.raises(ValueError, match="architecture = 'crosscoder': SAELens knows batchtopk, jumprelu"):
        export_sae_lens(build(config), tmp_path / "c", {})
    assert not (tmp_path / "c").exists()


def _change(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
    (folder / "cfg.json").write_text(json.dumps(config | values), encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "transcoder"}, "architecture = 'transcoder': must be one of jumprelu, gated, standard, topk"),
        ({"architecture": "standard", "activation_fn_str": "tanh-relu"}, "activation_fn = 'tanh-relu'"),
        ({"architecture": "jumprelu", "activation_fn": "topk"}, "activation_fn = 'topk' of architecture 'jumprelu'"),
        ({"k": None}, "k = missing: a top-k dictionary must have one"),
        ({"activation_fn_kwargs": {"k": 5}}, "k = 4 and 5: a top-k dictionary must have one"),
        ({"normalize_activations": True}, "normalize_activations = True: must be 'none'"),
        ({"hook_point": "blocks.1.attn.hook_z", "reshape_activations": "hook_z"}, "reshape_activations = 'hook_z'"),
        ({"d_out": 12}, "d_out = 12: a transcoder writes where it does not read"),
        ({"hook_name": "a", "hook_name_out": "b"}, "hook_name_out = 'b': a transcoder"),
        ({"d_in": None}, "d_in = None: must be a whole number from 1"),
        ({"normalize_activations": "layer_norm"}, "normalize_activations = 'layer_norm': must be 'none'"),
        ({"d_sae": 23}, r"W_enc: has shape \(8, 24\), must be \(8, 23\)"),
        ({"architecture": "jumprelu"}, r"threshold: has shape None, must be \(24,\)"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    export_sae_lens(_trained("topk"), tmp_path, {})
    _change(tmp_path, **values)
    with pytest.raises(ValueError, match=message):
        import_sae_lens(tmp_path, "one")


def _written(folder: Path, values: dict[str, Any], **tensors: torch.Tensor) -> dict[str, torch.Tensor]:
    """A folder as SAELens wrote it before version 6, and its tensors."""
    chance = torch.Generator().manual_seed(5)
    shapes = {"W_enc": (8, 24), "b_enc": (24,), "W_dec": (24, 8), "b_dec": (8,)}
    made = {name: torch.randn(shape, generator=chance) * 0.4 for name, shape in shapes.items()} | tensors
    if values.get("architecture") == "gated":
        del made["b_enc"]
    save_file(made, folder / "sae_weights.safetensors")
    head = {"d_in": 8, "d_sae": 24, "dtype": "float32", "hook_point": "blocks.3.hook_resid_post"}
    (folder / "cfg.json").write_text(json.dumps({**head, **values}), encoding="utf-8")
    return made


@pytest.mark.parametrize(
    "values",
    [
        {"architecture": "standard", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5}},
        {"activation_fn": "topk", "activation_fn_kwargs": {"k": 5}, "apply_b_dec_to_input": False},
        {"architecture": "topk", "activation_fn_str": "relu", "activation_fn_kwargs": {"k": 5}},
    ],
)
def test_top_k_of_older_versions_is_top_k(tmp_path: Path, values: dict[str, Any]) -> None:
    theirs = _written(tmp_path, {**values, "noise_scale": 0.1, "normalize_activations": False})
    dictionary, metadata = import_sae_lens(tmp_path, "old")
    x = X - theirs["b_dec"] if values.get("apply_b_dec_to_input", True) else X
    before = x @ theirs["W_enc"] + theirs["b_enc"]
    largest, where = before.topk(5, dim=1)
    codes = torch.zeros_like(before).scatter(1, where, largest.relu())
    torch.testing.assert_close(dictionary.encode(X), codes, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dictionary(X), codes @ theirs["W_dec"] + theirs["b_dec"], rtol=1e-4, atol=1e-4)
    assert metadata["hook_name"] == "blocks.3.hook_resid_post"


@pytest.mark.parametrize("subtracted", [True, False])
def test_a_gate_over_one_encoder_is_a_threshold(tmp_path: Path, subtracted: bool) -> None:
    names, chance = ("b_gate", "b_mag", "r_mag"), torch.Generator().manual_seed(6)
    extra = {name: torch.randn(24, generator=chance) * 0.5 for name in names}
    theirs = _written(tmp_path, {"architecture": "gated", "apply_b_dec_to_input": subtracted}, **extra)
    dictionary, _ = import_sae_lens(tmp_path, "gated")
    x = X - theirs["b_dec"] if subtracted else X
    is_open = x @ theirs["W_enc"] + theirs["b_gate"] > 0
    codes = is_open * (x @ (theirs["W_enc"] * theirs["r_mag"].exp()) + theirs["b_mag"]).relu()
    assert (is_open & (codes == 0)).any()
    torch.testing.assert_close(dictionary.encode(X), codes, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dictionary(X), codes @ theirs["W_dec"] + theirs["b_dec"], rtol=1e-4, atol=1e-4)


def test_a_scale_of_fine_tuning_is_folded_into_the_decoder(tmp_path: Path) -> None:
    scale = torch.linspace(0.5, 1.5, 24)
    theirs = _written(tmp_path, {"finetuning_scaling_factor": True}, scaling_factor=scale)
    dictionary, _ = import_sae_lens(tmp_path, "tuned")
    codes = ((X - theirs["b_dec"]) @ theirs["W_enc"] + theirs["b_enc"]).relu()
    wanted = (codes * scale) @ theirs["W_dec"] + theirs["b_dec"]
    torch.testing.assert_close(dictionary(X), wanted, rtol=1e-4, atol=1e-4)
    _change(tmp_path, finetuning_scaling_factor=False)
    with pytest.raises(ValueError, match="scaling_factor: is not 1, so finetuning_scaling_factor must be true"):
        import_sae_lens(tmp_path, "tuned")
    _written(tmp_path, {}, scaling_factor=torch.ones(24))
    import_sae_lens(tmp_path, "untouched")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"threshold": torch.ones(24)}, "threshold: is no tensor of architecture 'standard', must be W_enc"),
        ({"W_skip": torch.ones(8, 8)}, "W_skip: is no tensor of architecture 'standard'"),
        ({"b_dec": torch.full((8,), float("nan"))}, "b_dec: has numbers that are NaN or infinite"),
    ],
)
def test_no_tensor_is_passed_over(tmp_path: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    _written(tmp_path, {}, **tensors)
    with pytest.raises(ValueError, match=message):
        import_sae_lens(tmp_path, "one")


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    _written(tmp_path, {})
    (tmp_path / "sae_weights.safetensors").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors: no safetensors"):
        import_sae_lens(tmp_path, "one")
    (tmp_path / "cfg.json").write_text("{")
    with pytest.raises(ValueError, match=r"cfg\.json: no JSON"):
        import_sae_lens(tmp_path, "one")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no SAELens dictionary \(no cfg.json\)"):
        import_sae_lens(tmp_path, "one")
    export_sae_lens(_trained("topk"), tmp_path, {})
    tensors = load_file(tmp_path / "sae_weights.safetensors")
    assert set(tensors) == {"W_enc", "b_enc", "W_dec", "b_dec"}
    save_file(tensors, tmp_path / "other.safetensors")
    (tmp_path / "sae_weights.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"no sae_weights\.safetensors"):
        import_sae_lens(tmp_path, "one")
