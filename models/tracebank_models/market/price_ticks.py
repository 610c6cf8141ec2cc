"""Prices as whole ticks: which decimals an instrument's prices have, and the conversion both ways without loss.

A tick here is a decimal one (10 to the minus `decimals`), the finest that the prices seen so far need; an exchange's
own tick may be a multiple of it.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

MAX_DECIMALS = 15
_MOST_TICKS = 2.0**62


class PriceScale:
    """Decimals of one instrument's prices, refined as prices come."""

    def __init__(self) -> None:
        self.decimals = 0
        self._highest = 0.0

    @property
    def ticks_per_unit(self) -> float:
        """Ticks in a price of 1; a tick count divided by it is the price again."""
        return float(10.0**self.decimals)

    def ticks(self, prices: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """Return prices in ticks.

        Conversion and division back are exact up to 2**53 ticks. Where one instrument's prices span more than that, the
        highest may come back one unit of their last binary digit off; ticks never pass 2**62, and prices finer than
        that allows beside the highest are rounded.

        Args:
            prices: Finite prices, any shape.

        Returns:
            The ticks, and by what factor ticks returned earlier have to be multiplied, since the scale was refined.

        Raises:
            ValueError: A price comes to more than 2**62 of the ticks that earlier prices need.
        """
        before = self.decimals
        self._highest = float(np.max(np.abs(prices), initial=self._highest))
        self.decimals = decimals(prices, before, self._highest)
        if self._highest * self.ticks_per_unit > _MOST_TICKS:
            raise ValueError(f"price: {self._highest} is too high beside prices of {self.decimals} decimals")
        return np.rint(prices * self.ticks_per_unit).astype(np.int64), int(10 ** (self.decimals - before))


def decimals(numbers: NDArray[np.float64], least: int = 0, highest: float = 0.0) -> int:
    """Return how many decimals the numbers need, at least `least`, as far as doubles and 2**62 ticks can tell.

    Args:
        numbers: Finite numbers, any shape.
        least: Decimals to start from.
        highest: A number that has to be held too.
    """
    highest = float(np.max(np.abs(numbers), initial=highest))
    rest = numbers
    for count in range(least, MAX_DECIMALS):
        unit = 10.0**count
        rest = rest[np.rint(rest * unit) / unit != rest]
        if not len(rest) or highest * unit * 10 > _MOST_TICKS:
            return count
    return MAX_DECIMALS


class GridStep:
    """The largest step that all numbers seen so far are whole multiples of: an exchange's tick, or its lot.

    The step of a few numbers says little: one price is a multiple of itself, two are of whatever lies between them. It
    is told once `ENOUGH` different numbers were seen: the chance that ten random multiples of a tick are all multiples
    of a larger step too is one in a thousand.
    """

    ENOUGH = 10

    def __init__(self) -> None:
        self._decimals = 0
        self._divisor = 0
        self._different: set[float] = set()

    @property
    def step(self) -> float | None:
        """The step; None before enough different numbers other than 0 were seen."""
        told = self._divisor and len(self._different) >= self.ENOUGH
        return float(f"{self._divisor}e-{self._decimals}") if told else None

    def refine(self, numbers: NDArray[np.float64]) -> None:
        """Take more numbers into account.

        Args:
            numbers: Finite numbers, any shape.
        """
        if len(self._different) < self.ENOUGH:
            self._different.update(np.unique(numbers[numbers != 0])[: 2 * self.ENOUGH].tolist())
        before = self._decimals
        self._decimals = decimals(numbers, before)
        units = np.rint(np.abs(numbers) * 10.0**self._decimals).astype(np.int64)
        held = self._divisor * 10 ** (self._decimals - before)
        self._divisor = int(np.gcd.reduce(units, initial=held)) if held < _MOST_TICKS else 1


def common_step(one: float | None, other: float | None) -> float | None:
    """Return the largest step that two steps are whole multiples of; of one that is not known, the other."""
    if one is None or other is None:
        return other if one is None else one
    places = decimals(np.array([one, other]))
    units = (round(step * 10**places) for step in (one, other))
    return float(f"{gcd(*units)}e-{places}")
