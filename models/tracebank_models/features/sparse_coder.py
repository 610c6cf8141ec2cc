"""What this room asks of a dictionary, whatever its architecture.

Architectures and their training are the room `sparse_autoencoder`'s.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class SparseCoder(Protocol):
    """A dictionary of features of one site."""

    def encode(self, activations: Tensor, /) -> Tensor:
        """Codes of activations: (tokens, width) to (tokens, features)."""

    def decode(self, codes: Tensor, /) -> Tensor:
        """Activations of codes: (tokens, features) to (tokens, width)."""


class RawActivations:
    """The activations themselves in the place of codes: the control of a probe on sparse codes."""

    def encode(self, activations: Tensor, /) -> Tensor:
        """The activations."""
        return activations

    def decode(self, codes: Tensor, /) -> Tensor:
        """The codes."""
        return codes


def encoded(site: str, coder: SparseCoder, activations: Tensor) -> Tensor:
    """Codes of activations (tokens, width) by a dictionary, as (tokens, features).

    Raises:
        ValueError: The dictionary is of another width.
    """
    try:
        with torch.no_grad():
            codes = coder.encode(activations)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"dictionary: that of {site!r} does not take activations of width {activations.shape[1]}: allowed is a"
            f" dictionary of that width ({reason})"
        ) from None
    if codes.ndim != 2 or len(codes) != len(activations):
        raise ValueError(
            f"dictionary: that of {site!r} gives codes {tuple(codes.shape)}: allowed is ({len(activations)}, features)"
        )
    return codes
