"""Who decides where units go in the attention world: evenly, by estimated rates, greedily, or greedily within a gap.

Rates are estimated from what was discovered in the last periods: a site that found as many as it had units had at least
so many incidents, which the likelihood knows (a censored Poisson variable; solved by expectation and maximisation).
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from .group_figures import Ints
from .score_tables import Floats

ALLOCATORS: Final = ("greedy", "uniform", "proportional", "fair_greedy")
WINDOW: Final = 100
_STEPS: Final = 4
"""Of the estimate in each period; it goes on from the last one."""


class RateEstimates:
    """Rates of sites in several runs, out of a window of periods."""

    def __init__(self, runs: int, sites: int, units: int, window: int = WINDOW) -> None:
        self.rates = np.full((runs, sites), 1.0)
        self._counts = np.zeros((runs, sites))
        """Periods in which the number of incidents is known."""
        self._sums = np.zeros((runs, sites))
        self._censored = np.zeros((units + 1, runs, sites))
        """Periods in which there were at least so many."""
        self._levels = np.arange(units + 1.0)[:, None, None]
        self._seen: deque[tuple[Ints, Floats]] = deque()
        self._window = window

    def saw(self, placed: Ints, discovered: Floats) -> None:
        """Take in one period, and let go of what is older than the window."""
        self._add(placed, discovered, 1.0)
        self._seen.append((placed, discovered))
        if len(self._seen) > self._window:
            self._add(*self._seen.popleft(), -1.0)
        for _ in range(_STEPS):
            self._improve()

    def _add(self, placed: Ints, discovered: Floats, sign: float) -> None:
        known = discovered < placed
        self._counts += sign * known
        self._sums += sign * known * discovered
        self._censored[1:] += sign * ((self._levels[1:] == placed) & ~known)

    def _improve(self) -> None:
        survival = at_least(self.rates, len(self._levels))
        # Mean of a Poisson variable that is at least u: the rate times P(>= u - 1) / P(>= u).
        means = self.rates * survival[:-1] / np.maximum(survival[1:], 1e-12)
        periods = self._counts + self._censored[1:].sum(0)
        total = self._sums + (self._censored[1:] * means).sum(0)
        self.rates = np.where(periods > 0, np.maximum(total / np.maximum(periods, 1), 1e-6), self.rates)


def at_least(rates: Floats, levels: int) -> Floats:
    """P(incidents >= level) for levels from 0, (levels, runs, sites)."""
    found = np.empty((levels, *rates.shape))
    found[0], mass = 1.0, np.exp(-rates)
    for level in range(1, levels):
        found[level] = np.maximum(found[level - 1] - mass, 0.0)
        mass = mass * rates / level
    return found


def allocated(
    name: str, rates: Floats, units: int, random: np.random.Generator, gap: float = 0.25, order: Ints | None = None
) -> Ints:
    """Units of each site in each run.

    Args:
        name: One of `ALLOCATORS`.
        rates: Estimated, (runs, sites).
        units: To be placed.
        random: Of the uniform and the proportional one.
        gap: Largest gap of the expected share discovered between two sites that `fair_greedy` allows.
        order: Sites whose rates `fair_greedy` takes for those of each site; its null has them permuted.

    Raises:
        ValueError: The name is not known.
    """
    if name not in ALLOCATORS:
        raise ValueError(f"mitigation: {name!r} is not allowed; allowed in attention: {', '.join(ALLOCATORS)}")
    runs, sites = rates.shape
    if name in ("uniform", "proportional"):
        share = np.full_like(rates, 1 / sites) if name == "uniform" else rates / rates.sum(1, keepdims=True)
        return random.multinomial(units, share)
    survival = at_least(rates, units + 1)
    shown = rates if order is None else rates[:, order]
    found = np.zeros((runs, sites), np.int64)
    every = np.arange(runs)
    for _ in range(units):
        gain = np.take_along_axis(survival, np.minimum(found + 1, units)[None], 0)[0]
        site = gain.argmax(1)
        if name == "fair_greedy":
            least = _discovered_share(found, shown)
            apart = least.max(1) - least.min(1) > gap
            site = np.where(apart, least.argmin(1), site)
        found[every, site] += 1
    return found


def _discovered_share(placed: Ints, rates: Floats) -> Floats:
    """Expected share of incidents that units discover: sum over u of P(>= u), over the rate."""
    survival = np.cumsum(at_least(rates, int(placed.max()) + 1), axis=0) - 1.0
    found: Floats = np.take_along_axis(survival, placed[None], 0)[0] / rates
    return found
