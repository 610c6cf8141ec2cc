"""Substitutes of words out of a corpus: what stands between the same neighbours, the nearest in meaning first.

They take the role of a masked language model's predictions (`masked_language_model`) where none is at hand: the corpus
says what fits there, the model's own input embedding what is near. They know one token on each side, no sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.activations.corpus import TokenCorpus

from .windows import Ids
from .words import MaskedWord

_CANDIDATES: Final = 32
"""Most substitutes of a word; those that are no words or the word itself are left out by the caller."""


class CorpusSubstitutes:
    """Tokens that the corpus has somewhere after a word's left neighbour and somewhere before its right one."""

    def __init__(self, corpus: TokenCorpus, texts: Sequence[str], embedding: Tensor) -> None:
        """Read which token follows which.

        Args:
            corpus: Train documents alone.
            texts: Text of each token, by id.
            embedding: A row a token, (tokens, width): the model's input embedding.
        """
        self._texts = texts
        rows = embedding.detach().float().cpu()
        self._embedding = torch.nn.functional.normalize(rows, dim=1).numpy()
        size = len(texts)
        left, right = corpus.token_ids[:-1].astype(np.int64), corpus.token_ids[1:].astype(np.int64)
        inside = np.ones(corpus.tokens - 1, bool)
        inside[corpus.starts[1:-1] - 1] = False  # the next token is another document's
        words = np.fromiter((text.strip().isalpha() for text in texts), bool, size)
        self._after = _Neighbours(left[inside], right[inside], words, size)
        self._before = _Neighbours(right[inside], left[inside], words, size)
        self._known: dict[tuple[int | None, int | None, Ids], list[str]] = {}

    def __call__(self, words: Sequence[MaskedWord], /) -> list[list[str]]:
        """Substitutes of each word; none where it has no neighbour."""
        return [self._substitutes(word) for word in words]

    def _substitutes(self, word: MaskedWord) -> list[str]:
        key = word.left, word.right, word.ids
        if key not in self._known:
            self._known[key] = [self._texts[token].strip() for token in self._nearest(word)]
        return self._known[key]

    def _nearest(self, word: MaskedWord) -> list[int]:
        sides = [
            neighbours.of(token)
            for neighbours, token in ((self._after, word.left), (self._before, word.right))
            if token is not None
        ]
        if not sides:
            return []
        found = sides[0] if len(sides) == 1 else np.intersect1d(sides[0], sides[1], assume_unique=True)
        middle = self._embedding[list(word.ids)].mean(0)
        order = np.argsort(-(self._embedding[found] @ middle), kind="stable")
        tokens: list[int] = found[order][:_CANDIDATES].tolist()
        return tokens


class _Neighbours:
    """For each token the words on one side of it."""

    def __init__(self, of: NDArray[np.int64], other: NDArray[np.int64], words: NDArray[np.bool_], size: int) -> None:
        pairs = np.unique((of * size + other)[words[other]])
        self._others = pairs % size
        self._starts = np.searchsorted(pairs // size, np.arange(size + 1))

    def of(self, token: int) -> NDArray[np.int64]:
        return self._others[self._starts[token] : self._starts[token + 1]]
