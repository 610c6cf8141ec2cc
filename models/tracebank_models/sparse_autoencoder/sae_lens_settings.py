"""What a `cfg.json` of SAELens says of a dictionary at inference, of version 6 and of those before it.

Settings of its training are passed over. What would be computed otherwise here is refused by name: a field that is not
looked at is a dictionary that is read as another one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_RENAMED: Final[dict[str, str]] = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}
_METADATA: Final = frozenset(
    {"model_name", "hook_name", "hook_layer", "hook_head_index", "context_size", "prepend_bos", "dataset_path"}
    | {"neuronpedia_id", "sae_lens_training_version", "model_from_pretrained_kwargs", "seqpos_slice"}
)
"""Fields that stood beside the others before version 6."""


@dataclass(frozen=True, slots=True)
class SaeLensSettings:
    """A dictionary as SAELens describes it."""

    architecture: str
    """SAELens's."""
    d_in: int
    d_sae: int
    k: int
    """Of `topk`; 1 elsewhere."""
    subtracts_decoder_bias: bool
    rescales_by_decoder_norm: bool
    scales_at_decoding: bool
    """Whether codes are multiplied by a tensor of the file before they are decoded."""
    metadata: dict[str, Any]


def read_settings(file: Path, known: Collection[str]) -> SaeLensSettings:
    """Read a `cfg.json`.

    Args:
        file: The file.
        known: SAELens's architectures that are read here.

    Raises:
        ValueError: It is no JSON object, a field is missing, or one says what is not computed here.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: no JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: holds {type(content).__name__}: must be an object")
    values: dict[str, Any] = {_RENAMED.get(str(name), str(name)): value for name, value in content.items()}
    architecture, k = _activation(values, known)
    _refuse(values)
    return SaeLensSettings(
        architecture,
        _whole(values, "d_in"),
        _whole(values, "d_sae"),
        k,
        bool(values.get("apply_b_dec_to_input", True)),
        architecture == "topk" and bool(values.get("rescale_acts_by_decoder_norm", False)),
        bool(values.get("finetuning_scaling_factor", False)),
        {name: values[name] for name in sorted(_METADATA & set(values))} | dict(values.get("metadata") or {}),
    )


def _activation(values: Mapping[str, Any], known: Collection[str]) -> tuple[str, int]:
    """Architecture and k: what was called `standard` with the activation function `topk` is a top-k dictionary."""
    architecture = values.get("architecture") or "standard"
    function = values.get("activation_fn") or ("topk" if architecture == "topk" else "relu")
    if architecture not in known:
        raise ValueError(f"architecture = {architecture!r}: must be one of {', '.join(known)}")
    if function not in ("relu", "topk") or (function == "topk" and architecture not in ("standard", "topk")):
        raise ValueError(
            f"activation_fn = {function!r} of architecture {architecture!r}: must be relu, or topk of standard"
        )
    if function == "relu" and architecture != "topk":
        return architecture, 1
    counts = {(values.get("activation_fn_kwargs") or {}).get("k"), values.get("k")} - {None}
    if len(counts) != 1:
        found = " and ".join(map(str, sorted(counts, key=str))) or "missing"
        raise ValueError(f"k = {found}: a top-k dictionary must have one, in k or activation_fn_kwargs")
    return "topk", _whole({"k": counts.pop()}, "k")


def _refuse(values: Mapping[str, Any]) -> None:
    normalized = values.get("normalize_activations")
    if normalized not in (None, False, "none"):
        raise ValueError(
            f"normalize_activations = {normalized!r}: must be 'none'; one factor for all tokens can be folded into the"
            " weights first (fold_activation_norm_scaling_factor), a norm of each token cannot"
        )
    by_name = "hook_z" if "hook_z" in str(values.get("hook_name", "")) else "none"
    reshaped = values.get("reshape_activations", by_name)
    if reshaped != "none":
        raise ValueError(f"reshape_activations = {reshaped!r}: must be 'none'; heads side by side are no site here")
    metadata = values.get("metadata") or {}
    for name in ("d_out", "hook_name_out"):
        other = values.get(name, metadata.get(name))
        same = values.get("d_in") if name == "d_out" else values.get("hook_name", metadata.get("hook_name"))
        if other not in (None, "", same):
            raise ValueError(f"{name} = {other!r}: a transcoder writes where it does not read; must be an autoencoder")


def _whole(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} = {value!r}: must be a whole number from 1")
    return value
