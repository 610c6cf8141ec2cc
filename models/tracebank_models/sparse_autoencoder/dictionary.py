"""What every architecture is: encode, decode, and the loss of a training step; their own parts are in `architectures`.

A crosscoder is a dictionary whose input is the sites side by side. Training itself is in `training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig


class Architecture(NamedTuple):
    """What the file of an architecture declares, as `ARCHITECTURE`."""

    config: type[DictionaryConfig]
    """Its own fields, with their defaults and checks."""
    dictionary: type[Dictionary]
    """What it computes."""


@dataclass(frozen=True, slots=True)
class StepLoss:
    """Loss of one batch, and what was seen on the way."""

    total: Tensor
    """What is differentiated."""
    reconstruction: Tensor
    """Its part that measures the reconstruction, in the units of the normalised input."""
    sparsity: Tensor
    auxiliary: Tensor
    fired: Tensor
    """int64, (features,): tokens on which each feature fired."""


class Dictionary(nn.Module):
    """Interface and parameters of all architectures.

    `encoder` and `decoder` are (features, width), `encoder_bias` (features,), `decoder_bias` (width,). `input_scale`,
    (width,), multiplies the input; reconstructions are divided by it. `threshold`, (features,), is what an activation
    has to exceed to count (0 where that is no part of the architecture).
    """

    subtracts_decoder_bias: ClassVar[bool] = True
    """Whether the encoder subtracts the decoder's bias from its input."""
    unit_norm_decoder: ClassVar[bool] = True
    """Whether each decoder row is held at norm 1."""
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    """Of Adam."""
    sae_lens_name: ClassVar[str | None] = None
    """The architecture of SAELens that computes the same; None where it has none."""
    sae_lens_reads: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Architectures of SAELens that are read as this one, with their tensors of one number a feature."""
    fires_at: ClassVar[float] = 0.0
    """Share of its maximum at which a unit fires; 0: it fires where its code is above 0."""
    config: DictionaryConfig
    input_scale: Tensor
    threshold: Tensor

    def __init__(self, config: DictionaryConfig) -> None:
        super().__init__()
        self.config = config
        self._make_parameters(config)
        self.register_buffer("input_scale", torch.ones(config.width))
        self.register_buffer("threshold", torch.zeros(config.d_sae))

    def _make_parameters(self, config: DictionaryConfig) -> None:
        generator = torch.Generator().manual_seed(config.seed)
        rows = torch.randn(config.d_sae, config.width, generator=generator)
        self._start(functional.normalize(rows, dim=1), generator)
        self.encoder_bias = nn.Parameter(torch.zeros(config.d_sae))
        self.decoder_bias = nn.Parameter(torch.zeros(config.width))

    def _start(self, rows: Tensor, generator: torch.Generator) -> None:
        del generator
        self.encoder = nn.Parameter(rows.clone())
        self.decoder = nn.Parameter(rows)

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of raw activations, as at inference.

        Args:
            x: (tokens, width).

        Returns:
            (tokens, features), none negative but of `neurons`.

        Raises:
            ValueError: The width is not the dictionary's.
        """
        before = self.pre_activations(self.scaled(x))
        return before.relu() * (before > self.threshold)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the reconstruction of raw activations, (tokens, width), of codes, (tokens, features)."""
        return (codes @ self.decoder_rows() + self.decoder_bias) / self.input_scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of raw activations, (tokens, width)."""
        return self.decode(self.encode(x))

    def scaled(self, x: Tensor) -> Tensor:
        """Return the input as the encoder sees it, after a look at its width."""
        if x.ndim != 2 or x.shape[1] != self.config.width:
            raise ValueError(
                f"activations of shape {tuple(x.shape)}: {self.config.name} reads (tokens, {self.config.width})"
            )
        return x * self.input_scale

    def encoder_rows(self) -> Tensor:
        """Return the encoder's weights in use, (features, width)."""
        return self.encoder

    def decoder_rows(self) -> Tensor:
        """Return the decoder's weights in use, (features, width)."""
        return self.decoder

    def encoding_bias(self) -> Tensor:
        """Return the bias of the encoder's product, what it subtracts from the input included."""
        if not self.subtracts_decoder_bias:
            return self.encoder_bias
        return self.encoder_bias - self.encoder_rows() @ self.decoder_bias

    def pre_activations(self, x: Tensor) -> Tensor:
        """Return what the activation function sees, (tokens, features), of scaled input."""
        return torch.addmm(self.encoding_bias(), x, self.encoder_rows().T)

    def step_loss(self, x: Tensor, dead: Tensor, sparsity_weight: float = 1.0) -> StepLoss:
        """Return the loss of scaled input.

        Args:
            x: (tokens, width).
            dead: bool, (features,): features that have not fired for long.
            sparsity_weight: Share of the sparsity penalty that applies yet (warm-up).
        """
        raise NotImplementedError

    @torch.no_grad()
    def before_step(self) -> None:
        """Take out of the decoder's gradient what the renormalisation would undo."""
        if self.unit_norm_decoder and self.decoder.grad is not None:
            along = torch.linalg.vecdot(self.decoder.grad, self.decoder)
            self.decoder.grad.addcmul_(along[:, None], self.decoder, value=-1)

    @torch.no_grad()
    def after_step(self) -> None:
        """Bring the parameters back to where they are allowed to be."""
        if self.unit_norm_decoder:
            self.decoder.div_(self.decoder.norm(dim=1, keepdim=True).clamp_min(1e-8))

    def normal_scale(self, x: Tensor) -> Tensor:
        """Return what brings one site's activations, (tokens, d_in), to a mean norm of the root of their width."""
        scale: Tensor = x.shape[1] ** 0.5 / x.norm(dim=1).mean()
        return scale

    def speeds(self) -> dict[str, float]:
        """Return by how much parameters, by name, learn faster than the learning rate; 1 where none is named."""
        return {}

    def sae_lens_settings(self) -> dict[str, Any]:
        """Return the fields of SAELens's `cfg.json` that are its architecture's own."""
        return {}

    def sae_lens_tensors(self) -> dict[str, Tensor]:
        """Return the tensors that SAELens has beyond `W_enc`, `b_enc`, `W_dec` and `b_dec`."""
        return {}

    @classmethod
    def from_sae_lens(cls, architecture: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return SAELens's tensors of one of `sae_lens_reads` as those that `sae_lens_name` has."""
        del architecture
        return tensors

    def take_sae_lens(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `sae_lens_tensors` gives."""
