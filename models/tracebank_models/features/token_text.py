"""Texts of tokens and of their surroundings, looked up once for each token of the vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.features.streams import TokenPlaces

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_WORD_START = "\u2581"
"""How SentencePiece writes a space before a word; decoding a token alone drops it."""


def token_texts(tokenizer: PreTrainedTokenizerBase) -> pl.Series:
    """Text of every token of the vocabulary, by id; bytes that are no character alone are shown as U+FFFD."""
    ids = list(range(len(tokenizer)))
    pieces = tokenizer.convert_ids_to_tokens(ids)
    texts = tokenizer.batch_decode([[one] for one in ids], clean_up_tokenization_spaces=False)
    spaced = [
        f" {text}" if str(piece).startswith(_WORD_START) and not text.startswith(" ") else text
        for piece, text in zip(pieces, texts, strict=True)
    ]
    return pl.Series("token", spaced, pl.String)


def surroundings(places: TokenPlaces, rows: NDArray[np.int64], texts: pl.Series, reach: int = 10) -> pl.DataFrame:
    """Tokens with the text before and after them in their documents.

    Args:
        places: Every token of the stream, documents one after the other.
        rows: Numbers of the tokens that are asked for.
        texts: `token_texts`.
        reach: Tokens to each side.

    Returns:
        Columns row, document, position, token, before and after, in the order of `rows`.
    """
    before = [_text_at(places, rows, texts, offset) for offset in range(-reach, 0)]
    after = [_text_at(places, rows, texts, offset) for offset in range(1, reach + 1)]
    return pl.DataFrame(
        {
            "row": rows,
            "document": places.documents[rows],
            "position": places.positions[rows],
            "token": texts.gather(places.token_ids[rows]),
        }
    ).with_columns(
        pl.concat_str(before, ignore_nulls=True).alias("before"), pl.concat_str(after, ignore_nulls=True).alias("after")
    )


def _text_at(places: TokenPlaces, rows: NDArray[np.int64], texts: pl.Series, offset: int) -> pl.Series:
    """Text of the tokens so far away, null where that is another document."""
    at = np.clip(rows + offset, 0, len(places.token_ids) - 1)
    inside = (places.documents[at] == places.documents[rows]) & (at == rows + offset)
    ids = pl.Series(places.token_ids[at]).set(pl.Series(~inside), None)
    return texts.gather(ids)
