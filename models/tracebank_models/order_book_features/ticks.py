"""Ticks: the whole rows of one order book, in the order of the clock that decisions are made on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Price = Literal["mid", "weighted_mid", "micro_price"]
"""What of a book counts as its price."""
PRICES: Final[tuple[Price, ...]] = ("mid", "weighted_mid", "micro_price")


class BookRow(NamedTuple):
    """One row of a book, the best level first."""

    time: int
    """ns since 1970, by the clock that ticks are on."""
    bid_price: NDArray[np.float64]
    """`[levels]`; NaN where a level is absent."""
    bid_qty: NDArray[np.float64]
    ask_price: NDArray[np.float64]
    ask_qty: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ticks:
    """A book's rows; n of them, levels from the best on."""

    venue: str
    symbol: str
    times: NDArray[np.int64]
    """`[n]`, ns since 1970, rising: when the row was known, by `clock`."""
    clock: str
    """local: when the recorder received it; exchange: where no local time was recorded."""
    bid_price: NDArray[np.float64]
    """`[n, levels]`."""
    bid_qty: NDArray[np.float64]
    ask_price: NDArray[np.float64]
    ask_qty: NDArray[np.float64]
    segment: NDArray[np.int32]
    """`[n]`, number of the unbroken stretch; no window and no return crosses from one to the next."""

    def __len__(self) -> int:
        """Rows."""
        return len(self.times)

    def part(self, rows: range) -> Ticks:
        """Some rows in their order, sharing memory."""
        cut = slice(rows.start, rows.stop, rows.step)
        columns = ("times", "bid_price", "bid_qty", "ask_price", "ask_qty", "segment")
        return replace(self, **{name: getattr(self, name)[cut] for name in columns})

    def price(self, name: Price) -> NDArray[np.float64]:
        """One price of every row, `[n]`.

        `weighted_mid` weighs each side's price by the same side's quantity, as the paper (2302.13850) has it;
        `micro_price` by the other side's.
        """
        bid, ask = self.bid_price[:, 0], self.ask_price[:, 0]
        if name == "mid":
            return (bid + ask) / 2
        bids, asks = self.bid_qty[:, 0], self.ask_qty[:, 0]
        if name == "micro_price":
            bids, asks = asks, bids
        return (bid * bids + ask * asks) / (bids + asks)
