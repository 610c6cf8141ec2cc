"""Prices as whole ticks: which decimals an instrument's prices have, and the conversion both ways without loss.

A tick here is a decimal one (10 to the minus `decimals`), the finest that the prices seen so far need; an exchange's own tick
may be a multiple of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_DECIMALS = 15
_EXACT = 2.0**53


class PriceScale:
    """Decimals of one instrument's prices, refined as prices come."""

    def __init__(self) -> None:
        self.decimals = 0

    @property
    def ticks_per_unit(self) -> float:
        """Ticks in a price of 1; a tick count divided by it is the price again."""
        return float(10.0**self.decimals)

    def ticks(self, prices: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """Return prices in ticks.

        Args:
            prices: Finite prices, any shape.

        Returns:
            The ticks, and by what factor ticks returned earlier have to be multiplied, since the scale was refined.

        A price beyond 2**53 ticks of the scale it would need is rounded to the finest scale that holds it; there, doubles
        lie further apart than ticks.
        """
        before = self.decimals
        self.decimals = decimals(prices, before)
        return np.rint(prices * self.ticks_per_unit).astype(np.int64), int(10 ** (self.decimals - before))


def decimals(numbers: NDArray[np.float64], least: int = 0) -> int:
    """Return how many decimals the numbers need, at least `least`, as far as doubles can tell.

    Args:
        numbers: Finite numbers, any shape.
        least: Decimals to start from.
    """
    highest = float(np.max(np.abs(numbers), initial=0.0))
    rest = numbers
    for count in range(least, MAX_DECIMALS):
        unit = 10.0**count
        rest = rest[np.rint(rest * unit) / unit != rest]
        if not len(rest) or highest * unit * 10 >= _EXACT:
            return count
    return MAX_DECIMALS
