"""What graphs are made from: windows of text in which a unit fires at a pivot, and such in which it is silent there."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .settings import GraphSettings

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a document."""

    ids: Ids
    """Token ids, without a start token."""
    pivot: int
    """Position in `ids` of the token that it is about."""
    activation: float
    """Of the unit, there, in its document."""
    truncated: bool = False
    """Whether the document goes on to the left of it."""


@dataclass(frozen=True, slots=True)
class UnitWindows:
    """Windows of one unit, out of train documents."""

    unit: int
    maximum: float
    """The unit's largest activation anywhere: values of its graph are shares of it."""
    windows: Sequence[Window]
    """In which it fires; the strongest first."""
    silent: Sequence[Window] = ()
    """In which it does not fire at the pivot, though the tokens are those of windows in which it does."""


def fitted(window: Window, room: int, after: int) -> Window:
    """The window cut to so many tokens; the pivot and so many after it stay.

    Args:
        window: The window.
        room: Most tokens.
        after: Tokens after the pivot that are to stay, where there are so many and there is room.
    """
    if len(window.ids) <= room:
        return window
    end = min(len(window.ids), max(room, window.pivot + 1 + after))
    end = min(end, window.pivot + room)
    first = max(0, end - room)
    cut = Window(window.ids[first:end], window.pivot - first, window.activation, window.truncated or first > 0)
    return cut if first > 0 else Window(cut.ids, cut.pivot, cut.activation, window.truncated)


def sentence_rest(ids: Ids, pivot: int, texts: Sequence[str], settings: GraphSettings) -> Ids:
    """The tokens after a pivot that a pruned text keeps: some, to the end of its sentence."""
    found = pivot
    while (
        found + 1 < len(ids)
        and found - pivot < settings.tokens_after
        and not re.search(settings.sentence_end, texts[ids[found]])
    ):
        found += 1
    return ids[pivot + 1 : found + 1]


def check_windows(examples: Sequence[UnitWindows], features: int, tokens: int) -> None:
    """Refuse windows that are of no unit or no token.

    Raises:
        ValueError: A unit, pivot or token is not known, or a unit is there twice; one line says which.
    """
    seen: set[int] = set()
    for one in examples:
        if not 0 <= one.unit < features or one.unit in seen:
            raise ValueError(f"unit: {one.unit} is not allowed; allowed: 0 to {features - 1}, each once")
        seen.add(one.unit)
        for window in (*one.windows, *one.silent):
            if not 0 <= window.pivot < len(window.ids):
                allowed = f"a position of its {len(window.ids)} tokens"
                raise ValueError(f"pivot: {window.pivot} of unit {one.unit} is not allowed; allowed: {allowed}")
            if not all(0 <= token < tokens for token in window.ids):
                raise ValueError(f"ids: a token of unit {one.unit} is not known; allowed: 0 to {tokens - 1}")


def usable_maximum(maximum: float) -> bool:
    """Whether activations can be divided by it."""
    return math.isfinite(maximum) and maximum > 0
