"""What ticks and signals have to be before an engine reads them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .decision_points import Signals
from .settings import StrategySettings


def check_inputs(ticks: Ticks, signals: Signals, settings: StrategySettings) -> None:
    """Refuse what cannot be traded on.

    Raises:
        ValueError: The line names the column, the first row, its value and what is allowed.
    """
    rows = len(ticks)
    if not rows:
        raise ValueError("ticks: 0 rows are not allowed; allowed: one or more")
    late = np.flatnonzero(ticks.times[1:] < ticks.times[:-1])
    if len(late):
        raise ValueError(f"ticks.times: row {late[0] + 1} is before the row above it; allowed: times that rise")
    _check_signals(signals, rows, settings)
    for name, values, good, allowed in _book(ticks, settings.fill == "walk"):
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise ValueError(f"ticks.{name}: {values[row]} in row {row} is not allowed; allowed: {allowed}")


def _check_signals(signals: Signals, rows: int, settings: StrategySettings) -> None:
    if signals.ndim != 2 or len(signals) != rows or not signals.shape[1] or signals.dtype != np.float32:
        raise ValueError(
            f"signals: {signals.dtype} of shape {signals.shape} is not allowed; allowed: float32 of shape"
            f" ({rows}, signals), a row for each tick"
        )
    if (most := max(settings.signals, default=0)) >= signals.shape[1]:
        raise ValueError(
            f"StrategySettings.signals: {most} is not allowed; allowed: columns below {signals.shape[1]}, as there are"
        )
    if np.isinf(signals).any():
        row = int(np.flatnonzero(np.isinf(signals).any(axis=1))[0])
        raise ValueError(f"signals: infinity in row {row} is not allowed; allowed: numbers, or NaN where there is none")


def _book(ticks: Ticks, walks: bool) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.bool_], str]]:
    """Columns, where each is good, and what is; of levels behind the best those that are walked."""
    for level in range(ticks.bid_price.shape[1] if walks else 1):
        # Columns of a table of rows are far apart in memory: each is read once.
        bid, ask = ticks.bid_price[:, level].copy(), ticks.ask_price[:, level].copy()
        yield f"bid_price_{level}", bid, (bid > 0) & (bid < np.inf), "prices above 0"
        yield f"ask_price_{level}", ask, (ask > 0) & (ask < np.inf), "prices above 0"
        for name in ("bid_qty", "ask_qty"):
            qty = getattr(ticks, name)[:, level].copy()
            yield f"{name}_{level}", qty, (qty > 0) & (qty < np.inf), "quantities above 0"
        if level == 0:
            yield "bid_price_0", bid, bid <= ask, "at most the best ask (the book is crossed)"
