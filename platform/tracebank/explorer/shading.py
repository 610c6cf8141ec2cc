"""Texts with every token shaded by what a unit does on it, as HTML; and tokens so that each character is seen."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from markupsafe import Markup, escape

LEVELS: Final = 9
"""Shades of either sign: classes `s1` ... `s9` and `n1` ... `n9` of the style sheet."""
WINDOW: Final = 48
"""Tokens on either side of the strongest that a long text is cut to."""
_NAMED: Final = {"\n": "↵", "\t": "⇥", " ": "␣", "\r": "␍", "\x7f": "␡"}
_PICTURES: Final = 0x2400
"""Where Unicode has a picture of each control character."""


@lru_cache(maxsize=65_536)
def visible(token: str) -> str:
    """A token in a line: blanks at its ends, line breaks and what else cannot be seen are written by signs."""
    inner = token.strip(" ")
    if not inner:
        return "␣" * len(token)
    left = len(token) - len(token.lstrip(" "))
    right = len(token) - len(token.rstrip(" "))
    return "␣" * left + "".join(map(_seen, inner)) + "␣" * right


def _seen(character: str) -> str:
    if character == " ":
        return character
    if character in _NAMED:
        return _NAMED[character]
    if ord(character) < ord(" "):
        return chr(_PICTURES + ord(character))
    # Marks of direction and the like would move what stands beside them.
    if unicodedata.category(character) in ("Cf", "Cc", "Cs", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character


@lru_cache(maxsize=65_536)
def _piece(token: str) -> tuple[str, str]:
    """A token as HTML that keeps its line breaks, and the classes that make it seen."""
    shown = "".join(one if one in "\n\t" else _seen(one) for one in token)
    classes = " nl" if "\n" in token else " tab" if "\t" in token else " sp" if not token.strip(" ") else ""
    return str(escape(shown)), classes


def level(activation: float, largest: float) -> str:
    """Class of an activation, by its share of the largest that there is; empty: next to nothing.

    Args:
        activation: of a unit at a token.
        largest: of the unit anywhere, as a magnitude; not 0.
    """
    return _SHADES[max(-LEVELS, min(LEVELS, round(activation / largest * LEVELS)))]


_SHADES: Final = {step: f"{'s' if step > 0 else 'n'}{abs(step)}" if step else "" for step in range(-LEVELS, LEVELS + 1)}


def shaded(
    tokens: Sequence[str],
    activations: Sequence[float],
    largest: float,
    strongest: int | None = None,
    window: slice | None = None,
) -> Markup:
    """A text, each token shaded by the unit's activation at it, which is its title.

    Tokens on which it does next to nothing are one run. Built here and not in a template: a page may have 20,000.

    Args:
        tokens: texts of the tokens.
        activations: of the unit at each.
        largest: see `level`; 0: nothing is shaded.
        strongest: index of the token that is framed; None: none.
        window: which tokens are shown; None: all.
    """
    first, last, _ = (window or slice(None)).indices(len(tokens))
    scale = LEVELS / largest if largest > 0 else 0.0
    parts: list[str] = []
    for at, token, activation in zip(range(first, last), tokens[first:last], activations[first:last], strict=False):
        text, classes = _piece(token)
        step = round(activation * scale)
        if at == strongest:
            classes += " strongest"
        if step:
            shade = _SHADES[max(-LEVELS, min(LEVELS, step))]
            parts.append(f'<b class="{shade}{classes}" title="{activation}">{text}</b>')
        elif classes:
            parts.append(f'<b class="{classes[1:]}">{text}</b>')
        else:
            parts.append(text)
    return Markup("".join(parts))  # each token was escaped by `_piece`


def around(strongest: int, count: int, side: int = WINDOW) -> slice | None:
    """The window around the strongest token of a text; None where the whole text is no longer than that."""
    if count <= 2 * side + 1:
        return None
    first = max(0, min(strongest - side, count - 2 * side - 1))
    return slice(first, first + 2 * side + 1)
