"""What a model writes when it is left to itself: completions of the starts of reviews, and the words in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tracebank_models.language_model.hooks import evaluating
from tracebank_models.language_model.lexicon import word_tokens
from tracebank_models.language_model.prompts import PromptSource, step_generator
from tracebank_models.language_model.sampling import sample_completions
from tracebank_models.language_model.token_blocks import encode_documents

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def emitted_words(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: PromptSource,
    *,
    texts: int,
    seed: int,
    batch: int = 64,
) -> Counter[str]:
    """How often each word stands in sampled responses, lower-cased.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        prompts: Where prompts and response lengths are drawn from.
        texts: Responses to sample.
        seed: Of the sampling.
        batch: Responses at once.
    """
    found: Counter[str] = Counter()
    with evaluating(model):
        for step, first in enumerate(range(0, texts, batch)):
            drawn = prompts.batch(min(batch, texts - first), step)
            chance = step_generator(model.device, seed, step)
            ids = drawn.ids, drawn.mask
            done = sample_completions(model, tokenizer, ids, drawn.response_lengths, generator=chance)
            for text in done.texts(tokenizer):
                found.update(word_tokens(text))
    return found


def review_starts(
    tokenizer: PreTrainedTokenizerBase, reviews: Sequence[str], *, tokens: int, limit: int
) -> list[list[int]]:
    """The first tokens of reviews as prompts, each once: greedy continuations of equal prompts would be equal.

    Args:
        tokenizer: The model's tokenizer.
        reviews: Texts; those with fewer tokens are left out.
        tokens: Tokens of a prompt.
        limit: Most prompts.

    Raises:
        ValueError: No review is long enough.
    """
    found: dict[tuple[int, ...], None] = {}
    for ids in _long_enough(tokenizer, reviews, tokens):
        found.setdefault(tuple(ids))
    if not found:
        raise ValueError(f"reviews: none of {len(reviews)} has {tokens} tokens: allowed are longer ones")
    return [list(ids) for ids in list(found)[:limit]]


def _long_enough(tokenizer: PreTrainedTokenizerBase, reviews: Sequence[str], tokens: int) -> Iterator[list[int]]:
    for ids in encode_documents(tokenizer, reviews):
        if len(ids) >= tokens:
            yield ids[:tokens].tolist()
