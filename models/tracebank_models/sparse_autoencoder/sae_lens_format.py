"""The folder format of SAELens 6, `cfg.json` and `sae_weights.safetensors`, written and read without SAELens.

What its inference classes compute from the files is what our dictionaries compute. Learned thresholds become its
JumpReLU; scales of the input and, on reading, biases and decoder norms are folded into the weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures import Dictionary, JumpReluDictionary, build
from tracebank_models.sparse_autoencoder.configuration import Architecture, DictionaryConfig

CONFIG: Final = "cfg.json"
WEIGHTS: Final = "sae_weights.safetensors"
_WRITTEN_AS: Final = {
    "tied_relu": "standard",
    "relu": "standard",
    "topk": "topk",
    "batchtopk": "jumprelu",
    "matryoshka": "jumprelu",
    "jumprelu": "jumprelu",
}
_READ_AS: Final[dict[str, Architecture]] = {"standard": "relu", "topk": "topk", "jumprelu": "jumprelu"}
_VERSION: Final = "6.0.0"
"""Version of SAELens whose layout this is; a file without one is taken for an older layout and loses its metadata."""
_LEAST_THRESHOLD: Final = 1e-8
"""Our thresholds are kept by their logarithm."""


def export_sae_lens(dictionary: Dictionary, folder: Path, metadata: Mapping[str, Any]) -> None:
    """Write a dictionary as a folder that SAELens loads with `SAE.load_from_disk`.

    Args:
        dictionary: Any but a crosscoder.
        folder: Made if it is not there.
        metadata: What SAELens calls so: `model_name`, `hook_name`, `dataset_path`, ... Plain values.

    Raises:
        ValueError: It is a crosscoder, which the format does not know.
    """
    config = dictionary.config
    if config.architecture not in _WRITTEN_AS:
        raise ValueError(f"architecture = {config.architecture!r}: SAELens knows {', '.join(_WRITTEN_AS)}")
    written = _WRITTEN_AS[config.architecture]
    values: dict[str, Any] = {
        "architecture": written,
        "d_in": config.d_in,
        "d_sae": config.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": dictionary.subtracts_decoder_bias,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": _VERSION,
            "tracebank_architecture": config.architecture,
            "seed": config.seed,
            **metadata,
        },
    }
    if written == "topk":
        values |= {"k": config.k, "rescale_acts_by_decoder_norm": False}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_tensors(dictionary, with_threshold=written == "jumprelu"), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(values, indent=1), encoding="utf-8")


@torch.no_grad()
def _tensors(dictionary: Dictionary, *, with_threshold: bool) -> dict[str, Tensor]:
    scale = dictionary.input_scale
    tensors = {
        "W_enc": (dictionary.encoder_rows() * scale).T,
        "b_enc": dictionary.encoder_bias,
        "W_dec": dictionary.decoder_rows() / scale,
        "b_dec": dictionary.decoder_bias / scale,
    }
    if with_threshold:
        tensors["threshold"] = dictionary.threshold
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def import_sae_lens(folder: Path, name: str) -> tuple[Dictionary, dict[str, Any]]:
    """Read a folder that SAELens, or `export_sae_lens`, has written.

    Args:
        folder: Holds `cfg.json` and `sae_weights.safetensors`.
        name: What the dictionary is called from now on.

    Returns:
        The dictionary, and SAELens's metadata.

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: The architecture or a setting is not known here, or a tensor does not fit.
    """
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).exists():
            raise FileNotFoundError(f"{folder}: no SAELens dictionary (no {file})")
    values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    _check(values)
    config = DictionaryConfig(
        name=name,
        architecture=_READ_AS[values["architecture"]],
        d_in=values["d_in"],
        d_sae=values["d_sae"],
        k=values.get("k", 1),
    )
    dictionary = build(config)
    _fill(dictionary, load_file(folder / WEIGHTS), values)
    return dictionary.eval(), dict(values.get("metadata", {}))


def _check(values: dict[str, Any]) -> None:
    if values.get("architecture") not in _READ_AS:
        raise ValueError(f"architecture = {values.get('architecture')!r}: must be one of {', '.join(_READ_AS)}")
    for field in ("normalize_activations", "reshape_activations"):
        if values.get(field, "none") != "none":
            raise ValueError(f"{field} = {values[field]!r}: must be 'none'; fold it into the weights first")


@torch.no_grad()
def _fill(dictionary: Dictionary, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    d_in, d_sae = dictionary.config.d_in, dictionary.config.d_sae
    shapes = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    if isinstance(dictionary, JumpReluDictionary):
        shapes["threshold"] = (d_sae,)
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape) if name in tensors else None
        if found != shape:
            raise ValueError(f"{name}: has shape {found}, must be {shape}")
    encoder, decoder = tensors["W_enc"].float().T, tensors["W_dec"].float()
    bias, shift = tensors["b_enc"].float(), tensors["b_dec"].float()
    if values.get("rescale_acts_by_decoder_norm"):
        norms = decoder.norm(dim=1)
        encoder, bias, decoder = encoder * norms[:, None], bias * norms, decoder / norms[:, None]
    subtracted = bool(values.get("apply_b_dec_to_input", True))
    bias = bias + (encoder @ shift) * (int(dictionary.subtracts_decoder_bias) - int(subtracted))
    dictionary.encoder.copy_(encoder)
    dictionary.encoder_bias.copy_(bias)
    dictionary.decoder.copy_(decoder)
    dictionary.decoder_bias.copy_(shift)
    if isinstance(dictionary, JumpReluDictionary):
        dictionary.log_threshold.copy_(tensors["threshold"].float().clamp_min(_LEAST_THRESHOLD).log())
        dictionary.threshold.copy_(dictionary.log_threshold.exp())
