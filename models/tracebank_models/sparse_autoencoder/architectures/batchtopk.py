"""`batchtopk`: the k x tokens largest pre-activations of a batch; at inference all above a threshold.

The threshold is the smallest activation that was selected, smoothed over the last batches and carried on to the next:
weights move on, in early training by a tenth of the codes a step, so a plain mean would always be late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tracebank_models.sparse_autoencoder.dictionary import Architecture
from tracebank_models.sparse_autoencoder.k_sparse import KSparseConfig, KSparseDictionary
from tracebank_models.sparse_autoencoder.sparse_products import SparseCodes, encode_batch_top_k


@dataclass(frozen=True, kw_only=True)
class BatchTopKConfig(KSparseConfig):
    """Fields of those that select from a whole batch."""

    threshold_momentum: float = 0.6
    """Of the smoothing (Brown's, of level and trend): near 0 it follows each batch."""

    def check_own(self) -> None:
        """Check the momentum too."""
        super().check_own()
        if not 0 <= self.threshold_momentum < 1:
            raise ValueError(f"threshold_momentum = {self.threshold_momentum}: must be at least 0 and below 1")


class BatchTopKDictionary(KSparseDictionary):
    """SAELens knows what it computes at inference as JumpReLU."""

    config: BatchTopKConfig
    trend: Tensor
    sae_lens_name: ClassVar[str | None] = "jumprelu"

    def __init__(self, config: BatchTopKConfig) -> None:
        super().__init__(config)
        self.register_buffer("trend", torch.zeros(()))
        self.register_load_state_dict_pre_hook(_without_trend)  # type: ignore[no-untyped-call]

    def selection_weight(self) -> Tensor:
        """Return what an activation is multiplied with before it is compared with others, (features,)."""
        return torch.ones_like(self.encoder_bias)

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes: all above the learned threshold."""
        before = self.pre_activations(self.scaled(x)).relu()
        return before * (before * self.selection_weight() > self.threshold)

    @torch.no_grad()
    def select(self, x: Tensor) -> SparseCodes:
        """Return the codes of a training batch of scaled input, and remember the threshold."""
        total, hint = self.config.k * len(x), float(self.threshold[0])
        encoder, weight = self.encoder.detach(), self.selection_weight()
        codes, least = encode_batch_top_k(x, encoder, self.encoding_bias(), total, weight, hint)
        if self.training and least > 0:
            self._follow(least - hint if hint > 0 else 0.0, least)
        return codes

    def _follow(self, error: float, least: float) -> None:
        """Move level and trend by the error of the last forecast (Brown's double exponential smoothing)."""
        momentum = self.config.threshold_momentum
        self.trend += (1 - momentum) ** 2 * error
        self.threshold.fill_(max(0.0, least - momentum**2 * error + float(self.trend)))

    def sae_lens_tensors(self) -> dict[str, Tensor]:
        """Return the thresholds."""
        return {"threshold": self.threshold}


def _without_trend(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Let weights be read that were written before there was a trend."""
    del module
    state.setdefault(f"{prefix}trend", torch.zeros(()))


ARCHITECTURE = Architecture(BatchTopKConfig, BatchTopKDictionary)
