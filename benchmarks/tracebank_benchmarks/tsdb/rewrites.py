"""Rows that are sent a second time where they stand, as they were or corrected: which, and how reads tell what became
of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

AGAIN_READ: Final = "R2"
"""The read that tells: its counts see rows that stand twice, its prices see corrections."""
AGAIN_ROWS: Final = "again-rows"
"""Reference whose file has the trades that are sent again."""
OVERWRITTEN: Final = "again-overwritten"
"""Reference of `AGAIN_READ` where they replaced those that stood."""
DOUBLED: Final = "again-doubled"
"""Reference of it where they are kept beside them."""
AGAIN: Final = (AGAIN_ROWS, OVERWRITTEN, DOUBLED)
_SHARE: Final = 0.001
_DRAWN: Final = 4
"""So many times what is wanted is drawn, since those that tie are left out."""
_LEAST_SEEN: Final = 6
"""So many at least are where `AGAIN_READ` sees them, if there are any there."""


def sent_again(trades: pl.DataFrame, seen: pl.Expr, seed: int) -> pl.DataFrame:
    """Return trades as they are sent a second time: every other one as it was, the others at twice their price.

    They tie with no other trade of their symbol, since some engines tell rows apart by their time.

    Args:
        trades: All of them.
        seen: Which of them `AGAIN_READ` sees.
        seed: The same seed gives the same rows.
    """
    rng = np.random.default_rng([seed, trades.height])
    most = max(1, int(_SHARE * trades.height))
    drawn = rng.choice(trades.height, min(trades.height, _DRAWN * most), replace=False)
    inside = trades.filter(seen)
    near = rng.choice(inside.height, min(inside.height, 4 * _LEAST_SEEN), replace=False)
    # Those that are seen come first, so that they are kept.
    some = pl.concat([inside[np.sort(near)], trades[drawn]]).unique("seq", maintain_order=True)
    counts = trades.join(some, on=["symbol", "ts"], how="semi").group_by("symbol", "ts").len()
    alone = some.join(counts.filter(pl.col("len") == 1), on=["symbol", "ts"], how="semi", maintain_order="left")
    alone = alone.head(max(most, _LEAST_SEEN)).sort("ts", "seq")
    twice = pl.when(pl.int_range(pl.len()) % 2 == 1).then(pl.col("price") * 2).otherwise("price")
    return alone.with_columns(twice.alias("price"))


def rewritten(trades: pl.DataFrame, again: pl.DataFrame, *, overwritten: bool) -> pl.DataFrame:
    """Return the trades that stand once those of `again` have come."""
    standing = trades.join(again, on="seq", how="anti") if overwritten else trades
    return pl.concat([standing, again])
