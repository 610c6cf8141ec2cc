"""What a dictionary is and how it is trained, checked once. No torch here, so that a configuration is cheap to read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

Architecture = Literal["tied_relu", "relu", "topk", "batchtopk", "jumprelu", "matryoshka", "crosscoder"]
ARCHITECTURES: Final[tuple[str, ...]] = get_args(Architecture)
"""Kinds of dictionaries that can be trained."""
K_SPARSE: Final = frozenset({"topk", "batchtopk", "matryoshka", "crosscoder"})
"""Those whose sparsity is chosen by `k`; their backward pass is sparse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DictionaryConfig:
    """One dictionary.

    Raises:
        ValueError: A field is out of range; the message names it, its value and what is allowed.
    """

    name: str
    """Unique among the dictionaries that train together; a folder of a checkpoint has this name."""
    architecture: Architecture = "topk"
    d_in: int
    """Width of one site's activations."""
    d_sae: int
    """Features."""
    sites: tuple[str, ...] = ("activations",)
    """Sites of the stream that it reads: one, or the base's and the tuned model's for a crosscoder."""
    k: int = 32
    """Active features per token (an average for all but `topk`)."""
    l1: float = 1e-3
    """Weight of the mean L1 norm of the codes (ReLU kinds)."""
    l0: float = 1e-3
    """Weight of the mean L0 (JumpReLU)."""
    jump_threshold: float = 0.001
    """Threshold that JumpReLU starts from."""
    bandwidth: float = 0.05
    """Width of the rectangle with which JumpReLU's gradient to the threshold is estimated (arXiv:2407.14435)."""
    prefixes: tuple[int, ...] = ()
    """Ascending sizes of the nested dictionaries of `matryoshka`; the last is `d_sae`."""
    learning_rate: float = 1e-3
    warm_up_steps: int = 100
    """Steps in which the learning rate rises linearly."""
    sparsity_warm_up_steps: int = 0
    """Steps in which the L1 or L0 weight rises linearly."""
    max_grad_norm: float | None = 1.0
    """Gradients are clipped to this global norm; None does not clip."""
    auxiliary: float = 1 / 32
    """Weight of the auxiliary loss by which dead features of the k-sparse kinds learn the residual."""
    k_auxiliary: int | None = None
    """Dead features per token in that loss; None means half of the input's width."""
    dead_after_tokens: int = 10_000_000
    """A feature that fires on none of so many tokens is dead."""
    threshold_momentum: float = 0.999
    """Of the running mean of the smallest selected activation, the threshold at inference."""
    normalize_activations: bool = False
    """Scale each site by a constant, found on the first batch, so that the mean norm is the root of `d_in`."""
    seed: int = 0

    def __post_init__(self) -> None:
        _choice("architecture", self.architecture, ARCHITECTURES)
        for field in ("d_in", "d_sae", "dead_after_tokens"):
            _at_least(field, getattr(self, field), 1)
        for field in ("warm_up_steps", "sparsity_warm_up_steps", "seed"):
            _at_least(field, getattr(self, field), 0)
        for field in ("learning_rate", "bandwidth", "jump_threshold"):
            _positive(field, getattr(self, field))
        for field in ("l1", "l0", "auxiliary"):
            _at_least(field, getattr(self, field), 0)
        if self.max_grad_norm is not None:
            _positive("max_grad_norm", self.max_grad_norm)
        if not 0 <= self.threshold_momentum < 1:
            raise ValueError(f"threshold_momentum = {self.threshold_momentum}: must be at least 0 and below 1")
        if not self.name or set(self.name) & set("/\\") or self.name.startswith("."):
            raise ValueError(f"name = {self.name!r}: must be a file name without '/', '\\' and leading '.'")
        self._check_sparsity()
        self._check_sites()

    def _check_sparsity(self) -> None:
        if self.architecture in K_SPARSE and not 1 <= self.k <= self.d_sae:
            raise ValueError(f"k = {self.k}: must be between 1 and d_sae ({self.d_sae})")
        if self.k_auxiliary is not None:
            _at_least("k_auxiliary", self.k_auxiliary, 1)
        if self.architecture != "matryoshka":
            if self.prefixes:
                raise ValueError(f"prefixes = {self.prefixes}: only matryoshka has them, not {self.architecture}")
            return
        ascending = all(a < b for a, b in zip((0, *self.prefixes), self.prefixes, strict=False))
        if not self.prefixes or not ascending or self.prefixes[-1] != self.d_sae:
            raise ValueError(f"prefixes = {self.prefixes}: must ascend from above 0 to d_sae ({self.d_sae})")

    def _check_sites(self) -> None:
        if self.architecture == "crosscoder" and len(self.sites) < 2:
            raise ValueError(f"sites = {self.sites}: a crosscoder reads at least two")
        if self.architecture != "crosscoder" and len(self.sites) != 1:
            raise ValueError(f"sites = {self.sites}: {self.architecture} reads exactly one")
        if len(set(self.sites)) != len(self.sites):
            raise ValueError(f"sites = {self.sites}: must differ from one another")

    @property
    def width(self) -> int:
        """Width of the input: all sites side by side."""
        return self.d_in * len(self.sites)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `from_dict` takes them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DictionaryConfig:
        """Rebuild a configuration out of what JSON keeps of it."""
        lists: dict[str, Any] = {name: tuple(values[name]) for name in ("sites", "prefixes") if name in values}
        return cls(**(values | lists))


def _choice(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{field} = {value!r}: must be one of {', '.join(allowed)}")


def _at_least(field: str, value: float, least: int) -> None:
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{field} = {value}: must be at least {least}")


def _positive(field: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{field} = {value}: must be above 0")
