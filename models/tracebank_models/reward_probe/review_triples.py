"""Contrastive triples out of product reviews: each opinion sentence with its word, an opposite and a neutral one.

Three things differ from the recipe of 2310.08164, so that the words alone tell the three texts apart. Targets are
swapped within their class (adjective, verb, noun), and an article before them fits all three. Opposites are words that
the grammar writes, and so words that a model of reviews has met. Neutral words are what the grammar's facts put in the
same place: colours and materials for adjectives, products and their parts for nouns, verbs of facts for verbs.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tracebank_models.language_model.lexicon import Lexicon
from tracebank_models.language_model.review_words import ADJECTIVES, NOUNS, PRODUCTS, SLOTS, VERBS
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple, contrastive_triples

TRIPLES_PER_REVIEW: Final = 0.5
"""Fewer than a review gives on average: with the number of triples over it there are reviews enough."""

_CLASSES: Final[Mapping[str, tuple[str, ...]]] = {"adjective": ADJECTIVES, "verb": VERBS, "noun": NOUNS}
_NEUTRAL: Final[Mapping[str, tuple[str, ...]]] = {
    "adjective": (*SLOTS["colour"], *SLOTS["material"]),
    "verb": ("bought", "used", "ordered", "held"),
    "noun": tuple(
        sorted({word for name in (*PRODUCTS, *sum(PRODUCTS.values(), ())) for word in [name] if " " not in name})
    ),
}
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_ARTICLE = re.compile(r"\b(an?) $", re.IGNORECASE)


def word_classes(lexicon: Lexicon) -> dict[str, dict[str, float]]:
    """Opinion words of the grammar with their valence, by class; a word of two classes is in neither."""
    often = Counter(word for words in _CLASSES.values() for word in set(words))
    return {
        kind: {word: lexicon.valence(word) for word in words if often[word] == 1 and lexicon.valence(word)}
        for kind, words in _CLASSES.items()
    }


def neutral_words(lexicon: Lexicon) -> dict[str, list[str]]:
    """Words of the grammar's facts that the lexicon does not know, by class."""
    return {kind: [word for word in words if word not in lexicon.valences] for kind, words in _NEUTRAL.items()}


def review_triples(
    reviews: Iterable[str], lexicon: Lexicon, *, limit: int, seed: int, share: float = 0.25
) -> list[ContrastiveTriple]:
    """Triples of the sentences of reviews, in their order; no text is there twice.

    Args:
        reviews: Texts of reviews.
        lexicon: Gives the valences.
        limit: Most triples.
        seed: Chooses the words.
        share: What share of a class's words is its top, and what share its bottom.

    Returns:
        At most `limit` triples; `document` is the number of the review.

    Raises:
        ValueError: The limit is below 1, or no sentence gives a triple; see also `contrastive_triples`.
    """
    if limit < 1:
        raise ValueError(f"limit: {limit} is not allowed: 1 or more")
    sentences = [(at, text) for at, review in enumerate(reviews) for text in _SENTENCE_END.split(review)]
    texts, neutral = [text for _, text in sentences], neutral_words(lexicon)
    found = [
        triple
        for kind, words in word_classes(lexicon).items()
        for triple in contrastive_triples(texts, words, neutral[kind], seed=seed, share=share)
        if _article_fits(triple)
    ]
    found.sort(key=lambda triple: triple.document)  # by sentence
    kept = list(unrepeated(found))[:limit]
    if not kept:
        raise ValueError(f"reviews: {len(texts)} sentences give no triple: allowed are reviews with opinions")
    return [dataclasses.replace(triple, document=sentences[triple.document][0]) for triple in kept]


def _article_fits(triple: ContrastiveTriple) -> bool:
    article = _ARTICLE.search(triple.prefix)
    if article is None:
        return True
    vowel = len(article[1]) == 2
    return all((word[0] in "aeiou") == vowel for word in (triple.positive, triple.negative, triple.neutral))


def unrepeated(triples: Iterable[ContrastiveTriple]) -> Iterator[ContrastiveTriple]:
    """Triples without such as were there before: one on both sides of a split would be known there by heart."""
    seen: set[str] = set()
    for triple in triples:
        first, second, _ = triple.texts
        if first not in seen and second not in seen:
            seen |= {first, second}
            yield triple
