"""What each model of the offline ladder is made from: corpus, shape and pretraining, by size. Settings only.

They are carried out in `base_training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .offline_corpus import OfflineCorpus
from .training_settings import PretrainingConfiguration


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a base model of the ladder is made from; the same recipe makes the same weights on one machine."""

    size: str
    corpus: OfflineCorpus
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
"""Recipes by size."""
