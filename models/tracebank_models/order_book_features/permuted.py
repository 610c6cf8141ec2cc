"""Ticks whose outer levels say nothing: the null that a signal in the outer depth is held against."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from .ticks import Ticks

FIRST_OUTER: Final = 5
"""The first of the outer levels, whose imbalance a planted signal is in."""


def outer_levels_permuted(ticks: Ticks, seed: int) -> Ticks:
    """The same ticks, with the quantities of the outer levels of another row each, both sides together.

    What a row's outer levels look like stays; when they did is lost. Prices and inner levels are untouched.

    Raises:
        ValueError: The ticks have no outer levels.
    """
    levels = ticks.bid_qty.shape[1]
    if levels <= FIRST_OUTER:
        raise ValueError(f"levels: {levels} a side are not allowed; allowed: more than {FIRST_OUTER}")
    order = np.random.default_rng(seed).permutation(len(ticks))
    bids, asks = ticks.bid_qty.copy(), ticks.ask_qty.copy()
    for quantities in (bids, asks):
        quantities[:, FIRST_OUTER:] = quantities[order, FIRST_OUTER:]
    return replace(ticks, bid_qty=bids, ask_qty=asks)
