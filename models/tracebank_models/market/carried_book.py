"""A book as the end of a day leaves it, to be carried into the next: all its levels, and how far it is known.

It goes on as if there had been no midnight, if the next update follows on its last. Where it is kept is not known here.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CarriedBook:
    """The whole depth of one book after an update."""

    seq: int
    """The last update id in it."""
    after_snapshot: bool
    """Whether that id is a snapshot's, which the next update may overlap."""
    state: str
    """"whole", "partial" or "stale"; a whole one stands on a snapshot, wherever its best prices have gone since."""
    bids_from: float | None
    """Lowest price from which on all bids of a whole book are known; None where there is no end."""
    asks_to: float | None
    """Highest price up to which all asks of a whole book are known; None where there is no end."""
    bid_price: NDArray[np.float64]
    """Prices of the levels, worst first, as `ask_price`."""
    bid_qty: NDArray[np.float64]
    ask_price: NDArray[np.float64]
    ask_qty: NDArray[np.float64]

    @property
    def content(self) -> str:
        """Digest of what the book says: of equal books the same, 16 hexadecimal digits."""
        told = f"{self.seq} {self.after_snapshot} {self.state} {self.bids_from} {self.asks_to} {len(self.bid_price)}"
        digest = hashlib.sha256(told.encode())
        for numbers in (self.bid_price, self.bid_qty, self.ask_price, self.ask_qty):
            digest.update(np.ascontiguousarray(numbers, np.float64).tobytes())
        return digest.hexdigest()[:16]

    def levels(self) -> str:
        """Return the levels as text: base64 of a compressed Arrow file with `is_bid`, `price` and `qty`."""
        bids = len(self.bid_price)
        frame = pl.DataFrame(
            {
                "is_bid": np.arange(bids + len(self.ask_price)) < bids,
                "price": np.concatenate([self.bid_price, self.ask_price]),
                "qty": np.concatenate([self.bid_qty, self.ask_qty]),
            }
        )
        written = BytesIO()
        frame.write_ipc(written, compression="zstd")
        return base64.b64encode(written.getvalue()).decode()

    @staticmethod
    def of_levels(
        levels: str, *, seq: int, after_snapshot: bool, state: str, bids_from: float | None, asks_to: float | None
    ) -> CarriedBook:
        """Return the book that `levels()` and the other members were taken of."""
        frame = pl.read_ipc(base64.b64decode(levels))
        sides = [
            side[name].to_numpy()
            for side in (frame.filter("is_bid"), frame.filter(~pl.col("is_bid")))
            for name in ("price", "qty")
        ]
        return CarriedBook(seq, after_snapshot, state, bids_from, asks_to, *sides)
