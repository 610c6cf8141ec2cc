"""A ladder of models of code: five sizes that read the same tokens of one corpus, with half of its modules held out.

The corpus is the running Python's standard library. Which side a module is on follows from a hash of its name, so that
every score can say whether its function was in the training text. A context holds every function of the strict
selection: the median one has 258 tokens of the ladder's tokenizer with its prompt, the longest of 395 has 682.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import polars as pl
import torch

from tracebank_models.checked_settings import settings_hash
from tracebank_models.language_model.architecture import ModelSize
from tracebank_models.language_model.base_training import BaseModel, TrainingPlan, train_on
from tracebank_models.language_model.corpus import corpus_frame, corpus_hash, is_held_out
from tracebank_models.language_model.standard_library import source_id, standard_library_documents
from tracebank_models.language_model.training_loop import OnStep
from tracebank_models.language_model.training_settings import PretrainingConfiguration

CONTEXT: Final = 768
"""Tokens of a training sequence, and the most that a model of the ladder reads."""
HELD_OUT_SHARE: Final = 0.5
"""Share of the modules that is never trained on."""
STEPS: Final = 930
"""Of two sequences each: 1.43 million tokens, about once through the training text (CPython 3.11)."""


def _plan(width: int, layers: int, heads: int) -> TrainingPlan:
    size = ModelSize(hidden_size=width, layers=layers, attention_heads=heads, context_length=CONTEXT)
    pretraining = PretrainingConfiguration(
        steps=STEPS,
        batch_size=2,
        learning_rate=min(3e-3, 0.256 / width),
        warmup_steps=40,
        validate_every=155,
        validation_blocks=32,
        checkpoint_every=310,
    )
    return TrainingPlan(size, pretraining, block_length=CONTEXT, validation_share=HELD_OUT_SHARE)


LADDER: Final[Mapping[str, TrainingPlan]] = {
    "code-0.1m": _plan(64, 2, 4),
    "code-0.3m": _plan(96, 3, 4),
    "code-1m": _plan(128, 5, 4),
    "code-3m": _plan(192, 7, 4),
    "code-8m": _plan(256, 10, 8),
}
"""Plans by name, which says the millions of parameters without embeddings."""


def ladder_plan(name: str, steps: int | None = None) -> TrainingPlan:
    """A plan of the ladder.

    Args:
        name: Of `LADDER`.
        steps: Of the training; None takes the ladder's. All sizes are to have as many.

    Raises:
        ValueError: There is no such model, or the steps are not allowed.
    """
    if name not in LADDER:
        raise ValueError(f"model: {name!r} is not allowed; allowed: {', '.join(LADDER)}")
    plan = LADDER[name]
    pretraining = dataclasses.replace(plan.pretraining, steps=steps or plan.pretraining.steps)
    return dataclasses.replace(plan, pretraining=pretraining)


def code_corpus(root: Path | None = None) -> pl.DataFrame:
    """Sources of the standard library, or of another tree, a document for each module.

    Raises:
        ValueError: The folder holds no Python file, or only empty ones.
    """
    return corpus_frame(standard_library_documents(("sources",), root=root))


def in_training_text(module: str) -> bool:
    """Whether the ladder was trained on a module, by its name in `SwapExample.module`."""
    return not is_held_out(source_id(module), HELD_OUT_SHARE)


def ladder_models(
    directory: Path,
    names: Iterable[str] = LADDER,
    steps: int | None = None,
    on_step: OnStep | None = None,
    device: torch.device | None = None,
) -> Iterator[tuple[str, BaseModel]]:
    """Train models of the ladder, each as it is done; what is trained already is loaded.

    On one core the five take about 36 minutes, more than half of it the largest.

    Args:
        directory: Where checkpoints go, into a folder for each model, plan and corpus.
        names: Of `LADDER`.
        steps: See `ladder_plan`.
        on_step: Called with the row of each step.
        device: Where to train; the CPU where it is None.

    Raises:
        ValueError: As `ladder_plan` and `train_on`.
    """
    plans = {name: ladder_plan(name, steps) for name in names}
    corpus = code_corpus()
    for name, plan in plans.items():
        folder = directory / name / settings_hash(plan, corpus_hash(corpus))[:12]
        yield name, train_on(corpus, plan, folder, on_step, device)
