"""`jumprelu`: a learned threshold for each feature and an L0 penalty, as in arXiv:2407.14435.

From the paper: a ReLU before the jump; rectangle kernels of one bandwidth for both, and a penalty that moves thresholds
alone; thresholds kept by their logarithm that start at 0.001, the bandwidth; the squared error summed over the width;
activations scaled to a mean squared norm of 1; Adam without momentum; the penalty warms up. Not from the paper:
thresholds learn faster than the rest, since with Adam their logarithm moves by the learning rate a step and trainings
here have thousands of steps where the paper's have hundreds of thousands; and the kernel is 0 where a pre-activation is
not positive, which the paper's constants imply at the start only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, cast

import torch
from torch import Tensor, nn

from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig, above_0, at_least
from tracebank_models.sparse_autoencoder.dictionary import Architecture, Dictionary, StepLoss

_LEAST_THRESHOLD: Final = 1e-8
"""A threshold is kept by its logarithm."""


@dataclass(frozen=True, kw_only=True)
class JumpReluConfig(DictionaryConfig):
    """Fields of JumpReLU; thresholds and the bandwidth are in units of the scaled activations."""

    l0: float = 0.01
    """Weight of the mean L0, in units of the squared norm of the scaled activations."""
    jump_threshold: float = 0.001
    """Threshold that every feature starts from."""
    bandwidth: float = 0.001
    """Width of the rectangle with which the gradient to a threshold is estimated."""
    threshold_speed: float = 10.0
    """Learning rate of the thresholds' logarithms over that of the weights."""

    def check_own(self) -> None:
        """Check the penalty, the thresholds and the kernel."""
        at_least("l0", self.l0, 0)
        for field in ("jump_threshold", "bandwidth", "threshold_speed"):
            above_0(field, getattr(self, field))


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
        # A silent feature, z = 0, would else be near a threshold below half the width, and push it on its own.
        near = (((z - threshold).abs() < width / 2) & (z > 0)) / width
        to_threshold = -(near * (threshold * gradients[0] + gradients[1])).sum(0)
        return gradients[0] * (z > threshold), to_threshold, None


class JumpReluDictionary(Dictionary):
    """A gate of SAELens over one encoder is a threshold too, and is read as one."""

    config: JumpReluConfig
    betas = (0.0, 0.999)
    sae_lens_name = "jumprelu"
    sae_lens_reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "jumprelu": ("b_enc", "threshold"),
        "gated": ("b_gate", "b_mag", "r_mag"),
    }

    def __init__(self, config: JumpReluConfig) -> None:
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
        return StepLoss(error + penalty, error, penalty, error.new_zeros(()), fires.detach().sum(0).long())

    @torch.no_grad()
    def after_step(self) -> None:
        """Renormalise, and show the thresholds."""
        super().after_step()
        self.threshold.copy_(self.log_threshold.exp())

    def normal_scale(self, x: Tensor) -> Tensor:
        """Return what brings activations, (tokens, d_in), to a mean squared norm of 1."""
        return x.square().sum(1).mean().rsqrt()

    def speeds(self) -> dict[str, float]:
        """Thresholds run ahead."""
        return {"log_threshold": self.config.threshold_speed}

    def sae_lens_tensors(self) -> dict[str, Tensor]:
        """Return the thresholds."""
        return {"threshold": self.threshold}

    @classmethod
    def from_sae_lens(cls, architecture: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Turn a gate into a threshold."""
        if architecture != "gated":
            return tensors
        # Magnitude and gate read one product, so the gate opens where the magnitude exceeds a number of its own.
        growth, bias = tensors["r_mag"].exp(), tensors["b_mag"]
        own = {"W_enc": tensors["W_enc"] * growth, "b_enc": bias, "threshold": bias - growth * tensors["b_gate"]}
        return {name: tensors[name] for name in ("W_dec", "b_dec")} | own

    def take_sae_lens(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the thresholds."""
        self.log_threshold.copy_(tensors["threshold"].clamp_min(_LEAST_THRESHOLD).log())
        self.threshold.copy_(self.log_threshold.exp())


ARCHITECTURE = Architecture(JumpReluConfig, JumpReluDictionary)
