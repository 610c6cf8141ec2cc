"""What a model writes greedily while features are held at zero: an illustration, from which no effect is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch

from tracebank_models.activations.sites import resolve_sites
from tracebank_models.features.sparse_coder import SparseCoder
from tracebank_models.language_model.hooks import evaluating
from tracebank_models.language_model.rewards import Reward
from tracebank_models.language_model.sampling import sample_completions
from tracebank_models.language_model.token_blocks import padded_batch
from tracebank_models.language_model.tokenizer import padding_id
from tracebank_models.reward_probe.ablation import Condition, under

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def generate_greedily(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    new_tokens: int,
    batch: int = 64,
) -> list[str]:
    """Continuations of prompts, each token the likeliest one.

    Args:
        model: The model.
        tokenizer: Turns the new tokens into text.
        prompts: Token ids, one or more each; they are padded on the left and the padding is masked.
        new_tokens: Tokens to generate.
        batch: Prompts at once.

    Returns:
        The new text of each prompt.

    Raises:
        ValueError: There is no prompt or an empty one, or see `sample_completions`.
    """
    if not prompts or any(len(prompt) == 0 for prompt in prompts):
        raise ValueError("prompts: one is empty or there is none: at least one token in each is needed")
    rows, texts = [np.asarray(prompt, np.int32) for prompt in prompts], []
    with evaluating(model):
        for first in range(0, len(rows), batch):
            group = padded_batch(rows[first : first + batch], padding_id(tokenizer), left=True)
            lengths = torch.full((len(group[0]),), new_tokens)
            texts += sample_completions(model, tokenizer, group, lengths, temperature=0).texts(tokenizer)
    return texts


def write_under(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    coders: Mapping[str, SparseCoder],
    conditions: Mapping[str, Condition],
    prompts: Sequence[Sequence[int]],
    reward: Reward,
    new_tokens: int,
) -> pl.DataFrame:
    """Continue prompts under conditions of one choice each.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        coders: The dictionary of each site.
        conditions: By name.
        prompts: Token ids of prompts.
        reward: Of the new texts.
        new_tokens: Tokens to generate.

    Returns:
        Columns condition, draw, prompt, prompt_text, text and reward.

    Raises:
        ValueError: See `generate_greedily`.
    """
    sites = {site.name: site for site in resolve_sites(model, list(coders))}
    given = tokenizer.batch_decode([list(ids) for ids in prompts])
    frames = []
    for name, condition in conditions.items():
        with under(model, sites, coders, condition):
            texts = generate_greedily(model, tokenizer, prompts, new_tokens=new_tokens)
        columns = {"prompt": range(len(texts)), "prompt_text": given, "text": texts, "reward": reward(texts)}
        frame = pl.DataFrame(columns, schema_overrides={"prompt": pl.Int64})
        frames.append(frame.select(pl.lit(name).alias("condition"), pl.lit(0, pl.Int64).alias("draw"), pl.all()))
    return pl.concat(frames)
