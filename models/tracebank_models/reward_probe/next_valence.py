"""What the next token is expected to add to a text's sum of valences: exact, over the vocabulary, nothing is sampled.

A token is worth what it adds to the sum of the valences of the text's words, so it depends on the word that is being
written: ` good` is worth 1.9, ` go` nothing, `od` after it 1.9, and `s` after ` good` takes the 1.9 away again, since
`goods` has no valence. Over a text these values add up to the text's own sum, however its words are cut into tokens.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from tracebank_models.features.token_text import token_texts
from tracebank_models.language_model.lexicon import Lexicon

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LETTERS: Final = r"[^\W\d_]+"
_WORD: Final = rf"{_LETTERS}(?:'{_LETTERS})*"
_UNFINISHED: Final = re.compile(rf"{_WORD}'?$")
"""A word at the end of a text that letters would go on with."""
_GOES_ON: Final = re.compile(rf"({_WORD})(.*)", re.DOTALL)
"""A token whose start goes on with the word before it, and what follows, which stands apart from that word."""


class TokenValences:
    """Value of every token of a vocabulary, by the word that stands unfinished before it."""

    def __init__(self, texts: Sequence[str], lexicon: Lexicon) -> None:
        """Sort the tokens by whether the word before them matters.

        Args:
            texts: Text of every token, by id; empty for one that writes nothing, as an end of text.
            lexicon: Valence of words.
        """
        self._texts = [text.lower() for text in texts]
        self._lexicon = lexicon
        self._words = sorted(lexicon.word_valences())
        self._by_start: defaultdict[str, list[int]] = defaultdict(list)
        apart = []
        for token, text in enumerate(self._texts):
            found = _GOES_ON.match(text)
            if found is not None:
                self._by_start[found[1]].append(token)
            apart.append(lexicon.valence_sum(text if found is None else found[2]))
        self._apart = torch.tensor(apart)
        self._going_on = torch.tensor([t for tokens in self._by_start.values() for t in tokens], dtype=torch.int64)
        # An apostrophe goes on with a word only where letters follow: few tokens, read as they come.
        self._quotes = [token for token, text in enumerate(self._texts) if text.startswith("'")]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, lexicon: Lexicon) -> TokenValences:
        """Those of a tokenizer; its special tokens write nothing."""
        special = set(tokenizer.all_special_ids)
        texts = ["" if token in special else text for token, text in enumerate(token_texts(tokenizer).to_list())]
        return cls(texts, lexicon)

    def unfinished(self, ids: Sequence[int]) -> list[str]:
        """The word that is unfinished after each token of a text; empty where there is none."""
        found, before = [], ""
        for token in ids:
            match = _UNFINISHED.search(before + self._texts[token])
            before = match[0] if match else ""
            found.append(before)
        return found

    def after(self, unfinished: str) -> Tensor:
        """Value of every token after an unfinished word, float32, (vocabulary,)."""
        values = self._apart.clone()
        before = self._lexicon.valence_sum(unfinished)
        values[self._going_on] -= before
        for word in self._words[bisect_left(self._words, unfinished) :]:
            if not word.startswith(unfinished):
                break
            if tokens := self._by_start.get(word[len(unfinished) :]):
                values[tokens] += self._lexicon.valence(word)
        for token in self._quotes:
            values[token] = self._lexicon.valence_sum(unfinished + self._texts[token]) - before
        return values

    def of_texts(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Value of every token after each token of texts, float32, (tokens of all texts, vocabulary)."""
        words = [word for text in texts for word in self.unfinished(text)]
        rows = {word: self.after(word) for word in dict.fromkeys(words)}
        return torch.stack([rows[word] for word in words])
