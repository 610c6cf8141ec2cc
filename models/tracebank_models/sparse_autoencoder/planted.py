"""Activations made of known features, so that a dictionary can be held against the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_STREAM: Final = 0x9E37_79B9
"""Keeps the directions apart from a dictionary of the same seed, which would begin at the answer; under 32 bits."""


@dataclass(frozen=True, slots=True)
class PlantedFeatures:
    """Random unit directions, of which some are added up for each token."""

    d_in: int
    n_features: int
    active: float
    """Features per token on average; each is there or not independently, with a strength between 0.5 and 1.5."""
    noise: float = 0.0
    """Standard deviation of normal noise on each element."""
    seed: int = 0

    def directions(self) -> Tensor:
        """Return the features, (n_features, d_in)."""
        generator = torch.Generator().manual_seed(_STREAM + 2 * self.seed)
        return functional.normalize(torch.randn(self.n_features, self.d_in, generator=generator), dim=1)

    def batches(self, tokens: int, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield activations, (tokens, d_in), and the strengths behind them, (tokens, n_features)."""
        generator = torch.Generator().manual_seed(_STREAM + 2 * self.seed + 1)
        directions = self.directions()
        for _ in range(count):
            present = torch.rand(tokens, self.n_features, generator=generator) < self.active / self.n_features
            strengths = present * (0.5 + torch.rand(tokens, self.n_features, generator=generator))
            noise = self.noise * torch.randn(tokens, self.d_in, generator=generator)
            yield strengths @ directions + noise, strengths
