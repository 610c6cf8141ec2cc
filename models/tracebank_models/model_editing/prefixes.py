"""Texts that stand before a prompt while a value is searched, written by the model itself, the same for a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.language_model.hooks import evaluating
from tracebank_models.language_model.sampling import sample_completions
from tracebank_models.language_model.token_blocks import padded_batch

from .settings import START_WORDS, PrefixPlan


def context_prefixes(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, plan: PrefixPlan, seed: int = 0
) -> tuple[str, ...]:
    """Texts as a model writes them, each with ". " at its end.

    Args:
        model: The model before its first edit.
        tokenizer: Its tokenizer.
        plan: How many of which length, and how they begin.
        seed: Of chance.

    Raises:
        ValueError: The tokenizer has no start or end of text to begin with.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    written: list[str] = []
    for length, count in plan.lengths:
        starts = [_start(tokenizer, word) for word in (START_WORDS if plan.start_words else (None,))]
        chosen = [starts[number % len(starts)] for number in range(count)]
        written.extend(_written(model, tokenizer, chosen, length, plan.top_k, generator))
    return tuple(f"{text}. " for text in written)


def _start(tokenizer: PreTrainedTokenizerBase, word: str | None) -> list[int]:
    if word is not None:
        return list(tokenizer(word, add_special_tokens=False)["input_ids"])
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if not isinstance(first, int):
        raise ValueError("tokenizer: it has no start or end of text for prefixes to begin with; allowed: one with it")
    return [first]


def _written(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    starts: Sequence[list[int]],
    length: int,
    top_k: int,
    generator: torch.Generator,
) -> list[str]:
    """Texts of so many tokens in all, the start among them."""
    ids, mask = padded_batch([np.array(one, dtype=np.int32) for one in starts], 0, left=True)
    lengths = torch.tensor([max(1, length - len(one)) for one in starts])
    with evaluating(model):
        found = sample_completions(model, tokenizer, (ids, mask), lengths, generator, top_k=top_k)
    texts = zip(starts, found.response_ids.tolist(), found.lengths.tolist(), strict=True)
    return [_clean(tokenizer, [*start, *response[:count]]) for start, response, count in texts]


def _clean(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = str(tokenizer.decode(ids, skip_special_tokens=True))
    return " ".join(text.replace("{", " ").replace("}", " ").split())
