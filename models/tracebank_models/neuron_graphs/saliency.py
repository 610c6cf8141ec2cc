"""How strongly a text's tokens fire, and which tokens before them they need: each is masked in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .settings import RATIO_DIGITS, VALUE_DIGITS, GraphSettings
from .shared_runs import Runs, Values
from .windows import Ids


@dataclass(frozen=True, slots=True)
class Text:
    """A pruned text, or a variant of one, with the unit's raw values at its tokens."""

    unit: int
    ids: Ids
    pivot: int
    values: Values
    """Raw, without the start token."""
    normalised: Values
    """Rescaled, over the unit's maximum, rounded."""


@dataclass(frozen=True, slots=True)
class SalientText:
    """A text with importances."""

    text: Text
    importance: Values
    """(masked token, token), rounded; of tokens that fire, and of the pivot."""


def activating(text: Text, settings: GraphSettings) -> list[int]:
    """Positions of activating tokens."""
    return np.flatnonzero(text.normalised > settings.activation_threshold).tolist()


def normalised(values: Values, scale: float, maximum: float) -> Values:
    """Values as shares of the unit's maximum, in the window that the text was pruned from."""
    return np.round(values * scale / maximum, VALUE_DIGITS)


def salient(runs: Runs, texts: Sequence[Text], settings: GraphSettings) -> list[SalientText]:
    """Importance of each token of each text for those after it.

    What is after the last token that matters, the pivot or an activating one, is not run: it changes nothing.
    """
    ends = [max([text.pivot, *activating(text, settings)]) + 1 for text in texts]
    masked = runs.masked([(text.ids[:end], text.unit) for text, end in zip(texts, ends, strict=True)])
    return [SalientText(text, _importance(text.values, found)) for text, found in zip(texts, masked, strict=True)]


def _importance(values: Values, masked: Values) -> Values:
    length = len(masked)
    plain = values[:length]
    # A token before the masked one does not change; one without a value has nothing to lose.
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(plain == 0, 0.0, 1 - masked / plain)
    return np.round(np.triu(found), RATIO_DIGITS).astype(np.float64, copy=False)
