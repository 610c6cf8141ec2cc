"""`topk`: the k largest pre-activations of each token (arXiv:2406.04093)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.dictionary import Architecture
from tracebank_models.sparse_autoencoder.k_sparse import KSparseConfig, KSparseDictionary
from tracebank_models.sparse_autoencoder.sparse_products import SparseCodes, encode_top_k


@dataclass(frozen=True, kw_only=True)
class TopKConfig(KSparseConfig):
    """Nothing of its own."""


class TopKDictionary(KSparseDictionary):
    """The same codes in training and at inference."""

    sae_lens_name = "topk"
    sae_lens_reads: ClassVar[Mapping[str, tuple[str, ...]]] = {"topk": ("b_enc",)}

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes: the k largest per token."""
        return self.select(self.scaled(x)).dense()

    @torch.no_grad()
    def select(self, x: Tensor) -> SparseCodes:
        """See `KSparseDictionary`."""
        return encode_top_k(x, self.encoder.detach(), self.encoding_bias(), self.config.k)

    def sae_lens_settings(self) -> dict[str, Any]:
        """Return k."""
        return {"k": self.config.k, "rescale_acts_by_decoder_norm": False}


ARCHITECTURE = Architecture(TopKConfig, TopKDictionary)
