"""Levels of order-book messages: JSON arrays of `["price","quantity"]` pairs to flat arrays of numbers.

Only the text of the arrays is read here; which event they belong to, and what a book makes of them, is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

Price = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
Quantity = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
_HIGHEST_PRICE = 1e10  # with the eight decimals that exchanges use, a book can still count it in ticks
_LevelPrice = Annotated[float, msgspec.Meta(ge=-_HIGHEST_PRICE, le=_HIGHEST_PRICE)]

_careful = msgspec.json.Decoder(list[tuple[_LevelPrice, Quantity]], strict=False)
_EXACT = 1 << 53
_POWERS = 10.0 ** np.arange(23)
_NOT_PLAIN = -1


@dataclass(slots=True)
class Levels:
    """Levels of n arrays, flattened: array i has the `counts[i]` levels after those of the arrays before it."""

    counts: NDArray[np.int64]
    price: NDArray[np.float64]
    qty: NDArray[np.float64]
    errors: dict[int, str]
    """Why an array could not be read, by its index; such an array has no levels."""


def read_levels(texts: list[msgspec.Raw]) -> Levels:
    """Read JSON arrays of price and quantity pairs, written as strings or as numbers.

    Args:
        texts: One JSON array each, such as `[["61737.63","0.5"],["61730.17","0"]]`.

    Returns:
        Their levels in order. A negative quantity, a number that is not finite, or anything that is no pair of numbers
        makes its whole array an error.
    """
    if not texts:
        return Levels(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), {})
    text = np.frombuffer(b"".join(texts), np.uint8)
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    counts = np.empty(len(texts), np.int64)
    price, qty = np.empty((2, len(text) // 9 + 1))  # a level takes nine bytes at least: ["1","2"]
    total = _plain_levels(text, ends, _POWERS, counts, price, qty)
    levels = Levels(counts, price[:total], qty[:total], {})
    if (counts == _NOT_PLAIN).any():
        _read_carefully(texts, levels)
    return levels


def _read_carefully(texts: list[msgspec.Raw], levels: Levels) -> None:
    """Read, by a full JSON parser, the arrays that were not plain, and put their levels where they belong."""
    before = np.cumsum(np.maximum(levels.counts, 0))
    places: list[int] = []
    pairs: list[tuple[float, float]] = []
    for index in np.flatnonzero(levels.counts == _NOT_PLAIN).tolist():
        try:
            found = _careful.decode(texts[index])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            levels.errors[index] = str(error)
            found = []
        levels.counts[index] = len(found)
        places += [int(before[index])] * len(found)
        pairs += found
    if pairs:
        levels.price = np.insert(levels.price, places, [price for price, _ in pairs])
        levels.qty = np.insert(levels.qty, places, [qty for _, qty in pairs])


@njit(cache=True, inline="always")
def _number(text, at, end, powers):  # type: ignore[no-untyped-def]
    """Read `"digits.digits"` in quotes at `at`: (value, position after it), position -1 if it is not plain."""
    if at >= end or text[at] != 34:
        return 0.0, -1
    at += 1
    start, mantissa, decimals, trailing, point = at, 0, 0, 0, -1
    while at < end and text[at] != 34:
        digit = int(text[at]) - 48
        if digit == -2 and point < 0 and at > start:
            point = at
        elif digit == 0 and point >= 0:
            trailing += 1  # zeros at the end are not worth digits of the mantissa
        elif 0 <= digit <= 9:
            while trailing > 0 and mantissa < _EXACT:
                mantissa, decimals, trailing = mantissa * 10, decimals + 1, trailing - 1
            mantissa = mantissa * 10 + digit
            if point >= 0:
                decimals += 1
        else:
            return 0.0, -1
        if mantissa >= _EXACT:  # beyond, the quotient below would not be correctly rounded
            return 0.0, -1
        at += 1
    leading_zero = at - start > 1 and text[start] == 48 and text[start + 1] != 46
    if at >= end or at == start or point == at - 1 or decimals > 22 or leading_zero:
        return 0.0, -1
    return mantissa / powers[decimals], at + 1


@njit(cache=True)
def _plain_levels(text, ends, powers, counts, price, qty):  # type: ignore[no-untyped-def]
    """Read the arrays written as Binance writes them; `counts` is `_NOT_PLAIN` for the others. Returns the total."""
    total = 0
    at = 0
    for index in range(len(ends)):
        end = ends[index]
        first = total
        plain = end - at >= 2 and text[at] == 91 and text[end - 1] == 93
        at += 1
        while plain and at < end - 1:
            if text[at] != 91:
                plain = False
                break
            value, at = _number(text, at + 1, end, powers)
            if at < 0 or at >= end or text[at] != 44 or value > _HIGHEST_PRICE:
                plain = False
                break
            size, at = _number(text, at + 1, end, powers)
            if at < 0 or at >= end or text[at] != 93:
                plain = False
                break
            price[total], qty[total] = value, size
            total += 1
            at += 1
            if at < end - 1:
                plain = text[at] == 44 and at + 1 < end - 1
                at += 1
        if not plain:
            total = first
        counts[index] = total - first if plain else _NOT_PLAIN
        at = end
    return total
