"""Documents cut into pieces, and pieces in which tokens are marked, rightly or not: what a judge of features is shown.

The two tests are delphi's (EleutherAI). *Fuzzing*: are the marked tokens those that the feature fires on, or as many
others of the same text? *Intruder*: four texts are marked where the feature fires, one has marks anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from tracebank_models.features.streams import TokenPlaces, describes

PIECE_TOKENS = 16
"""Tokens of a text that is shown."""
FUZZED = 5
"""Texts with right marks, and as many with wrong ones."""
INTRUDER_TEXTS = 5
"""Texts of a set, of which one does not belong."""
INTRUDER_SETS = 4
OPENING: Final = "⟦"
CLOSING: Final = "⟧"
"""Marks that hardly a corpus has; a text that has them is not drawn."""


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text with marks, and whether they are where the feature fires."""

    text: str
    right: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class IntruderSet:
    """Texts with marks."""

    texts: Sequence[str]
    intruder: int
    """Which one, from 0, the feature does not fire on."""
    tokens: int
    """Of all texts."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of all documents."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    shown: NDArray[np.bool_]
    """Whether a piece is of a document that features are described from."""
    unmarked: NDArray[np.bool_]
    """Whether none of its tokens looks like a mark."""
    words: pl.Series
    """Text of every token."""

    @classmethod
    def of(cls, places: TokenPlaces, texts: pl.Series) -> Pieces:
        """Cut documents.

        Args:
            places: Every token of the stream.
            texts: `token_texts`.
        """
        starts = np.flatnonzero(places.positions % PIECE_TOKENS == 0)
        ends = np.append(starts[1:], len(places.positions))
        marks = texts.str.contains(f"[{OPENING}{CLOSING}]").to_numpy()[places.token_ids]
        return cls(
            starts,
            ends,
            describes(torch.from_numpy(places.documents[starts])).numpy(),
            ~np.logical_or.reduceat(marks, starts),
            texts.gather(places.token_ids),
        )

    def spans(self, which: NDArray[np.int64]) -> list[tuple[int, int]]:
        """First token of each of these pieces, and the one after its last."""
        return list(zip(self.starts[which].tolist(), self.ends[which].tolist(), strict=True))

    def marked(self, piece: int, marks: NDArray[np.bool_]) -> str:
        """Text of a piece with marks around its tokens, those next to each other as one."""
        words = self.words[int(self.starts[piece]) : int(self.ends[piece])].to_list()
        edges = np.diff(np.concatenate([[0], marks.astype(np.int8), [0]]))
        opened = (f"{OPENING if edge > 0 else ''}{word}" for word, edge in zip(words, edges[:-1], strict=True))
        return "".join(f"{word}{CLOSING if edge < 0 else ''}" for word, edge in zip(opened, edges[1:], strict=True))


class MarkedDraw:
    """Draws marked texts for one feature out of the documents that it is not described from."""

    def __init__(self, pieces: Pieces, on: NDArray[np.bool_], chance: np.random.Generator) -> None:
        """Say where the feature fires.

        Args:
            pieces: All pieces.
            on: Whether it fires on each token of the stream.
            chance: Draws.
        """
        self._pieces, self._on, self._chance = pieces, on, chance
        self._counts = np.add.reduceat(on.astype(np.int64), pieces.starts)
        self._tried = ~pieces.shown & pieces.unmarked

    def fuzzed(self) -> list[MarkedText]:
        """Texts that it fires on, half of them marked where it does not; none where there are fewer than two."""
        silent = self._pieces.ends - self._pieces.starts - self._counts
        able = np.flatnonzero(self._tried & (self._counts > 0) & (self._counts <= silent))
        pairs = min(FUZZED, len(able) // 2)
        drawn = self._chance.permutation(able)[: 2 * pairs]
        right = self._chance.permutation(2 * pairs) < pairs
        return [self._fuzzed(int(piece), bool(one)) for piece, one in zip(drawn, right, strict=True)]

    def _fuzzed(self, piece: int, right: bool) -> MarkedText:
        fires = self._fires(piece)
        marks = fires if right else self._any(~fires, int(fires.sum()))
        return MarkedText(self._pieces.marked(piece, marks), right, len(fires))

    def intruder_sets(self) -> list[IntruderSet]:
        """Sets of texts; none where there are too few that it fires on."""
        firing, silent = (np.flatnonzero(self._tried & mask) for mask in (self._counts > 0, self._counts == 0))
        if len(firing) < INTRUDER_TEXTS - 1:
            return []
        return [self._set(firing, int(piece)) for piece in self._chance.permutation(silent)[:INTRUDER_SETS]]

    def _set(self, firing: NDArray[np.int64], intruder: int) -> IntruderSet:
        others = self._chance.permutation(firing)[: INTRUDER_TEXTS - 1]
        texts = [self._pieces.marked(int(piece), self._fires(int(piece))) for piece in others]
        silent = ~self._fires(intruder)
        # As many marks as the others have on average, so that their number tells nothing.
        marks = self._any(silent, min(len(silent), round(float(self._counts[others].mean()))))
        place = int(self._chance.integers(INTRUDER_TEXTS))
        texts.insert(place, self._pieces.marked(intruder, marks))
        pieces = np.append(others, intruder)
        return IntruderSet(texts, place, int((self._pieces.ends - self._pieces.starts)[pieces].sum()))

    def _fires(self, piece: int) -> NDArray[np.bool_]:
        return self._on[int(self._pieces.starts[piece]) : int(self._pieces.ends[piece])]

    def _any(self, allowed: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
        marks = np.zeros(len(allowed), np.bool_)
        marks[self._chance.permutation(np.flatnonzero(allowed))[:count]] = True
        return marks
