"""From importances to paths: what each activating token needs before it. Contexts of no fixed place are in `gaps`."""

from __future__ import annotations

from collections.abc import Sequence

from .augment import Variant
from .saliency import SalientText, activating
from .settings import GraphSettings
from .shared_runs import Values
from .token_normalization import normalized_token
from .trie import ANY, START, Path, Step

Inherited = tuple[SalientText, Variant]
"""The original of a variant, and what was replaced."""


def graph_token(token: str, settings: GraphSettings) -> str:
    """A token as graphs hold it."""
    return normalized_token(token) if settings.normalize_tokens else token


def paths_of(
    one: SalientText,
    texts: Sequence[str],
    settings: GraphSettings,
    *,
    original: Inherited | None = None,
    start_at: frozenset[int] = frozenset(),
) -> list[Path]:
    """Paths of the activating tokens of a text, from its left to its right.

    Args:
        one: The text.
        texts: Text of each token, by id.
        settings: The settings.
        original: Of a variant, the text whose important positions it inherits.
        start_at: Activating tokens that fire only where the text begins as it does.
    """
    found = []
    for position in activating(one.text, settings):
        important = _important(one.importance, position, settings)
        if original is not None:
            important |= _inherited(original, position, len(one.text.ids), settings)
        found.append(_path(one, position, important, texts, settings, whole=position in start_at))
    return found


def _important(importance: Values, position: int, settings: GraphSettings) -> set[int]:
    column = importance[: position + 1, position]
    return {at for at, value in enumerate(column.tolist()) if value > settings.importance_threshold}


def _inherited(original: Inherited, position: int, length: int, settings: GraphSettings) -> set[int]:
    """Positions that stand for such as are important to the same activating token of the original."""
    source, variant = original
    origins = variant.origins()
    active = set(activating(source.text, settings))
    owners = [at for at in origins[position] if at in active]
    important = {at for owner in owners for at in _important(source.importance, owner, settings)}
    return {at for at in range(min(length, position + 1)) if important & set(origins[at])}


def _path(
    one: SalientText, position: int, important: set[int], texts: Sequence[str], settings: GraphSettings, *, whole: bool
) -> Path:
    values, importance = one.text.normalised, one.importance
    steps = []
    for at in range(position, -1, -1):
        token = graph_token(texts[one.text.ids[at]], settings)
        # The activating token is always named, unless it is its place at the beginning that fires.
        named = at in important or (at == position and not whole)
        step = Step("token", token, float(importance[at, position]), float(values[at]))
        steps.append(step if named else ANY)
    if whole:
        steps.append(START)
    else:
        while steps[-1] is ANY:
            steps.pop()
    return Path(steps, float(values[position]), one.text.ids, position)
