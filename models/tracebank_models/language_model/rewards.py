"""Rewards that a study may name, by kind: a lexicon's, scores in a file, a classifier of `transformers`.

A reward is a function of texts with a hash. A new kind is a struct with the same methods in `RewardEntry`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Protocol, Self

import msgspec
import numpy as np
import numpy.typing as npt

from .lexicon import Lexicon, LexiconReward, load_vader_lexicon, word_tokens
from .table_files import FileEntry, Text, plain_bytes

if TYPE_CHECKING:
    from .classifier_reward import ClassifierReward

VADER: Final = "vader"
_Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]


class Reward(Protocol):
    """Rewards of texts, one number each."""

    def __call__(self, texts: Sequence[str], /) -> npt.NDArray[np.float64]:
        """Rewards, shape [len(texts)]."""

    def content_hash(self) -> str:
        """What it is known by: the same hash, the same rewards."""


class LexiconEntry(FileEntry, frozen=True, tag_field="kind", tag="lexicon"):
    """Valences of a text's words, summed, scaled and clipped (2310.08164)."""

    path: Text | None = None  # type: ignore[assignment]
    """A word and its valence in each line, tab-separated or CSV, with a head or without; none takes VADER's."""
    scale: _Positive = 5.0
    clip: _Positive = 10.0

    endings: ClassVar[tuple[str, ...]] = (".tsv", ".txt", ".csv")

    def lexicon(self) -> Lexicon:
        """The words.

        Raises:
            ValueError: The file is not right.
        """
        return load_vader_lexicon() if self.path is None else read_lexicon(Path(self.path))

    def reward(self) -> LexiconReward:
        """The reward.

        Raises:
            ValueError: The file is not right.
        """
        return LexiconReward(self.lexicon(), self.scale, self.clip)

    def beside(self, folder: Path, where: str) -> Self:
        """The same with its path, where it has one, taken from a folder.

        Raises:
            ValueError: See `FileEntry`.
        """
        return self if self.path is None else super().beside(folder, where)


class ScoresEntry(FileEntry, frozen=True, tag_field="kind", tag="scores"):
    """Scores of answers in a file: it ranks those, and knows no other text."""

    prompt: Text = "prompt"
    response: Text = "response"
    score: Text = "score"


class ClassifierEntry(msgspec.Struct, frozen=True, tag_field="kind", tag="classifier"):
    """A sequence classifier or reward model of `transformers`: its only logit, or one against the others."""

    model: Text
    """A Hugging Face id or a folder."""
    revision: Text | None = None
    label: Text | None = None
    """Of a model with several: the reward is its log-odds."""
    scale: _Positive = 1.0
    clip: _Positive = 10.0
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 32
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 512

    def reward(self, device: str = "auto") -> ClassifierReward:
        """Load it.

        Raises:
            ValueError: It cannot be loaded, or has no such label.
        """
        from .classifier_reward import load_classifier_reward

        return load_classifier_reward(self, device)

    def beside(self, folder: Path, where: str) -> Self:  # noqa: ARG002
        """The same with the folder of that name where there is one; else it is an id."""
        path = folder / self.model
        return msgspec.structs.replace(self, model=str(path)) if path.is_dir() else self


RewardEntry = LexiconEntry | ScoresEntry | ClassifierEntry
"""Every kind."""


def read_lexicon(path: Path) -> Lexicon:
    """Words and valences of a file, its further columns left out.

    Raises:
        ValueError: A line has no number, or a word has two valences.
    """
    try:
        text = plain_bytes(path).decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter="," if path.suffix == ".csv" else "\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"lexicon: {path.name} cannot be read ({error})") from None
    valences: dict[str, float] = {}
    for number, cells in enumerate(lines, start=1):
        if not any(cell.strip() for cell in cells):
            continue
        valence = _number(cells[1]) if len(cells) > 1 else None
        if valence is None and not valences and number == 1 and len(cells) > 1:
            continue  # the head
        word = _as_looked_up(cells[0].strip())
        if valence is None or not word:
            shown = "\t".join(cells)[:60]
            raise ValueError(f"lexicon: {path.name} line {number}: {shown!r}; allowed: a word and a finite number")
        if valences.setdefault(word, valence) != valence:
            before = valences[word]
            raise ValueError(
                f"lexicon: {path.name} line {number}: {word!r} has {before:g} and {valence:g}; allowed: one"
            )
    if not any(word_tokens(word) == [word] for word in valences):
        raise ValueError(
            f"lexicon: {path.name} has {len(valences)} entries and no word of letters; allowed: at least one"
        )
    return Lexicon(path.stem, valences)


def _as_looked_up(word: str) -> str:
    low = word.lower()
    return low if word_tokens(low) == [low] else word


def _number(cell: str) -> float | None:
    try:
        found = float(cell)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None
