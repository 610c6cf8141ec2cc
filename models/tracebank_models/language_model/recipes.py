"""What models trained here are made from: corpus, shape and pretraining, by size. Settings only.

They are carried out in `base_training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .fact_world import FactWorld
from .offline_corpus import OfflineCorpus
from .training_settings import PretrainingConfiguration


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a base model is made from; the same recipe makes the same weights on one machine."""

    size: str
    corpus: OfflineCorpus | FactWorld
    pretraining: PretrainingConfiguration
    seed: int = 0
    """Of the first weights."""


RECIPES: Final[Mapping[str, Recipe]] = {
    "small": Recipe("small", OfflineCorpus(), PretrainingConfiguration(steps=400)),
    "medium": Recipe(
        "medium",
        OfflineCorpus(reviews=10_000, docstring_characters=600_000),
        PretrainingConfiguration(steps=800, learning_rate=2e-3, warmup_steps=40),
    ),
    "large": Recipe(
        "large",
        OfflineCorpus(reviews=16_000, docstring_characters=1_000_000, source_characters=500_000),
        PretrainingConfiguration(steps=1_400, learning_rate=1e-3, warmup_steps=60),
    ),
}
"""Recipes of the ladder, by size."""

_WORLD: Final = PretrainingConfiguration(steps=2_000, learning_rate=2e-3, warmup_steps=60, weight_decay=0.0)
WORLD_RECIPES: Final[Mapping[str, Recipe]] = {
    "world_neox": Recipe("world_neox", FactWorld(), _WORLD),
    "world_gpt2": Recipe("world_gpt2", FactWorld(), _WORLD),
    "world_demo": Recipe(
        "world_demo",
        FactWorld(subjects=28, relations=2, objects=5, documents=4_000),
        PretrainingConfiguration(steps=220, batch_size=8, learning_rate=2e-3, weight_decay=0.0),
    ),
}
"""Recipes of models that know a world of facts, by size."""


def world_of(name: str) -> FactWorld:
    """The world that a model of facts knows.

    Raises:
        ValueError: There is no such model.
    """
    recipe = WORLD_RECIPES.get(name)
    if recipe is None or not isinstance(recipe.corpus, FactWorld):
        raise ValueError(f"model: {name!r} is not allowed; allowed: {', '.join(WORLD_RECIPES)}")
    return recipe.corpus
