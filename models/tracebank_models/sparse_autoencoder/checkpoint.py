"""Trainings and dictionaries on disk: safetensors and JSON, whole or not there. A resumed training is bit-equal.

A checkpoint is a folder with one folder per dictionary. Formats of other tools are elsewhere (`sae_lens_format`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

from tracebank_models.sparse_autoencoder.architectures import Dictionary, build
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.training import DictionaryTraining, StreamTraining

WEIGHTS: Final = "weights.safetensors"
OPTIMIZER: Final = "optimizer.safetensors"
CONFIG: Final = "config.json"
_STATE: Final = "state.json"


def save_checkpoint(training: StreamTraining, folder: Path) -> None:
    """Write a checkpoint; an older one in that folder is replaced only once the new one is whole."""
    staged, old = _settled(folder)
    for leftover in (staged, old):
        shutil.rmtree(leftover, ignore_errors=True)
    staged.mkdir(parents=True)
    for name, part in training.trainings.items():
        save_dictionary(part.dictionary, staged / name)
        save_file(_optimizer_tensors(part), staged / name / OPTIMIZER)
    counts = {name: {"steps": part.steps, "tokens": part.tokens} for name, part in training.trainings.items()}
    (staged / _STATE).write_text(json.dumps({"batches": training.batches, "dictionaries": counts}), encoding="utf-8")
    if folder.exists():
        folder.rename(old)
    staged.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _settled(folder: Path) -> tuple[Path, Path]:
    """Where a new checkpoint is written and where the old one is put away, after ending a swap that was killed."""
    staged, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    if old.exists() and not folder.exists():  # the old one is put away only once the new one is whole
        (staged if staged.exists() else old).rename(folder)
    return staged, old


def load_checkpoint(folder: Path, device: str = "auto") -> StreamTraining:
    """Return the training as it was saved.

    Raises:
        FileNotFoundError: There is no checkpoint.
    """
    _settled(folder)
    if not (folder / _STATE).exists():
        raise FileNotFoundError(f"{folder}: no checkpoint of sparse autoencoders (no {_STATE})")
    state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    configs = [_config(folder / name) for name in state["dictionaries"]]
    training = StreamTraining(configs, device)
    training.batches = state["batches"]
    for name, counts in state["dictionaries"].items():
        part = training.trainings[name]
        part.dictionary.load_state_dict(load_file(folder / name / WEIGHTS))
        _restore_optimizer(part, load_file(folder / name / OPTIMIZER, device=str(training.device)))
        part.steps, part.tokens = counts["steps"], counts["tokens"]
    return training


def save_dictionary(dictionary: Dictionary, folder: Path) -> None:
    """Write weights and configuration of one dictionary."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in dictionary.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(dictionary.config.as_dict(), indent=1), encoding="utf-8")


def load_dictionary(folder: Path) -> Dictionary:
    """Read one dictionary, ready for inference on the CPU.

    Raises:
        FileNotFoundError: There is none.
    """
    if not (folder / CONFIG).exists():
        raise FileNotFoundError(f"{folder}: no dictionary (no {CONFIG})")
    dictionary = build(_config(folder))
    dictionary.load_state_dict(load_file(folder / WEIGHTS))
    return dictionary.eval()


def _config(folder: Path) -> DictionaryConfig:
    return DictionaryConfig.from_dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))


def _optimizer_tensors(part: DictionaryTraining) -> dict[str, torch.Tensor]:
    tensors = {"silent_tokens": part.silent_tokens.cpu()}
    for name, parameter in part.dictionary.named_parameters():
        for key, value in part.optimizer.state.get(parameter, {}).items():
            tensors[f"{name}.{key}"] = value.detach().cpu().contiguous()
    return tensors


def _restore_optimizer(part: DictionaryTraining, tensors: dict[str, torch.Tensor]) -> None:
    part.silent_tokens = tensors.pop("silent_tokens")
    states: dict[str, dict[str, Any]] = {}
    for place, tensor in tensors.items():
        name, _, key = place.rpartition(".")
        states.setdefault(name, {})[key] = tensor
    for name, parameter in part.dictionary.named_parameters():
        if name in states:
            part.optimizer.state[parameter] = states[name]
