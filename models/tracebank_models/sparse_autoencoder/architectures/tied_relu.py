"""`tied_relu`: the autoencoder of arXiv:2310.08164: rows of norm 1, and the decoder is the encoder's transpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracebank_models.sparse_autoencoder.architectures.relu import ReluConfig, ReluDictionary
from tracebank_models.sparse_autoencoder.dictionary import Architecture, StepLoss


@dataclass(frozen=True, kw_only=True)
class TiedReluConfig(ReluConfig):
    """Nothing of its own."""


class TiedReluDictionary(ReluDictionary):
    """The rows are normalised before every forward pass, and the normalisation is differentiated."""

    unit_norm_decoder = False
    sae_lens_reads: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def _start(self, rows: Tensor, generator: torch.Generator) -> None:
        weights = torch.empty_like(rows)
        self.encoder = nn.Parameter(nn.init.xavier_uniform_(weights, generator=generator))

    def encoder_rows(self) -> Tensor:
        """Return the rows, normalised."""
        return functional.normalize(self.encoder, dim=1)

    def decoder_rows(self) -> Tensor:
        """Return the same rows."""
        return self.encoder_rows()

    def step_loss(self, x: Tensor, dead: Tensor, sparsity_weight: float = 1.0) -> StepLoss:
        """See `ReluDictionary`; the rows are normalised once."""
        del dead
        rows = self.encoder_rows()
        return self._loss(x, rows, rows, sparsity_weight)


ARCHITECTURE = Architecture(TiedReluConfig, TiedReluDictionary)
