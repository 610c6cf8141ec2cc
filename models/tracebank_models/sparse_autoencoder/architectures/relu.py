"""`relu`: the autoencoder of arXiv:2310.08164 with a decoder of its own; mean squared error and an L1 penalty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig, at_least
from tracebank_models.sparse_autoencoder.dictionary import Architecture, Dictionary, StepLoss


@dataclass(frozen=True, kw_only=True)
class ReluConfig(DictionaryConfig):
    """Fields of the ReLU kinds."""

    l1: float = 1e-3
    """Weight of the mean L1 norm of the codes."""

    def check_own(self) -> None:
        """Check the penalty's weight."""
        at_least("l1", self.l1, 0)


class ReluDictionary(Dictionary):
    """Rows of the decoder are held at norm 1."""

    config: ReluConfig
    subtracts_decoder_bias = False
    sae_lens_name = "standard"
    sae_lens_reads: ClassVar[Mapping[str, tuple[str, ...]]] = {"standard": ("b_enc",)}

    def step_loss(self, x: Tensor, dead: Tensor, sparsity_weight: float = 1.0) -> StepLoss:
        """See `Dictionary`; the error is the mean over all elements, as in the paper."""
        del dead
        return self._loss(x, self.encoder_rows(), self.decoder_rows(), sparsity_weight)

    def _loss(self, x: Tensor, encoder: Tensor, decoder: Tensor, sparsity_weight: float) -> StepLoss:
        codes = (x @ encoder.T + self.encoder_bias).relu()
        residual = codes @ decoder + self.decoder_bias - x
        error = residual.square().mean()
        penalty = codes.sum(1).mean() * (self.config.l1 * sparsity_weight)
        fired = (codes.detach() > 0).sum(0)
        return StepLoss(error + penalty, error, penalty, error.new_zeros(()), fired)


ARCHITECTURE = Architecture(ReluConfig, ReluDictionary)
