"""Whether what was loaded is what the files hold: no tensor made up, none left out, no adapter dropped, no codes.

`transformers` draws missing tensors at random and leaves out what it has no place for, with a warning at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from transformers import PreTrainedModel
from transformers.utils.peft_utils import find_adapter_config_file

_BUFFERS: Final = re.compile(r"(inv_freq|masked_bias|(attn|attention)\.bias|rope\.freqs)$")
"""Tensors of older checkpoints that are computed today."""
_IN_A_BLOCK: Final = re.compile(r"\.\d+\.")
_NUMBERS: Final = "float32, float16 or bfloat16"
_STORED: Final = frozenset({"F64", "F32", "F16", "BF16"})
"""Types of weights in safetensors that are numbers and no codes."""


def refuse_adapter(name: str, revision: str | None, *, local_files_only: bool) -> None:
    """Refuse what holds an adapter, whether or not a library is installed that would apply it.

    Raises:
        ValueError: There is an adapter's configuration.
        OSError: The Hub cannot be asked.
    """
    if find_adapter_config_file(name, revision=revision, local_files_only=local_files_only) is not None:
        raise ValueError(
            "it holds an adapter (adapter_config.json), which is not applied here; allowed: the merged model (PEFT:"
            " model.merge_and_unload().save_pretrained(folder)), or the folder without the adapter's files"
        )


def refuse_quantised(config: Any) -> None:
    """Refuse weights that are codes: tuning and differences of them mean nothing.

    Raises:
        ValueError: The configuration says that they are.
    """
    found = getattr(config, "quantization_config", None)
    if found is not None:
        values = found if isinstance(found, Mapping) else found.to_dict()
        method = values.get("quant_method", "unknown")
        raise ValueError(f"its weights are quantised ({method}); allowed: {_NUMBERS}")


def refuse_codes(files: Iterable[Path]) -> None:
    """Refuse safetensors files whose weights are of another type than numbers.

    Raises:
        ValueError: A weight is; the line names the first.
    """
    for file in files:
        with safe_open(file, "pt") as content:
            for key in content.keys():  # noqa: SIM118  it is no dictionary
                dtype = content.get_slice(key).get_dtype()
                if key.endswith("weight") and dtype not in _STORED:
                    raise ValueError(f"{key} in {file.name} is quantised ({dtype}); allowed: {_NUMBERS}")


def check_loaded(model: PreTrainedModel, report: Mapping[str, Any]) -> None:
    """Refuse a model that is not what its files hold.

    Args:
        model: The model.
        report: Of `from_pretrained` with `output_loading_info`.

    Raises:
        ValueError: A tensor is missing, of another shape or has no place, or a weight is not finite.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if missing:
        other = f"; the files hold {_some(unexpected)} instead" if unexpected else ""
        raise ValueError(
            f"the files lack {_some(missing)} of the model{other}; allowed: a checkpoint of all its tensors under their"
            " own names (a trainer's value head or wrapper taken off)"
        )
    if report["mismatched_keys"]:
        key, found, wanted = sorted(report["mismatched_keys"])[0]
        count = len(report["mismatched_keys"])
        raise ValueError(
            f"{key} has shape {tuple(found)} in the files, and {tuple(wanted)} by the configuration ({count} of another"
            " shape in all); allowed: the config.json that the weights were saved with"
        )
    lost = [key for key in unexpected if _has_effect(key, model) and not _BUFFERS.search(key)]
    if lost:
        raise ValueError(
            f"the files hold {_some(lost)}, which the model by its configuration has no place for; allowed: the"
            " config.json that the weights were saved with"
        )
    _check_finite(model)


def _has_effect(key: str, model: PreTrainedModel) -> bool:
    """Whether a tensor without a place belongs to a block, an adapter or the unembedding."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    of_head = any(one is head and key.rpartition(".")[0] == name for name, one in model.named_modules())
    return of_head or _IN_A_BLOCK.search(key) is not None or "lora_" in key


def _check_finite(model: PreTrainedModel) -> None:
    # Not the parameters alone: a router's bias, say, is a buffer that the files hold.
    for name, tensor in model.state_dict().items():
        if not (tensor.is_floating_point() and tensor.numel()):
            continue
        low, high = torch.aminmax(tensor.detach())
        if not (torch.isfinite(low) and torch.isfinite(high)):
            wrong = int((~torch.isfinite(tensor)).sum())
            raise ValueError(
                f"{name} has {wrong} of {tensor.numel()} numbers that are NaN or infinite; allowed: finite ones"
            )


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - 2} more tensors" if len(keys) > 2 else ""
    return ", ".join(keys[:2]) + more
