"""A corpus as a model sees it: token ids of documents, with a hash of exactly those; no text and no model is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracebank_models.language_model.text_limits import context_length, embedding_rows
from tracebank_models.language_model.token_blocks import check_texts
from tracebank_models.language_model.tokenizer import tokenizer_hash

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TEXTS_AT_ONCE = 1_000


@dataclass(frozen=True)
class TokenCorpus:
    """Token ids of documents, one after the other."""

    token_ids: NDArray[np.int32]
    """Tokens of all documents, shape (tokens,)."""
    starts: NDArray[np.int64]
    """Where each document starts, and where the last one ends: shape (documents + 1,)."""
    document_ids: NDArray[np.int64]
    """Number of each document in what it came from, shape (documents,): texts without a token have left a gap."""
    tokenizer_hash: str
    """`tokenizer_hash` of the tokenizer that made the ids."""

    def __post_init__(self) -> None:
        """Refuse an empty corpus."""
        if self.token_ids.size == 0:
            raise ValueError("corpus: 0 tokens: at least one document with a token is needed")

    @classmethod
    def from_texts(
        cls, texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int = 256
    ) -> TokenCorpus:
        """Tokenize texts, each cut to its first `max_tokens` tokens, without special tokens.

        Raises:
            ValueError: No text has a token, one is no text that can be encoded, or `max_tokens` is not positive.
        """
        if max_tokens < 1:
            raise ValueError(f"max_tokens: {max_tokens} is not allowed: 1 or more")
        rows, lengths = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        remaining = iter(texts)
        while chunk := list(islice(remaining, _TEXTS_AT_ONCE)):
            check_texts(chunk, sum(map(len, lengths)))
            ids = tokenizer(chunk, add_special_tokens=False, truncation=True, max_length=max_tokens)["input_ids"]
            lengths.append(np.fromiter(map(len, ids), np.int64, len(ids)))
            rows.append(np.concatenate([np.asarray(one, np.int32) for one in ids]))
        sizes = np.concatenate(lengths)
        kept = np.flatnonzero(sizes)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[kept])])
        return cls(np.concatenate(rows), starts, kept.astype(np.int64), tokenizer_hash(tokenizer))

    @cached_property
    def hash(self) -> str:
        """Hash of the token ids, of where documents start, of their numbers and of the tokenizer."""
        digest = hashlib.sha256(self.tokenizer_hash.encode())
        for column in (self.token_ids, self.starts, self.document_ids):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return int(self.document_ids.size)

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return int(self.token_ids.size)

    def check_model(self, model: PreTrainedModel, expected_tokenizer: str | None = None) -> None:
        """Refuse a model that these token ids are not for.

        Args:
            model: The model that is to read them.
            expected_tokenizer: `tokenizer_hash` of the model's tokenizer, where it is known.

        Raises:
            ValueError: The tokenizer is another one, an id is beyond the model's embedding, or a document is longer
                than the model's context.
        """
        if expected_tokenizer is not None and expected_tokenizer != self.tokenizer_hash:
            raise ValueError(
                f"tokenizer: the corpus was tokenized by {self.tokenizer_hash[:12]}: allowed is the model's own,"
                f" {expected_tokenizer[:12]}"
            )
        rows, largest = embedding_rows(model), int(self.token_ids.max())
        if largest >= rows:
            raise ValueError(
                f"tokenizer: the corpus holds token {largest}: allowed are 0 to {rows - 1}, the model's vocabulary"
            )
        lengths, context = np.diff(self.starts), context_length(model)
        if context is not None and int(lengths.max()) > context:
            longest = int(lengths.argmax())
            raise ValueError(
                f"corpus: document {int(self.document_ids[longest])} has {int(lengths[longest])} tokens: allowed are at"
                f" most {context}, the model's context ({int((lengths > context).sum())} documents are longer);"
                f" max_tokens={context} cuts them"
            )

    def chosen(self, which: NDArray[np.bool_]) -> TokenCorpus:
        """The documents for which a mask (documents,) holds.

        Raises:
            ValueError: There is none.
        """
        lengths = np.diff(self.starts)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[which])])
        ids = self.token_ids[np.repeat(which, lengths)]
        return TokenCorpus(ids, starts, self.document_ids[which], self.tokenizer_hash)

    def windows(self, tokens: int) -> Iterator[range]:
        """Ranges of whole documents of at most that many tokens, or of one document where it is longer."""
        first = 0
        while first < self.documents:
            last = int(np.searchsorted(self.starts, self.starts[first] + tokens, side="right")) - 1
            last = min(max(last, first + 1), self.documents)
            yield range(first, last)
            first = last
