"""`neurons`: the activations themselves, so that a layer of neurons is asked, scored and shown as any dictionary is.

There is nothing to train, and SAELens has nothing of the kind. Neurons may be negative, and most are never exactly 0:
one fires where it reaches half of its own maximum, as in arXiv:2305.19911.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.dictionary import Architecture, Dictionary


@dataclass(frozen=True, kw_only=True)
class NeuronsConfig(DictionaryConfig):
    """Nothing of its own."""

    def check_own(self) -> None:
        """Check that there is a unit for each number."""
        if self.d_sae != self.d_in:
            raise ValueError(f"d_sae = {self.d_sae}: must be d_in ({self.d_in}), since each neuron is a unit")


class NeuronsDictionary(Dictionary):
    """The identity."""

    fires_at = 0.5

    def _make_parameters(self, config: DictionaryConfig) -> None:
        """None: an identity as wide as a large model's layer is no matrix to keep."""

    def encode(self, x: Tensor) -> Tensor:
        """Return the activations, which may be negative."""
        return self.scaled(x)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the codes."""
        return codes / self.input_scale

    def encoder_rows(self) -> Tensor:
        """Return a row of the identity for each neuron."""
        return torch.eye(self.config.d_in, device=self.input_scale.device)

    def decoder_rows(self) -> Tensor:
        """Return the same rows."""
        return self.encoder_rows()


ARCHITECTURE = Architecture(NeuronsConfig, NeuronsDictionary)
