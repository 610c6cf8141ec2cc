"""Reward studies: which model is tuned how, and how much of everything is done with it. Settings only, no computing.

A study is a base model, a tuned one, and what 2310.08164 does with the two. The ladder's studies stand here; others are
read from a TOML file by `study_file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tracebank_models.language_model.field_checks import in_range, require, whole
from tracebank_models.language_model.recipes import RECIPES
from tracebank_models.language_model.training_settings import DPOConfiguration, PPOConfiguration
from tracebank_models.sparse_autoencoder.configuration import ARCHITECTURES, DictionaryConfig

Method = Literal["ppo", "dpo", "loaded"]
METHODS: Final = ("ppo", "dpo", "loaded")
CORPUS_SHARDS: Final = 4
"""Parts of a study's documents. The last is held out: dictionaries are measured on it and not trained on it."""
HELD_OUT: Final = CORPUS_SHARDS - 1
SIZES: Final[Mapping[str, int]] = {"small": 1, "big": 2}
"""Features over the width of the activations, by the name of the size (2310.08164)."""
SIDES: Final = ("base", "tuned")
FIRST_DOCUMENT: Final = 1_000_000
"""Number of a study's first review: far beyond those that models of the ladder are pretrained on."""


@dataclass(frozen=True, slots=True)
class DictionaryPlan:
    """How the dictionaries of a study are trained."""

    architecture: str = "tied_relu"
    """Of the two sizes per layer and side."""
    l1: float = 0.05
    """Weight of the mean L1 norm, on activations scaled to a mean norm of the root of their width."""
    learning_rate: float = 1e-3
    batch_tokens: int = 1_024
    epochs: int = 3
    k: int = 16
    """Active features of the k-sparse kinds."""
    warm_up_steps: int = 50
    dead_after_tokens: int = 100_000
    extra_architectures: tuple[str, ...] = ("relu", "topk", "batchtopk", "jumprelu", "matryoshka", "crosscoder")
    """Trained beside them at the most divergent site, for comparison."""
    extra_seeds: tuple[int, ...] = (1,)
    """Further seeds of both sides' small dictionaries at that site; 0 is that of the plan itself."""

    def __post_init__(self) -> None:
        """Check what `DictionaryConfig` does not.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 1, 10**9, "batch_tokens", "epochs", "k")
        single = [name for name in ARCHITECTURES if name != "crosscoder"]
        require(self, "architecture", f"one of {', '.join(single)}", self.architecture in single)
        extras = self.extra_architectures
        known = set(extras) <= set(ARCHITECTURES) - {self.architecture} and len(set(extras)) == len(extras)
        others = ", ".join(name for name in ARCHITECTURES if name != self.architecture)
        require(self, "extra_architectures", f"each once, of {others}", known)
        seeds = self.extra_seeds
        further = 0 not in seeds and len(set(seeds)) == len(seeds)
        require(self, "extra_seeds", "each once, without 0, the plan's own", further)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything: the same code at every size."""

    ppo: PPOConfiguration
    dpo: DPOConfiguration
    preference_batches: int
    """Batches of 64 sampled pairs, before ties are left out."""
    documents: int
    """Reviews that activations are captured on, all shards together."""
    max_tokens: int
    """Where a document is cut."""
    triples: int
    """Most contrastive triples."""
    random_probes: int
    ablation_prompts: int
    ablated_share: float
    """Share of a dictionary's features that an ablation holds at zero."""
    layers: int = 5
    """Most divergent layers."""
    random_ablations: int = 3
    """Runs of an ablation with random features, a seed each."""
    dictionaries: DictionaryPlan = field(default_factory=DictionaryPlan)
    loss_documents: int = 64
    """Documents that losses are measured on with a dictionary in the model's place."""
    stored_tokens: int = 4_096
    """Held-out tokens whose sparse codes are stored as rows."""
    threads: int | None = None
    """Most threads of torch; None takes every processor. Small nets lose more by waiting than they win by sharing."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, CORPUS_SHARDS, 10**9, "documents")
        counts = ("preference_batches", "max_tokens", "triples", "random_probes", "ablation_prompts", "layers")
        whole(self, 1, 10**9, *counts, "loss_documents")
        whole(self, 0, 10**9, "stored_tokens")
        in_range(self, 0, 1, "ablated_share")
        if self.threads is not None:
            whole(self, 1, 10**6, "threads")


EFFORTS: Final[Mapping[str, Effort]] = {
    "small": Effort(
        ppo=PPOConfiguration(steps=40, learning_rate=6e-4, target_kl=2.3, warmup_steps=3, checkpoint_every=10),
        dpo=DPOConfiguration(steps=50, batch_size=64, learning_rate=2e-4, checkpoint_every=10),
        preference_batches=24,
        documents=2_000,
        max_tokens=96,
        triples=600,
        random_probes=20,
        ablation_prompts=128,
        ablated_share=0.05,
        dictionaries=DictionaryPlan(l1=0.015),
        loss_documents=24,
        threads=1,
    ),
    "medium": Effort(
        ppo=PPOConfiguration(steps=50, learning_rate=4e-4, target_kl=2.3, warmup_steps=5, checkpoint_every=10),
        dpo=DPOConfiguration(steps=50, batch_size=64, learning_rate=1e-4, checkpoint_every=10),
        preference_batches=30,
        documents=4_000,
        max_tokens=96,
        triples=1_500,
        random_probes=20,
        ablation_prompts=256,
        ablated_share=0.05,
        dictionaries=DictionaryPlan(l1=0.005),
    ),
    "large": Effort(
        ppo=PPOConfiguration(steps=60, learning_rate=2e-4, target_kl=2.3, warmup_steps=5, checkpoint_every=12),
        dpo=DPOConfiguration(steps=50, batch_size=64, learning_rate=5e-5, checkpoint_every=10),
        preference_batches=30,
        documents=6_000,
        max_tokens=96,
        triples=3_000,
        random_probes=100,
        ablation_prompts=500,
        ablated_share=0.05,
        random_ablations=10,
        dictionaries=DictionaryPlan(l1=0.002),
        loss_documents=48,
        stored_tokens=8_192,
    ),
}
"""By the size of the ladder; models from elsewhere take that of `large`."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a base model comes from."""

    name: str
    source: str
    """A size of the ladder, which is trained here; else a Hugging Face id or a folder."""
    revision: str | None = None

    @property
    def trained_here(self) -> bool:
        """Whether it is a model of the ladder."""
        return self.source in RECIPES

    @property
    def effort(self) -> Effort:
        """How much is done with it."""
        return EFFORTS.get(self.source, EFFORTS["large"])


