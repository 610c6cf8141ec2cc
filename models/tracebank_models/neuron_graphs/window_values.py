"""What units do on every token of their windows, read out of a stream of codes.

A value is that in the whole document, whatever the window leaves out of it.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.features.streams import TokenBatch, TokenPlaces


class WindowValues:
    """Reads what units do on the tokens of their windows out of a stream."""

    def __init__(self, windows: pl.DataFrame, places: TokenPlaces) -> None:
        """Start with nothing read.

        Args:
            windows: `strata.windows_around`, of the documents that are tested on or of the others.
            places: Every token of the stream.
        """
        lengths = (windows["last"] - windows["first"] + 1).to_numpy()
        self._of = np.repeat(np.arange(windows.height), lengths)
        ends = np.cumsum(lengths)
        self._row = (
            windows["first"].to_numpy()[self._of] + np.arange(self._of.size) - np.repeat(ends - lengths, lengths)
        )
        self._unit = windows["unit"].to_numpy()[self._of]
        self._order = np.argsort(self._row, kind="stable")
        self._sorted = self._row[self._order]
        self._value = np.full(self._of.size, np.nan, np.float32)
        self._windows, self._places = windows, places

    def update(self, codes: Tensor, batch: TokenBatch) -> None:
        """Take in activations of all units, (tokens, units), of tokens that follow one another."""
        start = int(batch.rows[0])
        low, high = np.searchsorted(self._sorted, [start, start + len(batch.rows)])
        here = self._order[low:high]
        self._value[here] = codes.cpu().float().numpy()[self._row[here] - start, self._unit[here]]

    def tokens(self, maxima: NDArray[np.float32]) -> pl.DataFrame:
        """Every token of every window.

        Args:
            maxima: Largest activation of each unit on the documents that it is described from, (units,).

        Returns:
            Columns unit, stratum, window, row, document, position, token_id, scored and value (over the unit's maximum;
            0 where that is not above 0), in the order of windows.

        Raises:
            ValueError: Some were not in the stream.
        """
        if absent := int(np.isnan(self._value).sum()):
            raise ValueError(f"windows: {absent} of {self._of.size} tokens were not in the stream: read all of it")
        scale = maxima[self._unit]
        value = np.divide(self._value, scale, out=np.zeros_like(self._value), where=scale > 0)
        return self._windows.select("unit", "stratum", "window")[self._of].with_columns(
            pl.Series("row", self._row),
            pl.Series("document", self._places.documents[self._row]),
            pl.Series("position", self._places.positions[self._row]),
            pl.Series("token_id", self._places.token_ids[self._row]),
            pl.Series("scored", self._row >= self._windows["scored"].to_numpy()[self._of]),
            pl.Series("value", value),
        )
