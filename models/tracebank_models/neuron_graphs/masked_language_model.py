"""Substitutes of words that a masked language model predicts, as the papers have them of DistilBERT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from .words import MaskedWord

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SMALLEST_PROBABILITY: Final = 1e-5
"""Less likely predictions are no substitutes."""
_CANDIDATES: Final = 32


class MaskedLanguageModel:
    """A masked language model with its tokenizer, such as `distilbert-base-uncased`."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        casings: Mapping[str, str] | None = None,
        *,
        batch_size: int = 64,
    ) -> None:
        """Take a model where it lies.

        Args:
            model: `AutoModelForMaskedLM`.
            tokenizer: Its tokenizer.
            casings: By word in lower case, how it is usually written: see `usual_casings`.
            batch_size: Texts at once.

        Raises:
            ValueError: The tokenizer has no mask.
        """
        if tokenizer.mask_token is None:
            raise ValueError("masked language model: its tokenizer has no mask token; allowed: one with a mask")
        # Imported here: transformers' pipelines are slow to import, and few need them.
        from transformers import pipeline

        self._mask, self._casings = str(tokenizer.mask_token), casings or {}
        self._fill = pipeline(
            "fill-mask",
            model=model,
            tokenizer=cast(Any, tokenizer),
            top_k=min(_CANDIDATES, len(tokenizer)),
            device=model.device,
        )
        self._batch_size = batch_size

    @torch.no_grad()
    def __call__(self, words: Sequence[MaskedWord], /) -> list[list[str]]:
        """Predictions for each word, the likeliest first, in their usual case."""
        mask = self._mask
        asked = [f"{word.before.replace(mask, '')}{mask}{word.after.replace(mask, '')}" for word in words]
        distinct = list(dict.fromkeys(asked))
        answers: Any = self._fill(distinct, batch_size=self._batch_size) if distinct else []
        if len(distinct) == 1:  # then it is the text's own list that is given back
            answers = [answers]
        known = dict(zip(distinct, answers, strict=True))
        return [self._words(known[text]) for text in asked]

    def _words(self, predictions: Sequence[Mapping[str, object]]) -> list[str]:
        likely = [one for one in predictions if float(str(one["score"])) >= SMALLEST_PROBABILITY]
        found = [str(one["token_str"]).strip() for one in likely]
        # Pieces of words (as `##ing`) are glued to nothing here.
        return [self._casings.get(word, word) for word in found if word.isalpha()]


def usual_casings(words: Iterable[str]) -> dict[str, str]:
    """By word in lower case, its most frequent spelling."""
    counts = Counter(words)
    found: dict[str, str] = {}
    for word, _ in counts.most_common():
        found.setdefault(word.lower(), word)
    return found