@dataclass(frozen=True, slots=True)
class Study:
    """A base model and a tuned one."""

    name: str
    """Also the tuned model's name."""
    base: ModelSource
    method: Method
    tuned: ModelSource | None = None
    """Where the tuned model is loaded from, with method `loaded`."""

    @property
    def effort(self) -> Effort:
        """How much is done."""
        return self.base.effort


def ladder_studies() -> dict[str, Study]:
    """PPO and DPO of every size of the ladder: `small-ppo`, `small-dpo`, ..."""
    found = [Study(f"{size}-{method}", ModelSource(size, size), method) for size in RECIPES for method in _TUNED_HERE]
    return {study.name: study for study in found}


_TUNED_HERE: Final[tuple[Method, Method]] = ("ppo", "dpo")


def dictionary_name(side: str, site: str, size: str, architecture: str, seed: int) -> str:
    """Name of a dictionary within its study; also of its folder."""
    return f"{side}-{site}-{size}-{architecture}-{seed}"


def study_dictionaries(widths: Mapping[str, int], most_divergent: str, plan: DictionaryPlan) -> list[DictionaryConfig]:
    """Every dictionary of a study: two sizes for each side and site, and the extras at one site.

    Args:
        widths: Width of each site.
        most_divergent: The site at which extras are trained.
        plan: How.

    Raises:
        ValueError: See `DictionaryConfig`.
    """
    found = [
        _configuration(plan, side, site, size, plan.architecture, 0, width)
        for site, width in widths.items()
        for side in SIDES
        for size in SIZES
    ]
    site, width = most_divergent, widths[most_divergent]
    found += [
        _configuration(plan, side, site, "small", plan.architecture, seed, width)
        for side in SIDES
        for seed in plan.extra_seeds
    ]
    for architecture in plan.extra_architectures:
        side = "both" if architecture == "crosscoder" else "tuned"
        found.append(_configuration(plan, side, site, "big", architecture, 0, width))
    return found


def _configuration(
    plan: DictionaryPlan, side: str, site: str, size: str, architecture: str, seed: int, width: int
) -> DictionaryConfig:
    features = SIZES[size] * width
    sides = SIDES if side == "both" else (side,)
    prefixes = tuple(sorted({features // 4, features // 2, features})) if architecture == "matryoshka" else ()
    return DictionaryConfig(
        name=dictionary_name(side, site, size, architecture, seed),
        architecture=architecture,  # type: ignore[arg-type]
        d_in=width,
        d_sae=features,
        sites=tuple(f"{one}/{site}" for one in sides),
        k=min(plan.k, features),
        l1=plan.l1,
        prefixes=prefixes,
        learning_rate=plan.learning_rate,
        warm_up_steps=plan.warm_up_steps,
        dead_after_tokens=plan.dead_after_tokens,
        normalize_activations=True,
        seed=seed,
    )
