"""`crosscoder`: BatchTopK over several models' sites side by side (arXiv:2504.02922).

Activations are compared times the sum of their decoder norms, one per site. What it tells of two models is in
`sparse_autoencoder.crosscoder`. SAELens has nothing that computes the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures.batchtopk import BatchTopKConfig, BatchTopKDictionary
from tracebank_models.sparse_autoencoder.dictionary import Architecture

_DECODER_START: Final = 0.1
"""Norm of the decoder's rows, per site, at the start; nothing holds it."""


@dataclass(frozen=True, kw_only=True)
class CrosscoderConfig(BatchTopKConfig):
    """Nothing of its own but that it reads several sites."""

    many_sites = True


class CrosscoderDictionary(BatchTopKDictionary):
    """Decoder norms are free: they tell whose a feature is."""

    unit_norm_decoder = False
    sae_lens_name = None

    def _start(self, rows: Tensor, generator: torch.Generator) -> None:
        sites = rows.view(len(rows), len(self.config.sites), -1)
        super()._start((sites * (_DECODER_START / sites.norm(dim=2, keepdim=True))).view_as(rows), generator)

    def selection_weight(self) -> Tensor:
        """Return the sum of each feature's decoder norms, (features,)."""
        sites = self.decoder.detach().view(self.config.d_sae, len(self.config.sites), -1)
        weight: Tensor = sites.norm(dim=2).sum(1)
        return weight


ARCHITECTURE = Architecture(CrosscoderConfig, CrosscoderDictionary)
