"""All dictionaries of a base and a tuned model: trained from one stream, measured on another, and compared.

What is trained is the plan's to say (`sparse_autoencoder.plan`); each step stands in a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import Tensor

from tracebank_models.features.dictionary_training import TrainedDictionaries, train_dictionaries
from tracebank_models.features.dictionary_worth import covariances, loss_recovered_of, reconstruction_of
from tracebank_models.features.paired_stream import PairedShards
from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.comparisons import comparisons, similarities, trained_as
from tracebank_models.sparse_autoencoder.plan import SIDES, DictionaryPlan, study_dictionaries

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Texts = Sequence[tuple[Tensor, Tensor]]
"""Batches of token ids and mask, padded on the right."""


@dataclass(frozen=True, slots=True)
class DictionaryInputs:
    """What dictionaries are made of, and measured on."""

    stream: PairedShards
    held_out: PairedShards
    """Other tokens of the same sites."""
    sites: Sequence[str]
    """Those of the stream, the most divergent first."""
    content: str
    """Hash of what the stream is of."""
    reader: Callable[[str], tuple[PreTrainedModel, Texts]]
    """The model of a side, and texts that its losses are measured on."""
    device: torch.device


@dataclass(frozen=True, slots=True)
class DictionaryStudy:
    """What came of it."""

    trained: TrainedDictionaries
    dictionaries: dict[str, Dictionary]
    """By name, ready for inference on the CPU."""
    metrics: pl.DataFrame
    """Rows of `metrics.METRIC_SCHEMA`."""
    similarities: pl.DataFrame
    """Rows of `comparisons.SIMILARITY_SCHEMA`."""


def study_of_dictionaries(
    given: DictionaryInputs,
    plan: DictionaryPlan,
    directory: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> DictionaryStudy:
    """Train, measure and compare; a killed training goes on from its last checkpoint.

    Args:
        given: What of.
        plan: Which dictionaries, and how.
        directory: Below it a folder is made for these settings and inputs.
        seed: Of the study.
        progress: Told the batches of training that are done and those there are.

    Raises:
        ValueError: See `study_dictionaries` and `train_dictionaries`.
    """
    widths = {site: given.stream.widths[f"tuned/{site}"] for site in given.sites}
    steps = given.stream.batches(plan.batch_tokens, plan.epochs)
    configs = study_dictionaries(widths, given.sites[0], plan, seed, steps)
    trained = train_dictionaries(
        given.stream, configs, plan, directory, inputs=given.content, device=str(given.device), progress=progress
    )
    found = trained.load()
    restored = reconstruction_of(found, given.held_out, plan.compared_l0)
    metrics = [restored.metrics]
    for side in SIDES:
        model, texts = given.reader(side)
        of_side = {name: one for name, one in found.items() if one.config.sites[0].startswith(f"{side}/")}
        metrics.append(loss_recovered_of(model, of_side, texts))
    pairs = comparisons({name: trained_as(one.config) for name, one in found.items()})
    alike = similarities(pairs, found, restored.alive, covariances(given.held_out))
    return DictionaryStudy(trained, found, pl.concat(metrics), alike)
