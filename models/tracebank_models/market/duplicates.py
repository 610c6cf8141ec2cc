"""Rows seen before, told exactly by the exchange's own ids: redundant recordings of one stream overlap fully.

Trades of a source without ids are told by the times that other files cover, since they would count volume twice; of
other rows without ids no duplicates are told. Whether an order-book difference came before is the book's own rule, in
`order_book`.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

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


class CoveredTimes:
    """Trades that no ids tell: those within the time that a file read before covers are counted already."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, str], dict[Path, tuple[int, int, bool]]] = {}

    def repeats(self, path: Path, trades: pl.DataFrame, has_ids: bool) -> NDArray[np.bool_]:
        """Tell which trades lie in the time of another file, where not both have ids, and remember their times.

        A file that begins when the other ends goes on with it: the trades of that moment are in both or in one, and
        all are kept.

        Args:
            path: The file that they are of.
            trades: With `venue`, `symbol` and `ts`.
            has_ids: Whether their `seq` is the venue's own.

        Returns:
            A mask of shape (trades,).
        """
        times = trades["ts"].dt.timestamp("ns").to_numpy()
        mask = np.zeros(len(trades), np.bool_)
        spans = trades.group_by("venue", "symbol").agg(
            pl.col("ts").min().alias("low"), pl.col("ts").max().alias("high")
        )
        for venue, symbol, low, high in spans.with_columns(pl.col("low", "high").dt.timestamp("ns")).iter_rows():
            files = self._spans.setdefault((venue, symbol), {})
            first, last, _ = files.get(path, (low, high, has_ids))
            first, last = min(first, low), max(last, high)
            others = [span for file, span in files.items() if file != path and not (has_ids and span[2])]
            for begin, end, _ in others:
                if first < end:
                    mine = (trades["venue"] == venue) & (trades["symbol"] == symbol)
                    mask |= mine.to_numpy() & (times >= begin) & (times <= end)
            files[path] = first, last, has_ids
        return mask
