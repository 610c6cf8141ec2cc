"""Variants of pruned texts: important words are replaced, and what still fires is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .saliency import SalientText, Text, normalised
from .settings import RATIO_DIGITS, GraphSettings
from .shared_runs import Runs, Values
from .windows import Ids
from .words import Substitutes, Word, case_variants, chosen, words


@dataclass(frozen=True, slots=True)
class Variant:
    """A text with another word."""

    of: int
    """Number of the text that it is a variant of."""
    ids: Ids
    word: Word
    """The word that was replaced."""
    length: int
    """Tokens of the original text."""

    @property
    def added(self) -> int:
        """Tokens of the new word."""
        return len(self.ids) - self.length + self.word.last - self.word.first

    def origins(self) -> list[range]:
        """For each of its positions those of the original text that it stands for."""
        first, last = self.word.first, self.word.last
        before = [range(at, at + 1) for at in range(first)]
        after = [range(at, at + 1) for at in range(last, self.length)]
        return before + [range(first, last)] * self.added + after

    def pivot(self, pivot: int, values: Values) -> int:
        """Where the pivot of the original text is; in the new word it is its strongest token."""
        if pivot < self.word.first:
            return pivot
        if pivot >= self.word.last:
            return pivot + len(self.ids) - self.length
        return self.word.first + int(values[self.word.first : self.word.first + self.added].argmax())


def variants(
    runs: Runs, originals: Sequence[SalientText], substitutes: Substitutes, settings: GraphSettings
) -> list[Variant]:
    """Variants of texts, each once, that are not too long; nothing is run."""
    asked = [(of, word) for of, one in enumerate(originals) for word in important_words(runs, one, settings)]
    answers = substitutes([word.masked for _, word in asked])
    found: dict[tuple[int, Ids], Variant] = {}
    for (of, word), candidates in zip(asked, answers, strict=True):
        ids = originals[of].text.ids
        others = chosen(word.masked.word, candidates, settings.substitutes)
        if settings.case_variants:
            others += case_variants(word.masked.word)
        for other in others:
            new = word.replaced(ids, other, runs.reader.encode)
            one = Variant(of, new, word, len(ids))
            if new != ids and one.added and len(new) <= runs.room:
                found.setdefault((of, new), one)
    return list(found.values())


def important_words(runs: Runs, one: SalientText, settings: GraphSettings) -> list[Word]:
    """Words with a token that matters to the pivot; the pivot's own is one of them."""
    text = one.text
    if text.values[text.pivot] <= 0:  # the longest context was kept, though the pivot is silent in it
        return []
    matters = one.importance[: text.pivot + 1, text.pivot] >= settings.augment_importance
    found = words(text.ids, runs.reader.texts)
    return [word for word in found if matters[word.first : word.last].any()]


def kept(
    runs: Runs,
    found: Sequence[Variant],
    originals: Sequence[Text],
    scaling: Sequence[tuple[float, float]],
    settings: GraphSettings,
) -> list[tuple[Variant, Text]]:
    """Variants whose pivot keeps enough of the original's activation.

    Args:
        runs: The runs.
        found: Variants.
        originals: Texts that they are of.
        scaling: For each text its scale and its unit's maximum.
        settings: The settings.
    """
    read = runs.values([(one.ids, originals[one.of].unit) for one in found])
    result = []
    for one, every in zip(found, read, strict=True):
        original, values = originals[one.of], every[len(runs.start) :]
        pivot = one.pivot(original.pivot, values)
        ratio = round(float(values[pivot] / original.values[original.pivot]), RATIO_DIGITS)
        if ratio >= settings.substitute_ratio:
            shares = normalised(values, *scaling[one.of])
            result.append((one, Text(original.unit, one.ids, pivot, values, shares)))
    return result
