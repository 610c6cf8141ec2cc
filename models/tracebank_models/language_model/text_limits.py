"""What a model says about the texts that it reads and writes: how long, which tokens, and where they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_PLACEHOLDERS = ("image", "audio", "video")


def context_length(model: PreTrainedModel) -> int | None:
    """Most tokens of a sequence; None where the configuration has no limit."""
    config = model.config.get_text_config()
    found = (getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len"))
    return next((int(value) for value in found if isinstance(value, int) and value > 0), None)


def end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids that end a response: all of the model's generation configuration, and the tokenizer's end of text."""
    found: set[int] = set()
    for ids in (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        found.update([ids] if isinstance(ids, int) else ids or ())
    return sorted(found)


def embedding_rows(model: PreTrainedModel) -> int:
    """How many ids a model has vectors for."""
    return int(cast(nn.Embedding, model.get_input_embeddings()).weight.shape[0])


def check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer with ids that the model has no vector for.

    Stand-ins for images, sound and video, which no text holds, may lie beyond (as Gemma 3's does).

    Raises:
        ValueError: It has such ids.
    """
    rows, special = embedding_rows(model), tokenizer.special_tokens_map
    stand_ins = {str(token) for name, token in special.items() if name.startswith(_PLACEHOLDERS)}
    vocabulary = tokenizer.get_vocab()
    beyond = sorted(
        (number, token) for token, number in vocabulary.items() if number >= rows and token not in stand_ins
    )
    if beyond:
        size = max(vocabulary.values()) + 1
        named = ", ".join(repr(token) for _, token in beyond[:3])
        raise ValueError(
            f"tokenizer: it has {size} tokens, and the model's embedding {rows} rows: {named} have none; allowed: the"
            f" tokenizer that the model was trained with, or a model saved after resize_token_embeddings({size})"
        )
