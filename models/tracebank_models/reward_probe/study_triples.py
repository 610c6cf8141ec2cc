"""Contrastive triples of a study: of product reviews by their grammar, of any other corpus as in 2310.08164.

The paper has a language model swap the word; here opposites are words of the lexicon's bottom that the corpus holds,
and neutral ones words of the corpus that the lexicon does not know: such as a model of the corpus has met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from tracebank_models.language_model.corpora import ReviewCorpus
from tracebank_models.language_model.lexicon import Lexicon, word_tokens
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple, contrastive_triples
from tracebank_models.reward_probe.review_triples import TRIPLES_PER_REVIEW, review_triples, unrepeated
from tracebank_models.reward_probe.study_data import StudyData

TEXTS_PER_TRIPLE: Final = 40
"""Most texts that are read for a triple: few first sentences hold a word of the top quarter."""
_FUNCTION_WORDS: Final = 150
"""Most of a corpus's most frequent words that are taken to be of grammar alone, and no neutral words."""
_SHORTEST_NEUTRAL: Final = 4


def triples_of(data: StudyData, lexicon: Lexicon, limit: int, seed: int) -> list[ContrastiveTriple]:
    """The first triples of a study's corpus; fewer are the beginning of more.

    Raises:
        ValueError: No sentence gives a triple.
    """
    if isinstance(data.corpus, ReviewCorpus):
        reviews = data.documents("triples", round(limit / TRIPLES_PER_REVIEW))
        return review_triples((review.text for review in reviews), lexicon, limit=limit, seed=seed)
    texts = [document.text for document in data.documents("triples", TEXTS_PER_TRIPLE * limit)]
    return corpus_triples(texts, lexicon, limit=limit, seed=seed)


def corpus_triples(texts: Sequence[str], lexicon: Lexicon, *, limit: int, seed: int) -> list[ContrastiveTriple]:
    """Triples of the first sentences that hold a word of the lexicon's top quarter and none of its bottom one.

    Quarters are of the lexicon's words that the texts hold. No text is there twice.

    Raises:
        ValueError: The texts hold too few words of the lexicon, or no sentence gives a triple.
    """
    counts = Counter(word for text in texts for word in word_tokens(text))
    valences = {word: value for word, value in lexicon.word_valences().items() if word in counts and value}
    if not valences:
        raise ValueError(f"triples: {len(texts)} texts hold no word of lexicon {lexicon.name!r}")
    neutral = _neutral(counts, lexicon.valences)
    if not neutral:
        least = _SHORTEST_NEUTRAL
        raise ValueError(
            f"triples: {len(texts)} texts hold no word that stands twice, has {least} letters and no valence"
        )
    found = unrepeated(contrastive_triples(texts, valences, neutral, seed=seed))
    kept = list(islice(found, limit))
    if not kept:
        raise ValueError(f"triples: none of {len(texts)} first sentences gives one; allowed: texts with opinions")
    return kept


def _neutral(counts: Mapping[str, int], known: Iterable[str]) -> list[str]:
    """Words that the lexicon does not know: of those that stand twice the more frequent half, without grammar's."""
    valued = set(known)
    ranked = sorted((word for word, count in counts.items() if count > 1), key=lambda word: (-counts[word], word))
    beyond = ranked[min(_FUNCTION_WORDS, len(ranked) // 5) :]
    content = [word for word in beyond if word not in valued and len(word) >= _SHORTEST_NEUTRAL and "'" not in word]
    return content[: max(1, len(content) // 2)]
