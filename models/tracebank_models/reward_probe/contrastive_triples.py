"""Contrastive triples: one sentence cut right after its target word, thrice with another word there.

The sentences come from anywhere, the valences from any lexicon; no word list is kept here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_ENDINGS = ("ingly", "edly", "fully", "ly", "ing", "ed", "ness", "ful", "est", "er", "ous", "ive", "able", "s")


@dataclass(frozen=True, slots=True)
class ContrastiveTriple:
    """Three texts that differ in their last word alone."""

    document: int
    """Number of the text that the sentence was found in."""
    prefix: str
    """What stands before the word, the space included."""
    positive: str
    negative: str
    neutral: str

    @property
    def texts(self) -> tuple[str, str, str]:
        """The positive, the negative and the neutral text, each cut right after its word."""
        return self.prefix + self.positive, self.prefix + self.negative, self.prefix + self.neutral


def word_ending(word: str) -> str:
    """The ending by which words are taken to be of one form: `ly` of `sadly`, or nothing."""
    return next((ending for ending in _ENDINGS if word.endswith(ending)), "")


@dataclass(frozen=True, slots=True)
class _Words:
    """Words to choose from, all of them and by their form."""

    every: tuple[str, ...]
    by_ending: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, words: Iterable[str]) -> _Words:
        every = tuple(sorted(words))
        endings = {word_ending(word) for word in every}
        return cls(every, {e: tuple(word for word in every if word_ending(word) == e) for e in endings})

    def draw(self, like: str, chance: random.Random) -> str:
        return chance.choice(self.by_ending.get(word_ending(like), self.every))


def contrastive_triples(
    texts: Iterable[str],
    lexicon: Mapping[str, float],
    neutral_words: Sequence[str],
    *,
    seed: int,
    share: float = 0.25,
    first_sentence: bool = True,
) -> Iterator[ContrastiveTriple]:
    """Find sentences that hold a word of the lexicon's top and none of its bottom, and swap that word.

    A word is swapped for one of the same form (`-ly`, `-ing`, ...) where there is one. What is drawn depends on the
    seed and on the text's number alone.

    Args:
        texts: The texts.
        lexicon: Valence of words, lower case.
        neutral_words: Words without a valence.
        seed: Chooses the words.
        share: What share of the lexicon is its top, and what share its bottom (2310.08164: a quarter each).
        first_sentence: Look into the first sentence of a text only, as the paper does.

    Raises:
        ValueError: The lexicon has no positive word in its top or no negative one in its bottom, or a neutral
            word is missing or has a valence.
    """
    positives, negatives = _extremes(lexicon, share)
    wrong = next((word for word in neutral_words if word in lexicon), None)
    if not neutral_words or wrong is not None:
        raise ValueError(f"neutral_words: {wrong!r} is not allowed: one or more words without a valence")
    neutral, negative = _Words.of(neutral_words), _Words.of(negatives)
    for number, text in enumerate(texts):
        sentence = _SENTENCE_END.split(text, maxsplit=1)[0] if first_sentence else text
        found = [(match.start(), match[0]) for match in _WORD.finditer(sentence)]
        if any(word.lower() in negatives for _, word in found):
            continue
        target = next(((at, word) for at, word in found if word.lower() in positives), None)
        if target is not None:
            at, word = target
            chance = random.Random(f"{seed} {number}")
            low = word.lower()
            yield ContrastiveTriple(number, sentence[:at], low, negative.draw(low, chance), neutral.draw(low, chance))


def _extremes(lexicon: Mapping[str, float], share: float) -> tuple[frozenset[str], frozenset[str]]:
    if not 0 < share <= 0.5:
        raise ValueError(f"share: {share} is not allowed: more than 0 and at most 0.5")
    if not lexicon:
        raise ValueError("lexicon: 0 words: at least a positive and a negative one are needed")
    low, high = np.quantile(np.fromiter(lexicon.values(), float), [share, 1 - share])
    positives = frozenset(word for word, value in lexicon.items() if value >= high and value > 0)
    negatives = frozenset(word for word, value in lexicon.items() if value <= low and value < 0)
    if not positives or not negatives:
        raise ValueError(
            f"lexicon: {len(positives)} positive words in its top and {len(negatives)} negative ones in its bottom: at"
            " least one of each is needed"
        )
    return positives, negatives


def triple_texts(triples: Sequence[ContrastiveTriple]) -> list[str]:
    """Texts of triples, three each: positive, negative, neutral."""
    return [text for triple in triples for text in triple.texts]
