"""What a study needs of its models and of the disk, asked before anything is trained.

Everything that would otherwise be found out hours later is one line here: sites, context, tokenizer, padding, space.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tracebank_models.language_model.layer_divergence import mlp_taps
from tracebank_models.language_model.loading import LoadedModel
from tracebank_models.language_model.prompts import PromptLengths
from tracebank_models.language_model.sampling import check_causal, check_padding
from tracebank_models.language_model.text_limits import context_length
from tracebank_models.language_model.tokenizer import padding_id
from tracebank_models.reward_probe.study import SIDES, Effort, Method

_BYTES_OF_A_CHECKPOINT: Final = 12
"""Per parameter: its fp32 weight and the optimizer's two numbers."""
_BYTES_OF_AN_ACTIVATION: Final = {"float16": 2, "float32": 4}
_TOLD_APART: Final = 0.9
"""Least share of the lexicon's words that the tokenizer has to tell apart."""


def check_model(loaded: LoadedModel, effort: Effort, words: Iterable[str]) -> None:
    """Refuse a model that a study could not be made with.

    Args:
        loaded: The model.
        effort: How much is done with it.
        words: Of the lexicon.

    Raises:
        ValueError: A block has no MLP, the context is too short, padding or later tokens change what it says, or its
            tokenizer has no padding or does not tell words apart.
    """
    padding_id(loaded.tokenizer)
    _check_context(loaded, effort)
    _check_words(loaded, sorted(set(words)))
    mlp_taps(loaded.model)
    check_causal(loaded.model)
    check_padding(loaded.model, loaded.tokenizer)


def _check_context(loaded: LoadedModel, effort: Effort) -> None:
    lengths, context = PromptLengths(), context_length(loaded.model)
    needed = max(effort.max_tokens, lengths.prompt_longest + lengths.response_longest)
    if context is not None and context < needed:
        raise ValueError(
            f"model: {loaded.facts.model} reads {context} tokens at most; allowed: {needed} or more, the length of a"
            " study's documents"
        )


def _check_words(loaded: LoadedModel, words: list[str]) -> None:
    encoded = loaded.tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
    apart = len({tuple(ids) for ids in encoded if ids})
    if apart < _TOLD_APART * len(words):
        raise ValueError(
            f"tokenizer: that of {loaded.facts.model} tells {apart} of the lexicon's {len(words)} words apart; allowed:"
            " one that reads English text"
        )


def needed_bytes(loaded: LoadedModel, effort: Effort, method: Method) -> int:
    """What checkpoints and activations of a study take on the disk, about."""
    facts = loaded.facts
    sites = min(effort.layers, facts.layers) * len(SIDES)
    activations = (
        effort.documents * effort.max_tokens * sites * facts.hidden_size * _BYTES_OF_AN_ACTIVATION[effort.dtype]
    )
    if method == "loaded":
        return activations
    settings = effort.ppo if method == "ppo" else effort.dpo
    every = settings.checkpoint_every
    checkpoints = math.ceil(settings.steps / every) if every else 1
    return activations + checkpoints * facts.parameters * _BYTES_OF_A_CHECKPOINT


def check_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        ValueError: It has less.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"disk: {folder} has {free / 2**30:.1f} GiB free; the study's checkpoints and activations need about"
            f" {needed / 2**30:.1f} GiB"
        )
