"""How tokens are written in graphs, look-ups and searches, so that " From" and "from" are one token in all of them."""

from __future__ import annotations

import polars as pl


def normalized_token(token: str) -> str:
    """A token as the released code writes it: title case lowered, no blanks around what has a letter.

    Tokens of one character stay as they are, and writing a token twice changes nothing more.
    """
    if len(token) > 1 and token.istitle():
        token = token.lower()
    if len(token) > 1 and any(map(str.isalpha, token)):
        token = token.strip()
    return token


def normalized_texts(texts: pl.Series, normalize: bool = True) -> pl.Series:
    """Texts of a vocabulary, by id, as graphs write them; as they are where `normalize` is false."""
    return pl.Series(texts.name, [normalized_token(text) for text in texts], pl.String) if normalize else texts
