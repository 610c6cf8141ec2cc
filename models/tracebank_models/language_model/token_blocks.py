"""Documents as token ids: packed into blocks of one length for training, or padded into batches with their mask.

Every token keeps the document it is from and its position there. No model is known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from .corpus import checked_corpus
from .tokenizer import padding_id

_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class TokenBlocks:
    """A corpus as blocks of tokens, documents following each other with an end-of-text token between them."""

    ids: npt.NDArray[np.int32]
    """Token ids, shape [blocks, block_length]."""
    documents: npt.NDArray[np.int32]
    """Row of the corpus that each token is from, shape [blocks, block_length]."""
    positions: npt.NDArray[np.int32]
    """Position of each token in its document, shape [blocks, block_length]."""

    def content_hash(self) -> str:
        """SHA-256 (hex) of shape and ids."""
        digest = hashlib.sha256(str(self.ids.shape).encode())
        digest.update(np.ascontiguousarray(self.ids).tobytes())
        return digest.hexdigest()


def encode_documents(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
    """Token ids of each text, without special tokens.

    Raises:
        ValueError: See `check_texts`.
    """
    encoded: list[npt.NDArray[np.int32]] = []
    for start in range(0, len(texts), _CHUNK):
        check_texts(texts[start : start + _CHUNK], start)
        batch = tokenizer(list(texts[start : start + _CHUNK]), add_special_tokens=False, return_attention_mask=False)
        encoded.extend(np.asarray(ids, dtype=np.int32) for ids in batch["input_ids"])
    return encoded


def check_texts(texts: Sequence[str], first: int = 0) -> None:
    """Refuse texts with half of a surrogate pair, which is no character and in no encoding.

    Args:
        texts: The texts.
        first: Number of the first one.

    Raises:
        ValueError: A text has one; the line says which, and where.
    """
    for number, text in enumerate(texts, start=first):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise ValueError(
                f"texts: number {number} has a lone surrogate (U+{code:04X}) at character {error.start}, which is no"
                " character; allowed: text.encode('utf-8', 'replace').decode(), or another reading of the file"
            ) from None


def token_blocks(tokenizer: PreTrainedTokenizerBase, corpus: pl.DataFrame, block_length: int) -> TokenBlocks:
    """Pack a corpus into blocks; the tokens left over at the end, fewer than a block, are dropped.

    Raises:
        ValueError: The corpus is none or has fewer tokens than one block, the length is below 2, or the tokenizer has
            no end-of-text token.
    """
    if block_length < 2:
        raise ValueError(f"block_length: {block_length} is not allowed; allowed: a whole number from 2")
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise ValueError("tokenizer: it has no end-of-text token; allowed: a tokenizer with one")
    documents = encode_documents(tokenizer, checked_corpus(corpus)["text"].to_list())
    lengths = np.array([len(ids) + 1 for ids in documents])
    if lengths.sum() < block_length:
        raise ValueError(f"corpus: {lengths.sum()} tokens are not allowed; allowed: at least one block, {block_length}")
    end_of_text = np.array([end], dtype=np.int32)
    ids = np.concatenate([part for ids in documents for part in (ids, end_of_text)])
    document = np.repeat(np.arange(len(documents), dtype=np.int32), lengths)
    starts = np.cumsum(lengths) - lengths
    position = (np.arange(len(ids)) - np.repeat(starts, lengths)).astype(np.int32)
    kept = len(ids) // block_length * block_length
    return TokenBlocks(*(array[:kept].reshape(-1, block_length) for array in (ids, document, position)))


def padded_batch(
    sequences: Sequence[npt.NDArray[np.int32]], padding: int, left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences of different lengths as one batch.

    Args:
        sequences: Token ids of each sequence.
        padding: Id to fill with.
        left: Whether the padding stands before the tokens (for generation) and not after them.

    Returns:
        Ids and mask (1 where there is a token), both int64 [sequences, longest].

    Raises:
        ValueError: There is no sequence, or one has no token.
    """
    if not sequences or min(len(ids) for ids in sequences) == 0:
        raise ValueError("sequences: an empty one, or none at all, is not allowed; allowed: at least one token in each")
    width = max(len(ids) for ids in sequences)
    batch = np.full((len(sequences), width), padding, dtype=np.int64)
    mask = np.zeros((len(sequences), width), dtype=np.int64)
    for row, ids in enumerate(sequences):
        part = slice(width - len(ids), width) if left else slice(0, len(ids))
        batch[row, part] = ids
        mask[row, part] = 1
    return torch.from_numpy(batch), torch.from_numpy(mask)


def padded_texts(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], longest: int = 256, rows: int = 16
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Texts as right-padded batches of so many rows, each text cut at `longest` tokens; see `padded_batch`.

    Raises:
        ValueError: A text has no token.
    """
    ids, padding = [one[:longest] for one in encode_documents(tokenizer, texts)], padding_id(tokenizer)
    return [padded_batch(ids[at : at + rows], padding) for at in range(0, len(ids), rows)]
