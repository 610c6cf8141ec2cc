"""Making a base model from documents and a plan: tokenizer, weights and pretraining, in their order; by recipe, too."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.checked_settings import settings_hash

from .architecture import ModelSize, build_model, model_size
from .corpora import CorpusEntry, ReviewCorpus
from .corpus import corpus_frame, corpus_hash, split_corpus
from .fact_world import FactWorld
from .lexicon import load_vader_lexicon
from .offline_corpus import offline_corpus
from .pretraining import pretrain
from .recipes import Recipe
from .token_blocks import token_blocks
from .tokenizer import train_tokenizer
from .training_loop import OnStep
from .training_settings import PretrainingConfiguration

BLOCK_LENGTH: Final = 128
"""Tokens of a training sequence: half of what the models can read, and longer than nearly every review."""
VALIDATION_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model with what it was made from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    curve: pl.DataFrame
    """Rows of the pretraining, see `pretrain`."""
    folder: Path | None
    """Where its checkpoints are."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How a base model is made of documents."""

    size: ModelSize
    pretraining: PretrainingConfiguration
    seed: int = 0
    """Of the first weights."""
    block_length: int = BLOCK_LENGTH
    """Tokens of a training sequence."""
    validation_share: float = VALIDATION_SHARE
    """Share of the documents that is held out, see `split_corpus`."""


def train_base_model(
    recipe: Recipe,
    corpus: CorpusEntry | None = None,
    directory: Path | None = None,
    on_step: OnStep | None = None,
    device: torch.device | None = None,
) -> BaseModel:
    """Train a base model; with a folder, go on from the last checkpoint of this recipe on this corpus.

    Args:
        recipe: What to make.
        corpus: What it reads: the recipe's own where that is None or product reviews, else the part kept for
            pretraining.
        directory: Where checkpoints go: below it, into a folder for each recipe and corpus.
        on_step: Called with the row of each step.
        device: Where to train; the CPU where it is None.

    Raises:
        ValueError: As the steps.
    """
    documents = _documents(recipe, corpus)
    folder = directory / settings_hash(recipe, corpus_hash(documents))[:12] if directory else None
    plan = TrainingPlan(model_size(recipe.size), recipe.pretraining, recipe.seed)
    return train_on(documents, plan, folder, on_step, device)


def train_on(
    documents: pl.DataFrame,
    plan: TrainingPlan,
    folder: Path | None = None,
    on_step: OnStep | None = None,
    device: torch.device | None = None,
) -> BaseModel:
    """Train a base model; with a folder, go on from its last checkpoint.

    Args:
        documents: A corpus frame; a share of it is held out.
        plan: What to make of it.
        folder: Of the checkpoints, for this plan and these documents alone.
        on_step: Called with the row of each step.
        device: Where to train; the CPU where it is None.

    Raises:
        ValueError: As the steps.
    """
    train, held = split_corpus(documents, plan.validation_share)
    tokenizer = train_tokenizer(train["text"].to_list(), plan.size.vocabulary_size)
    blocks = token_blocks(tokenizer, train, plan.block_length), token_blocks(tokenizer, held, plan.block_length)
    fitting = dataclasses.replace(plan.size, vocabulary_size=len(tokenizer))  # little text has fewer than the size
    model = build_model(fitting, tokenizer, plan.seed).to(device or torch.device("cpu"))  # type: ignore[arg-type]
    curve = pretrain(model, tokenizer, *blocks, plan.pretraining, folder, on_step)
    return BaseModel(model, tokenizer, curve, folder)


def _documents(recipe: Recipe, corpus: CorpusEntry | None) -> pl.DataFrame:
    if corpus is not None and not isinstance(corpus, ReviewCorpus):
        return corpus_frame(corpus.documents("pretraining", 10**9))
    if isinstance(recipe.corpus, FactWorld):
        return corpus_frame(recipe.corpus.texts())
    return offline_corpus(load_vader_lexicon(), recipe.corpus)
