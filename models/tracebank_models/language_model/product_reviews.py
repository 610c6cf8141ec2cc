"""A grammar of product reviews: documents whose opinions carry valences that a lexicon knows.

Aspects, facts and opinion words come from `review_words`; the lexicon decides which words are positive and which are
negative. Document i of a seed is the same whatever number of documents is asked for. No tokens and no files here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tracebank_models.checked_settings import in_range, whole

from .corpus import Document
from .lexicon import Lexicon
from .review_words import ADJECTIVES, FACTS, INTENSIFIERS, NOUNS, PRODUCTS, SLOTS, VERBS

_POSITIVE_SHARE = {1: 0.05, 2: 0.25, 3: 0.5, 4: 0.75, 5: 0.95}
_ADJECTIVE_FRAMES = (
    "The {aspect} is {adverb}{word}.",
    "I find the {aspect} {adverb}{word}.",
    "The {aspect} was {adverb}{word} from the first day.",
    "My {person} says the {aspect} is {word}.",
    "After {weeks} weeks the {aspect} is still {word}.",
    "What {article} {word} {product}!",
    "It looks {word} in {colour}, and the {aspect} feels {other}.",
    "A {product} with {article} {word} {aspect}.",
)
_VERB_FRAMES = ("I {word} the {aspect}.", "I {word} this {product}, and I {other} the {aspect}.", "We {word} it.")
_NOUN_FRAMES = (
    "It is {article} {word}.",
    "The {aspect} is {article} {word}.",
    "This {product} was {article} {word} for my {person}.",
)
_KINDS = (("adjective", 0.7), ("verb", 0.15), ("noun", 0.15))
_FRAMES = {"adjective": _ADJECTIVE_FRAMES, "verb": _VERB_FRAMES, "noun": _NOUN_FRAMES}
_CANDIDATES = {"adjective": ADJECTIVES, "verb": VERBS, "noun": NOUNS}


@dataclass(frozen=True, slots=True)
class ReviewStyle:
    """How reviews are written."""

    shortest: int = 3
    """Fewest sentences of a review, its opening not counted."""
    longest: int = 8
    """Most sentences of a review, its opening not counted."""
    fact_share: float = 0.3
    """Probability that a sentence is a neutral fact and not an opinion."""
    frequency_exponent: float = 0.7
    """Zipf exponent of the opinion words of a class: how much more often the first of them is used than the last."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 1, 1_000, "shortest")
        whole(self, self.shortest, 1_000, "longest")
        in_range(self, 0, 1, "fact_share")
        in_range(self, 0, 3, "frequency_exponent")


@dataclass(frozen=True, slots=True)
class _WordClass:
    words: tuple[str, ...]
    weights: tuple[float, ...]

    def draw(self, stream: random.Random) -> str:
        return stream.choices(self.words, self.weights)[0]


class ProductReviews:
    """Reviews of one seed, drawn from a grammar over a lexicon.

    Args:
        lexicon: Gives the sign of every opinion word; words of the grammar that it does not know are left out.
        seed: Seed of everything.
        style: Lengths and frequencies.

    Raises:
        ValueError: The lexicon knows no positive or no negative word of a class (adjective, verb, noun).
    """

    def __init__(self, lexicon: Lexicon, seed: int = 0, style: ReviewStyle | None = None) -> None:
        self.seed = seed
        self.style = style or ReviewStyle()
        self._classes = _word_classes(lexicon, seed, self.style.frequency_exponent)

    def documents(self, count: int, start: int = 0) -> Iterator[Document]:
        """Reviews `start` to `start + count - 1`.

        Raises:
            ValueError: `count` or `start` is negative.
        """
        for name, value in (("count", count), ("start", start)):
            if value < 0:
                raise ValueError(f"documents.{name}: {value} is not allowed; allowed: a whole number from 0")
        for index in range(start, start + count):
            yield Document(f"review/{self.seed}/{index}", "product_reviews", self._text(index))

    def _text(self, index: int) -> str:
        stream = random.Random(f"product_reviews/{self.seed}/{index}")
        rating = stream.randint(1, 5)
        product = stream.choice(sorted(PRODUCTS))
        sentences = [f"Review of a {product}. {rating} of 5 stars."]
        for _ in range(stream.randint(self.style.shortest, self.style.longest)):
            if stream.random() < self.style.fact_share:
                sentences.append(_fill(stream.choice(FACTS), stream, product, {}))
            else:
                sentences.append(self._opinion(stream, product, _POSITIVE_SHARE[rating]))
        return " ".join(sentences)

    def _opinion(self, stream: random.Random, product: str, positive_share: float) -> str:
        kind = stream.choices([kind for kind, _ in _KINDS], [weight for _, weight in _KINDS])[0]
        group = self._classes[kind, stream.random() < positive_share]
        word = group.draw(stream)
        article = "an" if word[0] in "aeiou" else "a"
        words = {"word": word, "other": group.draw(stream), "article": article, "adverb": stream.choice(INTENSIFIERS)}
        return _fill(stream.choice(_FRAMES[kind]), stream, product, words)


def _word_classes(lexicon: Lexicon, seed: int, exponent: float) -> dict[tuple[str, bool], _WordClass]:
    classes = {}
    for kind, candidates in _CANDIDATES.items():
        for positive in (True, False):
            words = [word for word in candidates if (lexicon.valence(word) > 0) == positive and lexicon.valence(word)]
            if not words:
                sign = "positive" if positive else "negative"
                allowed = f"one that knows {sign} ones, such as {candidates[0 if positive else -1]!r}"
                raise ValueError(f"lexicon: {lexicon.name!r} knows no {sign} {kind} of the grammar; allowed: {allowed}")
            # Ranks are shuffled, so that frequency says nothing about valence or spelling.
            random.Random(f"product_reviews/{seed}/{kind}/{positive}").shuffle(words)
            weights = tuple((rank + 1) ** -exponent for rank in range(len(words)))
            classes[kind, positive] = _WordClass(tuple(words), weights)
    return classes


def _fill(frame: str, stream: random.Random, product: str, words: Mapping[str, str]) -> str:
    slots: dict[str, str] = {"product": product, "aspect": stream.choice(PRODUCTS[product])}
    for name, values in SLOTS.items():
        slots[name] = _draw(stream, values)
    return frame.format(**slots, **words)


def _draw(stream: random.Random, values: Sequence[str]) -> str:
    return values[stream.randrange(len(values))]
