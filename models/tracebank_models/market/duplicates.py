"""Rows seen before, told exactly by the exchange's own ids: redundant recordings of one stream overlap fully.

A source without ids (`seq` null) has no duplicates that could be told, and none are. Whether an order-book difference
came before is the book's own rule, in `order_book`.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyroaring import BitMap64

_ID_SPACES = {"trades": "trade", "aggTrades": "aggTrade", "optionTrade": "trade"}
BY_TIME = {"bars": "interval_s", "depth_bands": "percent"}
"""Tables whose rows are named by their time and one more column, whatever they were read from."""


class SeenIds:
    """Every id met so far, in one compressed bitmap for each table, venue, symbol and id space."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, BitMap64] = {}

    def repeats(self, table: str, rows: pl.DataFrame) -> NDArray[np.bool_]:
        """Tell which rows have an id that was met before, here or earlier in the same frame, and remember all ids.

        Trades and aggregate trades are numbered apart, so the stream's kind is part of the key; the same kind from a
        live recording and from the exchange's archive (`trade`, `trades`) is one.

        Args:
            table: Name of the table that the rows are for.
            rows: With `venue`, `symbol`, `kind` and `seq`; ids are not negative. Those of bars and bands of depth are
                their times.

        Returns:
            A mask of shape (rows,).
        """
        mask = np.zeros(len(rows), np.bool_)
        space, own = pl.col("kind").replace(_ID_SPACES), pl.col("seq")
        if table in BY_TIME:
            space, own = pl.col(BY_TIME[table]), pl.col("ts").dt.timestamp("ns")
        keyed = rows.select("venue", "symbol", space.alias("space"), own.alias("id")).with_row_index("row")
        keyed = keyed.filter(pl.col("id").is_not_null())
        for key, part in keyed.partition_by("venue", "symbol", "space", as_dict=True).items():
            places, ids = part["row"].to_numpy(), part["id"].to_numpy()
            mask[places] = self._repeats(self._seen.setdefault((table, *key), BitMap64()), ids)
        return mask

    @staticmethod
    def _repeats(seen: BitMap64, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        batch = BitMap64(ids.tolist())
        mask = np.zeros(len(ids), np.bool_)
        if len(batch) < len(ids):
            mask[:] = True
            mask[np.unique(ids, return_index=True)[1]] = False
        if both := batch & seen:
            mask |= np.isin(ids, np.array(both.to_array(), np.int64))
        seen |= batch
        return mask
