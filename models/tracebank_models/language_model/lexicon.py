"""Valence lexicons and the reward that is read from one: a number per text, known word by word.

The reward is the one of arXiv:2310.08164: valences of the lower-cased words of the response, summed, divided by 5 and
clipped to [-10, 10]. No model and no tokenizer is known here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_FILE = "vader_lexicon.txt"


def word_tokens(text: str) -> list[str]:
    """Lower-cased words of a text: runs of letters, with apostrophes kept inside a word."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words and their valence."""

    name: str
    valences: Mapping[str, float]
    """Valence by word as the lexicon spells it; the VADER lexicon's lie from -3.9 to 3.4."""

    def __post_init__(self) -> None:
        """Refuse an empty lexicon and values that are no numbers.

        Raises:
            ValueError: One line that names the lexicon, the word and the value.
        """
        if not self.valences:
            raise ValueError(f"Lexicon.valences: {self.name!r} has no words; allowed: at least one")
        for word, valence in self.valences.items():
            if not math.isfinite(valence):
                raise ValueError(f"Lexicon.valences: {word!r} has valence {valence}; allowed: a finite number")

    def valence(self, word: str) -> float:
        """Valence of a lower-cased word; 0 for one that the lexicon does not know."""
        return self.valences.get(word, 0.0)

    def valence_sum(self, text: str) -> float:
        """Sum of the valences of a text's words."""
        return math.fsum(self.valence(word) for word in word_tokens(text))

    def word_valences(self) -> dict[str, float]:
        """The entries that `word_tokens` can produce: single words of letters, lower-cased (no emoticons)."""
        return {word: value for word, value in self.valences.items() if word_tokens(word) == [word]}

    def content_hash(self) -> str:
        """SHA-256 (hex) of the sorted words and valences."""
        lines = (f"{word}\t{valence!r}\n" for word, valence in sorted(self.valences.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def frame(self) -> pl.DataFrame:
        """One row per entry: `word`, `valence`; in order of the word."""
        words = sorted(self.valences)
        return pl.DataFrame({"word": words, "valence": [self.valences[word] for word in words]})


def load_vader_lexicon(path: Path | None = None) -> Lexicon:
    """The lexicon of package `vaderSentiment` (Hutto and Gilbert 2014), read without importing the package.

    Args:
        path: A file of the same format (word, mean valence, ... separated by tabs); None takes the installed package's.

    Raises:
        FileNotFoundError: The package is not installed or the file does not exist.
        ValueError: A line is not of the format; one line names file, line number and content.
    """
    file = path if path is not None else _installed_file()
    if not file.is_file():
        raise FileNotFoundError(f"lexicon: {str(file)!r} is not a file; allowed: a file like vaderSentiment's {_FILE}")
    valences: dict[str, float] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            word, valence = _entry(file, number, line)
            valences[word] = valence
    return Lexicon(name="vader", valences=valences)


def _installed_file() -> Path:
    spec = importlib.util.find_spec("vaderSentiment")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("lexicon: package 'vaderSentiment' is not installed; run: pip install vaderSentiment")
    return Path(next(iter(spec.submodule_search_locations))) / _FILE


def _entry(file: Path, number: int, line: str) -> tuple[str, float]:
    word, _, rest = line.partition("\t")
    try:
        return word, float(rest.partition("\t")[0])
    except ValueError:
        text = f"lexicon: {file.name} line {number}: {line[:60]!r}; allowed: a word, a tab and a number"
        raise ValueError(text) from None


@dataclass(frozen=True, slots=True)
class LexiconReward:
    """Reward of a text: its valence sum, scaled and clipped."""

    lexicon: Lexicon
    scale: float = 5.0
    """The valence sum is divided by it."""
    clip: float = 10.0
    """Rewards lie in [-clip, clip]."""

    def __post_init__(self) -> None:
        """Check the scale and the clip.

        Raises:
            ValueError: One of them is not a positive finite number.
        """
        for name, value in (("scale", self.scale), ("clip", self.clip)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"LexiconReward.{name}: {value!r} is not allowed; allowed: a positive finite number")

    def content_hash(self) -> str:
        """SHA-256 (hex) of the lexicon, the scale and the clip."""
        return hashlib.sha256(f"{self.lexicon.content_hash()}|{self.scale!r}|{self.clip!r}".encode()).hexdigest()

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Rewards, shape [len(texts)]."""
        sums = np.fromiter((self.lexicon.valence_sum(text) for text in texts), dtype=np.float64, count=len(texts))
        return np.clip(sums / self.scale, -self.clip, self.clip)
