"""The architectures behind one interface: encode, decode, and the loss of a training step.

A crosscoder is a dictionary whose input is the sites side by side, so nothing but its selection differs: activations
are compared times the sum of their decoder norms, one per site (arXiv:2504.02922). Training itself is in `training`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.sparse_products import (
    SparseCodes,
    encode_batch_top_k,
    encode_top_k,
    reconstruction_loss,
)

_DECODER_START: Final = 0.1
"""Norm of a crosscoder's decoder rows, per site, at the start; elsewhere it is held at 1."""


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
    residual: Tensor
    """(tokens, width): reconstruction - input."""


class Dictionary(nn.Module):
    """Interface and parameters of all architectures.

    `encoder` and `decoder` are (features, width), `encoder_bias` (features,), `decoder_bias` (width,). `input_scale`,
    (width,), multiplies the input; reconstructions are divided by it. `threshold`, (features,), is what an activation
    has to exceed to count (0 where that is no part of the architecture).
    """

    subtracts_decoder_bias = True
    """Whether the encoder subtracts the decoder's bias from its input."""
    unit_norm_decoder = True
    """Whether each decoder row is held at norm 1."""
    input_scale: Tensor
    threshold: Tensor

    def __init__(self, config: DictionaryConfig) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(config.seed)
        rows = torch.randn(config.d_sae, config.width, generator=generator)
        self._start(functional.normalize(rows, dim=1), generator)
        self.encoder_bias = nn.Parameter(torch.zeros(config.d_sae))
        self.decoder_bias = nn.Parameter(torch.zeros(config.width))
        self.register_buffer("input_scale", torch.ones(config.width))
        self.register_buffer("threshold", torch.zeros(config.d_sae))

    def _start(self, rows: Tensor, generator: torch.Generator) -> None:
        del generator
        self.encoder = nn.Parameter(rows.clone())
        self.decoder = nn.Parameter(rows)

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of raw activations, as at inference.

        Args:
            x: (tokens, width).

        Returns:
            (tokens, features), none negative.

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


class ReluDictionary(Dictionary):
    """The paper's autoencoder with a decoder of its own: mean squared error and an L1 penalty."""

    subtracts_decoder_bias = False

    def step_loss(self, x: Tensor, dead: Tensor, sparsity_weight: float = 1.0) -> StepLoss:
        """See `Dictionary`; the error is the mean over all elements, as in arXiv:2310.08164."""
        del dead
        codes = self.pre_activations(x).relu()
        residual = codes @ self.decoder_rows() + self.decoder_bias - x
        error = residual.square().mean()
        penalty = codes.sum(1).mean() * (self.config.l1 * sparsity_weight)
        fired = (codes.detach() > 0).sum(0)
        return StepLoss(error + penalty, error, penalty, error.new_zeros(()), fired, residual.detach())


class TiedReluDictionary(ReluDictionary):
    """The paper's autoencoder: rows of norm 1, and the decoder is the encoder's transpose."""

    unit_norm_decoder = False

    def _start(self, rows: Tensor, generator: torch.Generator) -> None:
        weights = torch.empty_like(rows)
        self.encoder = nn.Parameter(nn.init.xavier_uniform_(weights, generator=generator))

    def encoder_rows(self) -> Tensor:
        """Return the rows, normalised before every forward pass."""
        return functional.normalize(self.encoder, dim=1)

    def decoder_rows(self) -> Tensor:
        """Return the same rows."""
        return self.encoder_rows()

    def step_loss(self, x: Tensor, dead: Tensor, sparsity_weight: float = 1.0) -> StepLoss:
        """See `ReluDictionary`; the rows are normalised once."""
        del dead
        rows = self.encoder_rows()
        codes = torch.addmm(self.encoder_bias, x, rows.T).relu()
        residual = codes @ rows + self.decoder_bias - x
        error = residual.square().mean()
        penalty = codes.sum(1).mean() * (self.config.l1 * sparsity_weight)
        fired = (codes.detach() > 0).sum(0)
        return StepLoss(error + penalty, error, penalty, error.new_zeros(()), fired, residual.detach())

    def before_step(self) -> None:
        """Nothing: the normalisation is differentiated."""


