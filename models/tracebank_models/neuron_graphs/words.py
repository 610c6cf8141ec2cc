"""Words of a text as runs of tokens, and what a text becomes where one of them is another word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from .windows import Ids

_STICKS: Final = "'"
"""What does not part words, though it is no letter."""
_NO_TEXT: Final = "\ufffd"
"""Stands for bytes that are no character alone; such tokens cannot be written anew."""


@dataclass(frozen=True, slots=True)
class MaskedWord:
    """A word that is to be substituted, and where it stands."""

    before: str
    """Text before it."""
    word: str
    after: str
    ids: Ids
    """Tokens that it is in."""
    left: int | None
    """Token before these; None at the beginning."""
    right: int | None
    """Token after these; None at the end."""


class Substitutes(Protocol):
    """Where substitutes come from: see `CorpusSubstitutes` and `MaskedLanguageModel`."""

    def __call__(self, words: Sequence[MaskedWord], /) -> list[list[str]]:
        """For each word others that might stand in its place, the best first."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word in a text."""

    masked: MaskedWord
    first: int
    """Position of its first token."""
    last: int
    """Position after its last token."""
    _prefix: str
    _suffix: str

    def replaced(self, ids: Ids, other: str, encode: Callable[[str], list[int]]) -> Ids:
        """The text with another word in its place; only the tokens that the word is in are written anew."""
        return ids[: self.first] + tuple(encode(self._prefix + other + self._suffix)) + ids[self.last :]


def words(ids: Ids, texts: Sequence[str]) -> list[Word]:
    """All words of a text, in its order."""
    pieces = [texts[token] for token in ids]
    owner = [position for position, piece in enumerate(pieces) for _ in piece]
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    whole = "".join(pieces)
    found, at = [], 0
    while at < len(whole):
        end = at
        while end < len(whole) and (whole[end].isalpha() or whole[end] in _STICKS):
            end += 1
        if any(letter.isalpha() for letter in whole[at:end]):
            first, last = owner[at], owner[end - 1] + 1
            prefix, suffix = whole[starts[first] : at], whole[end : starts[last]]
            masked = MaskedWord(
                before=whole[:at],
                word=whole[at:end],
                after=whole[end:],
                ids=ids[first:last],
                left=ids[first - 1] if first else None,
                right=ids[last] if last < len(ids) else None,
            )
            if _NO_TEXT not in prefix + suffix:
                found.append(Word(masked, first, last, prefix, suffix))
        at = max(end, at + 1)
    return found


def case_variants(word: str) -> list[str]:
    """The word in other cases."""
    return [one for one in dict.fromkeys((word.lower(), word.title(), word.upper())) if one != word]


def chosen(word: str, candidates: Sequence[str], most: int) -> list[str]:
    """Candidates that have a letter and are another word than this, in title case where it is: the first so many."""
    found: dict[str, None] = {}
    for candidate in candidates:
        if len(found) == most:
            break
        bare = candidate.strip()
        if bare.lower() != word.lower() and any(letter.isalpha() for letter in bare):
            found[bare.title() if word.istitle() else bare] = None
    return list(found)
