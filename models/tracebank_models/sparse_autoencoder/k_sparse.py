"""What the k-sparse architectures share: a sparse backward pass, and dead features that learn what is left over."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig, at_least
from tracebank_models.sparse_autoencoder.dictionary import Dictionary, StepLoss
from tracebank_models.sparse_autoencoder.sparse_products import SparseCodes, reconstruction_loss


@dataclass(frozen=True, kw_only=True)
class KSparseConfig(DictionaryConfig):
    """Fields of all whose sparsity is a number of features."""

    k: int = 32
    """Active features per token, exactly or on average."""
    auxiliary: float = 1 / 32
    """Weight of the auxiliary loss by which dead features learn the residual."""
    k_auxiliary: int | None = None
    """Dead features per token in that loss; None means half of the input's width."""

    def check_own(self) -> None:
        """Check the numbers of features."""
        if not 1 <= self.k <= self.d_sae:
            raise ValueError(f"k = {self.k}: must be between 1 and d_sae ({self.d_sae})")
        at_least("auxiliary", self.auxiliary, 0)
        if self.k_auxiliary is not None:
            at_least("k_auxiliary", self.k_auxiliary, 1)

    def nested_sizes(self) -> tuple[int, ...]:
        """Return the ascending sizes of the nested dictionaries; the last is `d_sae`."""
        return (self.d_sae,)


class KSparseDictionary(Dictionary):
    """What differs is who is selected, and how errors are nested."""

    config: KSparseConfig
    group: Tensor

    def __init__(self, config: KSparseConfig) -> None:
        super().__init__(config)
        edges = torch.tensor(config.nested_sizes())
        group = torch.searchsorted(edges, torch.arange(config.d_sae), right=True).int()
        self.register_buffer("group", group, persistent=False)

    def select(self, x: Tensor) -> SparseCodes:
        """Return the codes of a batch of scaled input, without a gradient."""
        raise NotImplementedError

    def step_loss(self, x: Tensor, dead: Tensor, sparsity_weight: float = 1.0) -> StepLoss:
        """See `Dictionary`; the error is summed over the width, averaged over tokens and nested dictionaries."""
        del sparsity_weight
        codes = self.select(x)
        shift = self.decoder_bias.detach()
        error, sums = reconstruction_loss(
            self.encoder, self.encoder_bias, self.decoder, self.decoder_bias, x, codes, self.group, shift
        )
        auxiliary = self._auxiliary(x, sums[-1], dead)
        total = error + self.config.auxiliary * auxiliary
        return StepLoss(total, error, error.new_zeros(()), auxiliary, codes.fired())

    def _auxiliary(self, x: Tensor, residual: Tensor, dead: Tensor) -> Tensor:
        """Return how well the dead features explain what the others left over (arXiv:2406.04093, A.2).

        The error is relative to the residual's own variance. Gradients reach only the dead features' weights.
        """
        which = dead.nonzero()[:, 0]
        if self.config.auxiliary == 0 or len(which) == 0:
            return residual.new_zeros(())
        k = min(self.config.k_auxiliary or max(1, self.config.d_in // 2), len(which))
        encoder, shift = self.encoder[which], self.decoder_bias.detach()
        before = torch.addmm(self.encoder_bias[which] - encoder @ shift, x, encoder.T)
        values, columns = before.topk(k, sorted=False)
        codes = torch.zeros_like(before).scatter(1, columns, values.relu())
        wanted = -residual
        error = (codes @ self.decoder[which] - wanted).square().sum()
        spread: Tensor = (wanted - wanted.mean(0)).square().sum().clamp_min(1e-12)
        relative: Tensor = error / spread
        return relative
