"""Hashes of weights: what a catalogue row names and what a resumed run is checked against."""

from __future__ import annotations

import hashlib

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
