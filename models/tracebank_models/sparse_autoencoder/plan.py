"""Which dictionaries of a base and a tuned model are trained, and how. Settings only, no torch, no computing.

Base and tuned model never share first weights: dictionaries that begin alike stay alike for long, and would seem to
have found the same features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from tracebank_models.checked_settings import check_settings, require
from tracebank_models.sparse_autoencoder.configuration import TRAINED, DictionaryConfig

SIDES: Final = ("base", "tuned")
SIZES: Final[Mapping[str, int]] = {"small": 1, "big": 2, "4x": 4, "8x": 8}
"""Features over the width of the activations, by the name of the size; the first two are those of 2310.08164."""
_DEMONSTRATED: Final = ("topk", "crosscoder")
_Count = Annotated[int, Meta(ge=1, le=10**9)]
_Steps = Annotated[int, Meta(ge=0, le=10**9)]
_SIDES_OF: Final = {"both": SIDES} | {side: (side,) for side in SIDES}


@dataclass(frozen=True, slots=True)
class DictionaryPlan:
    """How the dictionaries of a study are trained."""

    architecture: str = "tied_relu"
    """Of every size, site and side."""
    sizes: tuple[str, ...] = ("small", "big")
    """At every site."""
    larger_sizes: tuple[str, ...] = ("4x", "8x")
    """At the most divergent site alone."""
    initialisations: _Count = 2
    """Dictionaries of each size, site and side that differ in their first weights alone: whether they agree is what
    tells a feature from chance."""
    l1: Annotated[float, Meta(ge=0, le=10**6)] = 0.03
    """Weight of the mean L1 norm, on activations scaled to a mean norm of the root of their width. As many features
    fire at any width where it falls with the width's root; 0.03 is for 64."""
    k: _Count = 4
    """Active features of the k-sparse kinds: about as many as `l1` leaves of the others."""
    learning_rate: Annotated[float, Meta(ge=1e-12, le=1)] = 2e-2
    batch_tokens: _Count = 256
    """Seeds agree by steps rather than by tokens: small batches cost less and agree as well."""
    epochs: _Count = 16
    """Passes over the activations: some 5,000 steps of a small study."""
    warm_up_steps: _Steps = 100
    decay_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """Share of the steps, the last ones, in which the learning rate falls to 0."""
    sparsity_warm_up_steps: _Steps = 1_000
    """Steps in which the weight of the sparsity rises: features that it silences at the start stay silent."""
    dead_after_tokens: _Count = 100_000
    extra_architectures: tuple[str, ...] = ("relu", "topk", "batchtopk", "jumprelu", "matryoshka", "crosscoder")
    """Trained beside them at the most divergent site, 2x the width, for comparison."""
    demonstration: bool = False
    """Whether it is too short to learn: what it was to learn is then a warning, never a pass and never a stop."""

    def __post_init__(self) -> None:
        """Check every field, and what they may be together.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        check_settings(self)
        single = [name for name in TRAINED if name != "crosscoder"]
        require(self, "architecture", f"one of {', '.join(single)}", self.architecture in single)
        once = f"each once, of {', '.join(SIZES)}"
        read = "small" in self.sizes and _once(self.sizes)
        require(self, "sizes", f"{once}, with small, which probes read", read)
        require(self, "larger_sizes", f"{once}, none of sizes", _once((*self.sizes, *self.larger_sizes)))
        extras = self.extra_architectures
        known = set(extras) <= set(TRAINED) - {self.architecture} and len(set(extras)) == len(extras)
        others = ", ".join(name for name in TRAINED if name != self.architecture)
        require(self, "extra_architectures", f"each once, of {others}", known)

    @property
    def compared_l0(self) -> int:
        """Features of a token, those that write most, that FVU is measured with once more: all kinds have as many."""
        return max(1, 3 * self.k // 4)


def _once(sizes: tuple[str, ...]) -> bool:
    return set(sizes) <= set(SIZES) and len(set(sizes)) == len(sizes)


def demonstration(plan: DictionaryPlan) -> DictionaryPlan:
    """The same at a size that runs in seconds, of which nothing is to be believed."""
    extras = tuple(name for name in plan.extra_architectures if name in _DEMONSTRATED)
    return dataclasses.replace(
        plan,
        batch_tokens=1_024,
        epochs=1,
        larger_sizes=(),
        warm_up_steps=20,
        sparsity_warm_up_steps=20,
        extra_architectures=extras,
        demonstration=True,
    )


def dictionary_name(side: str, site: str, size: str, architecture: str, number: int) -> str:
    """Name of a dictionary within its study; also of its folder."""
    return f"{side}-{site}-{size}-{architecture}-{number}"


def init_seed(seed: int, side: str, number: int = 0) -> int:
    """Seed of a dictionary's first weights: base and tuned have seeds of their own.

    Args:
        seed: Of the study.
        side: base, tuned or both.
        number: Of the initialisation, from 0.
    """
    return 1_000 * seed + 3 * number + (*SIDES, "both").index(side)


def study_dictionaries(
    widths: Mapping[str, int], most_divergent: str, plan: DictionaryPlan, seed: int = 0, steps: int = 0
) -> list[DictionaryConfig]:
    """Every dictionary of a study: all initialisations of each size, side and site, and the extras at one site.

    Args:
        widths: Width of each site.
        most_divergent: The site of the larger sizes and of the extras.
        plan: How.
        seed: Of the study.
        steps: Of the whole training, at the end of which the learning rate falls; 0: it does not.

    Raises:
        ValueError: See `DictionaryConfig`.
    """
    found = [
        _configuration(plan, seed, side, site, size, plan.architecture, number, width)
        for site, width in widths.items()
        for side in SIDES
        for size in (*plan.sizes, *(plan.larger_sizes if site == most_divergent else ()))
        for number in range(plan.initialisations)
    ]
    for architecture in plan.extra_architectures:
        side = "both" if architecture == "crosscoder" else "tuned"
        width = widths[most_divergent]
        found.append(_configuration(plan, seed, side, most_divergent, "big", architecture, 0, width))
    return [dataclasses.replace(config, steps=steps) for config in found]


def _configuration(
    plan: DictionaryPlan, seed: int, side: str, site: str, size: str, architecture: str, number: int, width: int
) -> DictionaryConfig:
    features = SIZES[size] * width
    return DictionaryConfig.from_dict(
        {
            "name": dictionary_name(side, site, size, architecture, number),
            "architecture": architecture,
            "d_in": width,
            "d_sae": features,
            "sites": tuple(f"{one}/{site}" for one in _SIDES_OF[side]),
            "k": min(plan.k, features),
            "l1": plan.l1,
            "learning_rate": plan.learning_rate,
            "warm_up_steps": plan.warm_up_steps,
            "decay_share": plan.decay_share,
            "sparsity_warm_up_steps": plan.sparsity_warm_up_steps,
            "dead_after_tokens": plan.dead_after_tokens,
            "normalize_activations": True,
            "seed": init_seed(seed, side, number),
        }
    )
