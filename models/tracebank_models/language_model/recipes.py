"""How each model of the offline ladder is made, from nothing to weights: corpus, tokenizer, shape and pretraining.

The steps themselves are in the modules of their names; here are only their settings by size, and their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .architecture import build_model, model_size
from .corpus import split_corpus
from .lexicon import Lexicon
from .offline_corpus import OfflineCorpus, offline_corpus
from .pretraining import PretrainingConfiguration, pretrain
from .token_blocks import token_blocks
from .tokenizer import train_tokenizer
from .training_loop import OnStep

BLOCK_LENGTH: Final = 128
"""Tokens of a training sequence: half of what the models can read, and longer than nearly every review."""
VALIDATION_SHARE: Final = 0.05


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


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model with what it was made from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    corpus: pl.DataFrame
    """All documents, those held out for validation included."""
    curve: pl.DataFrame
    """Rows of the pretraining, see `pretrain`."""


def train_base_model(
    recipe: Recipe,
    lexicon: Lexicon,
    directory: Path | None = None,
    on_step: OnStep | None = None,
    device: Callable[[], torch.device] = lambda: torch.device("cpu"),
) -> BaseModel:
    """Train a base model; with a folder, go on from its last checkpoint.

    Args:
        recipe: What to make.
        lexicon: Gives the reviews of the corpus their opinions.
        directory: Where checkpoints go.
        on_step: Called with the row of each step.
        device: Where to train.

    Raises:
        ValueError: As the steps; or the folder holds checkpoints of another recipe.
    """
    documents = offline_corpus(lexicon, recipe.corpus)
    train, held = split_corpus(documents, VALIDATION_SHARE)
    size = model_size(recipe.size)
    tokenizer = train_tokenizer(train["text"].to_list(), size.vocabulary_size)
    blocks = token_blocks(tokenizer, train, BLOCK_LENGTH), token_blocks(tokenizer, held, BLOCK_LENGTH)
    model = build_model(size, tokenizer, recipe.seed).to(device())  # type: ignore[arg-type]
    curve = pretrain(model, tokenizer, *blocks, recipe.pretraining, directory, on_step)
    return BaseModel(model, tokenizer, documents, curve)