class _Jump(torch.autograd.Function):
    """`z` where it exceeds the threshold; the threshold's gradient by a rectangle of the given width."""

    @staticmethod
    def forward(ctx: object, z: Tensor, threshold: Tensor, width: float) -> tuple[Tensor, Tensor]:
        """Return the codes and, as numbers that can be summed to L0, whether each fires."""
        ctx.save_for_backward(z, threshold)  # type: ignore[attr-defined]
        ctx.width = width  # type: ignore[attr-defined]
        fires = z > threshold
        return z * fires, fires.to(z.dtype)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        z, threshold = ctx.saved_tensors  # type: ignore[attr-defined]
        width = cast("float", ctx.width)  # type: ignore[attr-defined]
        near = ((z - threshold).abs() < width / 2) / width
        to_threshold = -(near * (threshold * gradients[0] + gradients[1])).sum(0)
        return gradients[0] * (z > threshold), to_threshold, None


class JumpReluDictionary(Dictionary):
    """JumpReLU with an L0 penalty (arXiv:2407.14435): a threshold of its own per feature, kept positive by its log."""

    def __init__(self, config: DictionaryConfig) -> None:
        super().__init__(config)
        self.log_threshold = nn.Parameter(torch.full((config.d_sae,), config.jump_threshold).log())
        self.after_step()

    def step_loss(self, x: Tensor, dead: Tensor, sparsity_weight: float = 1.0) -> StepLoss:
        """See `Dictionary`; the error is summed over the width and averaged over tokens."""
        del dead
        threshold = self.log_threshold.exp()
        before = self.pre_activations(x).relu()
        codes, fires = _Jump.apply(before, threshold, self.config.bandwidth)  # type: ignore[no-untyped-call]
        residual = codes @ self.decoder + self.decoder_bias - x
        error = residual.square().sum(1).mean()
        penalty = fires.sum(1).mean() * (self.config.l0 * sparsity_weight)
        fired = fires.detach().sum(0).long()
        return StepLoss(error + penalty, error, penalty, error.new_zeros(()), fired, residual.detach())

    @torch.no_grad()
    def after_step(self) -> None:
        """Renormalise, and show the thresholds."""
        super().after_step()
        self.threshold.copy_(self.log_threshold.exp())


class KSparseDictionary(Dictionary):
    """TopK, BatchTopK, Matryoshka and the crosscoder: what differs is who is selected and how errors are nested."""

    group: Tensor

    def __init__(self, config: DictionaryConfig) -> None:
        super().__init__(config)
        self.unit_norm_decoder = config.architecture != "crosscoder"
        if config.architecture == "crosscoder":
            with torch.no_grad():
                norms = self.decoder.view(config.d_sae, len(config.sites), -1).norm(dim=2, keepdim=True)
                self.decoder.view(config.d_sae, len(config.sites), -1).mul_(_DECODER_START / norms)
                self.encoder.copy_(self.decoder)
        edges = torch.tensor(config.prefixes or (config.d_sae,))
        group = torch.searchsorted(edges, torch.arange(config.d_sae), right=True).int()
        self.register_buffer("group", group, persistent=False)

    def selection_weight(self) -> Tensor:
        """Return what an activation is multiplied with before it is compared with others, (features,)."""
        if self.unit_norm_decoder:
            return torch.ones_like(self.encoder_bias)
        sites = self.decoder.detach().view(self.config.d_sae, len(self.config.sites), -1)
        weight: Tensor = sites.norm(dim=2).sum(1)
        return weight

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes: the k largest per token, or, for the others, all above the learned threshold."""
        scaled = self.scaled(x)
        if self.config.architecture == "topk":
            return self.select(scaled).dense()
        before = self.pre_activations(scaled).relu()
        return before * (before * self.selection_weight() > self.threshold)

    @torch.no_grad()
    def select(self, x: Tensor) -> SparseCodes:
        """Return the codes of a training batch of scaled input, and remember the threshold."""
        bias = self.encoding_bias()
        if self.config.architecture == "topk":
            return encode_top_k(x, self.encoder.detach(), bias, self.config.k)
        total, hint = self.config.k * len(x), float(self.threshold[0])
        weight = self.selection_weight()
        codes, least = encode_batch_top_k(x, self.encoder.detach(), bias, total, weight, hint)
        if self.training and least > 0:
            momentum = self.config.threshold_momentum if hint > 0 else 0.0
            self.threshold.fill_(momentum * hint + (1 - momentum) * least)
        return codes

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
        return StepLoss(total, error, error.new_zeros(()), auxiliary, codes.fired(), sums[-1])

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


_CLASSES: Final[dict[str, type[Dictionary]]] = {
    "tied_relu": TiedReluDictionary,
    "relu": ReluDictionary,
    "jumprelu": JumpReluDictionary,
}


def build(config: DictionaryConfig) -> Dictionary:
    """Return a fresh dictionary, the same for the same configuration."""
    return _CLASSES.get(config.architecture, KSparseDictionary)(config)
