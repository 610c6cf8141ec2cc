"""The folder format of SAELens 6, `cfg.json` and `sae_weights.safetensors`, written and read without SAELens.

What its inference classes compute from the files is what our dictionaries compute. Learned thresholds become its
JumpReLU, and its gates become thresholds; scales of the input and, on reading, biases, decoder norms and scales of the
codes are folded into the weights. What a `cfg.json` says is read in `sae_lens_settings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures import Dictionary, build
from tracebank_models.sparse_autoencoder.configuration import ARCHITECTURES, DictionaryConfig, architecture_of
from tracebank_models.sparse_autoencoder.sae_lens_settings import SaeLensSettings, read_settings

CONFIG: Final = "cfg.json"
WEIGHTS: Final = "sae_weights.safetensors"
_VERSION: Final = "6.0.0"
"""Version of SAELens whose layout this is; a file without one is taken for an older layout and loses its metadata."""


def _readers() -> dict[str, str]:
    """Architecture here by SAELens's."""
    return {theirs: name for name in ARCHITECTURES for theirs in architecture_of(name).dictionary.sae_lens_reads}


def export_sae_lens(dictionary: Dictionary, folder: Path, metadata: Mapping[str, Any]) -> None:
    """Write a dictionary as a folder that SAELens loads with `SAE.load_from_disk`.

    Args:
        dictionary: Any but a crosscoder and a layer of neurons.
        folder: Made if it is not there.
        metadata: What SAELens calls so: `model_name`, `hook_name`, `dataset_path`, ... Plain values.

    Raises:
        ValueError: It is one of those, which the format does not know.
    """
    config = dictionary.config
    if dictionary.sae_lens_name is None:
        known = [name for name in ARCHITECTURES if architecture_of(name).dictionary.sae_lens_name]
        raise ValueError(f"architecture = {config.architecture!r}: SAELens knows {', '.join(known)}")
    values: dict[str, Any] = {
        "architecture": dictionary.sae_lens_name,
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
        **dictionary.sae_lens_settings(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_tensors(dictionary), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(values, indent=1), encoding="utf-8")


@torch.no_grad()
def _tensors(dictionary: Dictionary) -> dict[str, Tensor]:
    scale = dictionary.input_scale
    tensors = {
        "W_enc": (dictionary.encoder_rows() * scale).T,
        "b_enc": dictionary.encoder_bias,
        "W_dec": dictionary.decoder_rows() / scale,
        "b_dec": dictionary.decoder_bias / scale,
        **dictionary.sae_lens_tensors(),
    }
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
        ValueError: The architecture or a setting is not known here, or a tensor does not fit or is not used.
    """
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).exists():
            raise FileNotFoundError(f"{folder}: no SAELens dictionary (no {file})")
    readers = _readers()
    settings = read_settings(folder / CONFIG, readers)
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS}: no safetensors ({error})") from None
    values = {"architecture": readers[settings.architecture], "d_in": settings.d_in, "d_sae": settings.d_sae}
    dictionary = build(DictionaryConfig.from_dict({"name": name, "k": settings.k, **values}))
    _fill(dictionary, {key: tensor.float() for key, tensor in tensors.items()}, settings)
    return dictionary.eval(), settings.metadata


@torch.no_grad()
def _fill(dictionary: Dictionary, tensors: dict[str, Tensor], settings: SaeLensSettings) -> None:
    scale = _decoding_scale(tensors, settings)
    _check(tensors, settings, dictionary.sae_lens_reads[settings.architecture])
    tensors = dictionary.from_sae_lens(settings.architecture, tensors)
    encoder, bias, decoder, shift = tensors["W_enc"].T, tensors["b_enc"], tensors["W_dec"], tensors["b_dec"]
    if settings.rescales_by_decoder_norm:
        norms = decoder.norm(dim=1)
        encoder, bias, decoder = encoder * norms[:, None], bias * norms, decoder / norms[:, None]
    subtracted = int(dictionary.subtracts_decoder_bias) - int(settings.subtracts_decoder_bias)
    dictionary.encoder.copy_(encoder)
    dictionary.encoder_bias.copy_(bias + (encoder @ shift) * subtracted)
    dictionary.decoder.copy_(decoder * scale[:, None])
    dictionary.decoder_bias.copy_(shift)
    dictionary.take_sae_lens(tensors)


def _decoding_scale(tensors: dict[str, Tensor], settings: SaeLensSettings) -> Tensor:
    """Take what codes are multiplied with before they are decoded out of the tensors: ones where there is nothing."""
    names = [name for name in ("scaling_factor", "finetuning_scaling_factor") if name in tensors]
    found = [tensors.pop(name) for name in names]
    ones = torch.ones(settings.d_sae)
    used = [
        (name, scale)
        for name, scale in zip(names, found, strict=True)
        if not torch.equal(scale, torch.ones_like(scale))
    ]
    if not used:
        return ones
    name, scale = used[0]
    if not settings.scales_at_decoding or scale.shape != ones.shape:
        raise ValueError(
            f"{name}: is not 1, so finetuning_scaling_factor must be true, and its shape {tuple(ones.shape)}"
        )
    return scale


def _check(tensors: dict[str, Tensor], settings: SaeLensSettings, own: Sequence[str]) -> None:
    d_in, d_sae = settings.d_in, settings.d_sae
    shapes: dict[str, tuple[int, ...]] = {"W_enc": (d_in, d_sae), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    shapes |= dict.fromkeys(own, (d_sae,))
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape) if name in tensors else None
        if found != shape:
            raise ValueError(f"{name}: has shape {found}, must be {shape}")
        if not bool(torch.isfinite(tensors[name]).all()):
            raise ValueError(f"{name}: has numbers that are NaN or infinite, must be finite")
    # A tensor that is passed over is a dictionary of another kind.
    left = sorted(set(tensors) - set(shapes))
    if left:
        raise ValueError(
            f"{left[0]}: is no tensor of architecture {settings.architecture!r}, must be {', '.join(shapes)}"
        )
