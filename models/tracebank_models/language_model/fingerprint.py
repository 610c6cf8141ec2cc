"""Hashes of weights and of settings: what a catalogue row names and what a resumed run is checked against."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import torch


def weights_hash(model: torch.nn.Module) -> str:
    """SHA-256 (hex) of every tensor of the state: name, type, shape and bytes, in order of the name.

    It does not depend on the device, and two models share it exactly when their states are equal bit by bit.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        data = tensor.detach().cpu().contiguous()
        digest.update(f"{name}|{data.dtype}|{tuple(data.shape)}|".encode())
        digest.update(memoryview(data.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def settings_hash(*settings: object) -> str:
    """SHA-256 (hex) of dataclasses, strings and numbers; the same settings give the same hash in any process."""
    return hashlib.sha256(json.dumps([_plain(one) for one in settings], sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **dataclasses.asdict(value)}
    return value
