"""Reward studies: which model is tuned how, on what, and how much of everything is done with it. Settings only.

A study is a base model, a tuned one, and what 2310.08164 does with the two. The ladder's studies stand here; others are
read from a TOML file by `study_file`. What a field may be stands in its annotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from msgspec import Meta

from tracebank_models.checked_settings import check_settings
from tracebank_models.language_model.corpora import CorpusEntry, ReviewCorpus
from tracebank_models.language_model.corpus import Document
from tracebank_models.language_model.recipes import RECIPES
from tracebank_models.language_model.training_settings import (
    DPOConfiguration,
    PPOConfiguration,
    PretrainingConfiguration,
)
from tracebank_models.reward_probe.study_data import StudyData
from tracebank_models.sparse_autoencoder.plan import SIDES as SIDES
from tracebank_models.sparse_autoencoder.plan import DictionaryPlan

Method = Literal["ppo", "dpo", "loaded"]
CORPUS_SHARDS: Final = 4
"""Parts of a study's documents. The last is held out: dictionaries are measured on it and not trained on it."""
HELD_OUT: Final = CORPUS_SHARDS - 1
Count = Annotated[int, Meta(ge=1, le=10**9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=10**6)]
Rate = Annotated[float, Meta(ge=1e-12, le=1)]
Seed = Annotated[int, Meta(ge=0, le=999_999_999)]
"""A partition's key has no more digits."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything: the same code at every size."""

    ppo: PPOConfiguration
    dpo: DPOConfiguration
    preference_batches: Count
    """Batches of 64 sampled pairs, before ties are left out."""
    documents: Annotated[int, Meta(ge=CORPUS_SHARDS, le=10**9)]
    """That activations are captured on, all shards together."""
    max_tokens: Count
    """Where a document is cut."""
    triples: Count
    """Most contrastive triples."""
    random_probes: Count
    ablation_prompts: Count
    ablated_share: Share
    """Share of a dictionary's features that an ablation holds at zero."""
    layers: Count = 5
    """Most divergent layers."""
    random_ablations: Count = 200
    """Draws of random features that the ablated ones are ranked among."""
    dictionaries: DictionaryPlan = field(default_factory=DictionaryPlan)
    loss_documents: Count = 64
    """Documents that losses are measured on with a dictionary in the model's place."""
    stored_tokens: Annotated[int, Meta(ge=0, le=10**9)] = 4_096
    """Held-out tokens whose sparse codes are stored as rows."""
    dtype: Literal["float16", "float32"] = "float16"
    """Of captured activations."""
    threads: Annotated[int, Meta(ge=1, le=10**6)] | None = None
    """Most threads of torch; None takes every processor. Small nets lose more by waiting than they win by sharing."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        check_settings(self)


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
        dictionaries=DictionaryPlan(),
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
        dictionaries=DictionaryPlan(l1=0.021, epochs=8),
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
        dictionaries=DictionaryPlan(l1=0.015, epochs=5, larger_sizes=("4x",)),
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
    corpus: CorpusEntry = field(default_factory=ReviewCorpus)
    """What a model of the ladder is trained on; the reviews of `ReviewCorpus` go with texts of the recipe's own."""
    pretraining: PretrainingConfiguration | None = None
    """Where it is not the recipe's."""

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
    base: ModelSource
    method: Method
    tuned: ModelSource | None = None
    """Where the tuned model is loaded from, with method `loaded`."""
    seeds: tuple[int, ...] = (0,)
    """What it is run with, each by itself."""
    own_effort: Effort | None = None
    """Where it is not that of the base's size."""
    data: StudyData = field(default_factory=StudyData)
    seed: int = 0
    """Of everything by chance, but for the base model, which a study's seeds share."""

    @property
    def key(self) -> str:
        """Name with seed: the tuned model's name, and what names of its dictionaries and probes begin with."""
        return f"{self.name}-seed{self.seed}"

    @property
    def effort(self) -> Effort:
        """How much is done."""
        return self.own_effort or self.base.effort

    @property
    def compares_answers(self) -> bool:
        """Whether it has pairs of answers: those that DPO learns from, or such of a file."""
        return self.method == "dpo" or not self.data.samples_pairs

    def captured_documents(self, shard: int) -> list[Document]:
        """One shard of what activations are of; no model of the ladder was trained on any of it."""
        count = self.effort.documents // CORPUS_SHARDS
        return self.data.documents("capture", CORPUS_SHARDS * count)[shard * count :][:count]


def ladder_studies() -> dict[str, Study]:
    """PPO and DPO of every size of the ladder: `small-ppo`, `small-dpo`, ..."""
    found = [Study(f"{size}-{method}", ModelSource(size, size), method) for size in RECIPES for method in _TUNED_HERE]
    return {study.name: study for study in found}


_TUNED_HERE: Final[tuple[Method, Method]] = ("ppo", "dpo")
