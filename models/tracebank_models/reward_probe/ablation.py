"""Ablation of features: a site's output becomes its dictionary's reconstruction with chosen features at zero.

Beside it run the untouched model, the reconstruction alone, and random features of the same number: what the chosen
ones do is told apart from what any reconstruction, and any features, do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tracebank_models.activations.capture import site_widths
from tracebank_models.activations.sites import replaced, resolve_sites
from tracebank_models.features.sparse_coder import SparseCoder, encoded
from tracebank_models.language_model.hooks import evaluating
from tracebank_models.language_model.sampling import sample_completions
from tracebank_models.language_model.token_blocks import padded_batch
from tracebank_models.language_model.tokenizer import padding_id

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Reward = Callable[[Sequence[str]], Sequence[float]]
"""The reward of each text."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """What a run does: `none`, `reconstruction`, `features` or `random_features`."""

    condition: str
    seed: int | None
    """Of the random features."""
    features: Mapping[str, Tensor]
    """By site, the features at zero, int64; a site that is not here is left alone."""


@dataclass(frozen=True, slots=True)
class AblationResult:
    """What all runs gave."""

    generations: pl.DataFrame
    """Columns condition, seed, prompt (number), text and reward."""
    summary: pl.DataFrame
    """Columns condition, seed, features, count, mean_reward, difference (to `none`, over the same prompts) and
    standard_error (of the difference)."""


def ablations(
    chosen: Mapping[str, Tensor], widths: Mapping[str, int], *, seeds: Sequence[int], among: Mapping[str, Tensor] | None
) -> Iterator[Ablation]:
    """The four conditions, the last once a seed.

    Args:
        chosen: Features to ablate by site.
        widths: How many features the dictionary of each site has.
        seeds: Of the random features.
        among: What random features are drawn from (those that are alive, say); all where it is None. The chosen ones
            are never drawn.

    Raises:
        ValueError: A feature is beyond its dictionary, is there twice, or there are too few others to draw from.
    """
    for site, features in chosen.items():
        if features.numel() and (int(features.min()) < 0 or int(features.max()) >= widths[site]):
            raise ValueError(
                f"features: {features.tolist()[:5]}... of {site!r} is not allowed: 0 to {widths[site] - 1}"
            )
        if len(set(features.tolist())) != features.numel():
            raise ValueError(f"features: one of {site!r} is there twice: allowed is each once")
    yield Ablation("none", None, {})
    yield Ablation("reconstruction", None, {site: torch.empty(0, dtype=torch.int64) for site in chosen})
    yield Ablation("features", None, dict(chosen))
    for seed in seeds:
        chance = torch.Generator().manual_seed(seed)
        drawn: dict[str, Tensor] = {}
        for site, features in chosen.items():
            pool = among[site] if among is not None else torch.arange(widths[site])
            others = pool[~torch.isin(pool, features)]
            if others.numel() < features.numel():
                raise ValueError(
                    f"features: {features.numel()} of {site!r} leave {others.numel()} to draw a control from: allowed"
                    " are at most half"
                )
            drawn[site] = others[torch.randperm(others.numel(), generator=chance)[: features.numel()]]
        yield Ablation("random_features", seed, drawn)


def reconstruct_without(site: str, coder: SparseCoder, features: Tensor) -> Callable[[Tensor], Tensor]:
    """A function of a site's output (sequences, positions, width): its reconstruction without features.

    Raises:
        ValueError: (when it is called) the dictionary is of another width.
    """

    def change(output: Tensor) -> Tensor:
        flat = output.flatten(0, 1)
        codes = encoded(site, coder, flat)
        codes = codes.index_fill(1, features.to(codes.device), 0.0)
        restored = coder.decode(codes)
        if restored.shape != flat.shape:
            raise ValueError(
                f"dictionary: that of {site!r} gives back {tuple(restored.shape)}: allowed is {tuple(flat.shape)}"
            )
        return restored.to(output.dtype).view_as(output)

    return change


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


def ablate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    coders: Mapping[str, SparseCoder],
    chosen: Mapping[str, Tensor],
    reward: Reward,
    *,
    new_tokens: int = 20,
    seeds: Sequence[int] = (0, 1, 2),
    among: Mapping[str, Tensor] | None = None,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> AblationResult:
    """Generate under every condition and measure the reward of what comes.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        prompts: Token ids of prompts.
        coders: The dictionary of each site.
        chosen: Features to ablate, by site.
        reward: Reward of the new texts.
        new_tokens: Tokens to generate.
        seeds: Of the random features: a run each.
        among: What random features are drawn from.
        batch: Prompts at once.
        progress: Told how many conditions are done, and how many there are.

    Raises:
        ValueError: A site has no dictionary, or see `ablations` and `reconstruct_without`.
    """
    missing = [site for site in chosen if site not in coders]
    if missing or not chosen:
        raise ValueError(f"features: {missing} have no dictionary: allowed are {', '.join(coders)}")
    sites = {site.name: site for site in resolve_sites(model, list(chosen))}
    widths = {site: _features(model, site, coders[site]) for site in chosen}
    runs = list(ablations(chosen, widths, seeds=seeds, among=among))
    frames = []
    for number, run in enumerate(runs):
        changes = {sites[site]: reconstruct_without(site, coders[site], run.features[site]) for site in run.features}
        with replaced(model, changes):
            texts = generate_greedily(model, tokenizer, prompts, new_tokens=new_tokens, batch=batch)
        frames.append(_rows(run, texts, reward(texts)))
        if progress is not None:
            progress(number + 1, len(runs))
    generations = pl.concat(frames)
    counts = {(run.condition, run.seed): sum(f.numel() for f in run.features.values()) for run in runs}
    return AblationResult(generations, _summary(generations, counts))


def _features(model: PreTrainedModel, site: str, coder: SparseCoder) -> int:
    """How many features a dictionary has, found by encoding one token; this also tells a wrong width early."""
    width = site_widths(model, resolve_sites(model, [site]))[site]
    with torch.no_grad():
        return int(encoded(site, coder, torch.zeros(1, width, dtype=model.dtype, device=model.device)).shape[1])


def _rows(run: Ablation, texts: Sequence[str], rewards: Sequence[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "condition": [run.condition] * len(texts),
            "seed": [run.seed] * len(texts),
            "prompt": range(len(texts)),
            "text": list(texts),
            "reward": list(rewards),
        },
        schema={
            "condition": pl.String,
            "seed": pl.Int64,
            "prompt": pl.Int64,
            "text": pl.String,
            "reward": pl.Float64,
        },
    )


def _summary(generations: pl.DataFrame, counts: Mapping[tuple[str, int | None], int]) -> pl.DataFrame:
    plain = generations.filter(condition="none").select("prompt", pl.col("reward").alias("untouched"))
    paired = generations.join(plain, on="prompt").with_columns(
        (pl.col("reward") - pl.col("untouched")).alias("difference")
    )
    found = paired.group_by("condition", "seed", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("count"),
        pl.col("reward").mean().alias("mean_reward"),
        pl.col("difference").mean(),
        (pl.col("difference").std() / pl.len().sqrt()).alias("standard_error"),
    )
    numbers = [counts[condition, seed] for condition, seed in found.select("condition", "seed").iter_rows()]
    return found.insert_column(2, pl.Series("features", numbers, pl.Int64))
