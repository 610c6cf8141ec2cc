"""A trained forecaster on live rows: one comes in, its forecast goes out; what a window needs is kept in a ring.

What it says is what `TrainedForecaster.forecast` says of the same rows stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tracebank_models.device import one_thread
from tracebank_models.order_book_features.features import feature_matrix
from tracebank_models.order_book_features.reading import LONGEST_PAUSE_S
from tracebank_models.order_book_features.ticks import BookRow, Ticks

from .registry import MODELS
from .rows import autocast, windows
from .settings import ForecastSettings

_SIDES: Final = ("bid_price", "bid_qty", "ask_price", "ask_qty")


class Stream:
    """Forecasts of rows as they come, on the CPU; a row costs one window."""

    def __init__(self, settings: ForecastSettings, modules: Sequence[nn.Module]) -> None:
        """Begin with nothing known.

        Args:
            settings: Of a trained forecaster; its `stream` makes this.
            modules: Its modules, on the CPU.
        """
        self.settings, self.modules = settings, modules
        self._sees = MODELS[self.settings.model].sees
        look_back, columns = self.settings.look_back, self.settings.columns
        self._tail = look_back if self._sees else _reach(columns)
        self._ring = np.zeros((2 * look_back, len(columns)), np.float32)
        # Lies over the ring: what is written there is seen here.
        self._windows = windows(self._ring, self.settings, torch.device("cpu"))
        self.reset()

    def reset(self) -> None:
        """Forget every row: an unbroken stretch begins with the next."""
        self._rows: list[BookRow] = []
        self._known = 0

    def push(self, row: BookRow | None) -> NDArray[np.float32] | None:
        """Take a row in, and forecast from it and those before it.

        What is no whole row resets the stream: None (a skipped update, a stale book), a level that is absent, a price
        or quantity that is not above 0, a crossed book; so does a pause longer than stored ticks may have. A row
        that is older than the one before it is left out.

        Returns:
            `[horizons, outputs]`; None while the unbroken stretch is shorter than a window.

        Raises:
            ValueError: The features need more levels than the row has.
        """
        if row is None or not _is_whole(row):
            self.reset()
            return None
        if self._rows and row.time < self._rows[-1].time:
            return None
        if self._rows and row.time - self._rows[-1].time > LONGEST_PAUSE_S * 1e9:
            self.reset()
        # The first row stays: features may be told from its price.
        self._rows = [*self._rows[:1], *self._rows[1:][1 - self._tail :], row]
        self._known += 1
        shown = self._shown()
        if self._known < self.settings.look_back:
            return None
        with one_thread(), torch.no_grad(), autocast(self.settings, torch.device("cpu")):
            said = torch.cat([module(shown).float() for module in self.modules], 1)
        return said[0].numpy()

    def _shown(self) -> torch.Tensor:
        """What modules are shown of the last row, `[1, ...]`; kept for the windows to come."""
        ticks = _ticks(self._rows)
        if self._sees:
            return self._sees(ticks, self.settings)[-1:]
        look_back = self.settings.look_back
        at = look_back + (self._known - 1) % look_back
        if at == look_back:
            self._ring[:look_back] = self._ring[look_back:]
        self._ring[at] = feature_matrix(ticks, self.settings.columns)[-1]
        return self._windows.batch(torch.tensor([at]))


def _reach(columns: tuple[str, ...]) -> int:
    """Rows that a row's features are made of, itself included."""
    lags = [int(lag) for name in columns for lag in re.findall(r"return_(\d+)$", name)]
    return max(lags, default=0) + 2


def _is_whole(row: BookRow) -> bool:
    sides = np.concatenate(row[1:])
    return bool(np.isfinite(sides).all() and (sides > 0).all() and row.bid_price[0] < row.ask_price[0])


def _ticks(rows: list[BookRow]) -> Ticks:
    sides = {side: np.array([getattr(row, side) for row in rows]) for side in _SIDES}
    times = np.array([row.time for row in rows])
    return Ticks("", "", times, "local", segment=np.zeros(len(rows), np.int32), **sides)
