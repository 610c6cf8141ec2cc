"""Tuning a loaded model with a known reward, by either method: prompts, pairs, the folder, and the training itself.

The methods are in `proximal_policy` and `direct_preference`; here is what both need around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from .corpus import Document, corpus_frame
from .direct_preference import pairs_hash, sampled_preferences, tune_with_dpo
from .fingerprint import settings_hash
from .loading import LoadedModel
from .preference_sets import PreferenceText, encoded_pairs
from .prompts import PromptSource
from .proximal_policy import tune_with_ppo
from .rewards import Reward
from .text_limits import context_length
from .training_loop import OnStep, checkpoints
from .training_settings import DPOConfiguration, PPOConfiguration

CLEAR_GAP: Final = 0.5
"""Difference in reward from which a pair says something about valence: about that of one strong word."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of tuning."""

    curve: pl.DataFrame
    """Rows as `tune_with_ppo` or `tune_with_dpo` give them."""
    checkpoints: list[tuple[int, Path]]
    """Steps and folder of each checkpoint that was kept; the last is the tuned model."""


def tune_ppo(
    base: LoadedModel,
    documents: Iterable[Document],
    reward: Reward,
    configuration: PPOConfiguration,
    directory: Path,
    on_step: OnStep | None = None,
) -> Tuned:
    """Tune with PPO, in a folder for these settings, this base and these prompts; resumes there.

    Args:
        base: The model; it is changed in place.
        documents: Where prompts are cut from.
        reward: Reward of responses.
        configuration: How.
        directory: Below it the folder is made.
        on_step: Called with the row of each step.

    Raises:
        ValueError: See `tune_with_ppo` and `PromptSource`.
    """
    prompts = PromptSource(base.tokenizer, corpus_frame(documents), seed=configuration.seed)
    parts = (configuration, base.facts.weights_hash, prompts.content_hash(), reward.content_hash())
    folder = directory / settings_hash(*parts)[:12]
    curve = tune_with_ppo(base.model, base.tokenizer, prompts, reward, configuration, folder, on_step)
    return Tuned(curve, checkpoints(folder))


def tune_dpo(
    base: LoadedModel,
    documents: Iterable[Document],
    reward: Reward,
    configuration: DPOConfiguration,
    preferences: int | Sequence[PreferenceText],
    directory: Path,
    on_step: OnStep | None = None,
) -> Tuned:
    """Tune with DPO on given pairs, or on such that the base samples and the reward ranks; resumes as `tune_ppo`.

    Args:
        base: The model; it is changed in place.
        documents: Where prompts are cut from.
        reward: Ranks sampled pairs, and measures.
        configuration: How.
        preferences: The pairs, or how many batches of 64 are sampled.
        directory: Below it the folder is made.
        on_step: Called with the row of each step.

    Raises:
        ValueError: See `tune_with_dpo` and `sampled_preferences`.
    """
    prompts = PromptSource(base.tokenizer, corpus_frame(documents), seed=configuration.seed)
    if isinstance(preferences, int):
        pairs = sampled_preferences(
            base.model, base.tokenizer, prompts, reward, preferences, seed=configuration.seed, smallest_gap=CLEAR_GAP
        )
    else:
        pairs = encoded_pairs(base.tokenizer, preferences, context_length(base.model))
    folder = directory / settings_hash(configuration, base.facts.weights_hash, pairs_hash(pairs))[:12]
    curve = tune_with_dpo(base.model, base.tokenizer, pairs, prompts, reward, configuration, folder, on_step)
    return Tuned(curve, checkpoints(folder))
