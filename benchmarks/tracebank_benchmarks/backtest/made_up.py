"""A made-up book and signals for measurements; no market is simulated here."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

ROW_NS = 100_000_000
"""Between rows."""
TICK_SIZE: Final = np.float64(0.1)
FIRST_NS = 1_722_988_800_000_000_000


def made_up_ticks(rows: int, levels: int = 10, seed: int = 0) -> Ticks:
    """A book whose mid walks by ticks, on an even grid of time; every level rests some quantity from 0.2 on."""
    random = np.random.default_rng(seed)
    middle = 600_000 + np.cumsum(random.integers(-2, 3, rows))
    bid = (middle - random.integers(1, 4, rows))[:, None] - np.arange(levels)
    ask = (middle + random.integers(0, 3, rows))[:, None] + np.arange(levels)
    bids, asks = (random.integers(20, 500, (rows, levels)) / 100 for _ in range(2))
    times = FIRST_NS + np.arange(rows) * ROW_NS
    segment = np.zeros(rows, np.int32)
    return Ticks("made_up", "BTCUSDT", times, "local", bid * TICK_SIZE, bids, ask * TICK_SIZE, asks, segment)


def made_up_signals(rows: int, columns: int = 5, seed: int = 1) -> NDArray[np.float32]:
    """Signals that are nearly one another, as those of neighbouring horizons are; they know nothing."""
    random = np.random.default_rng(seed)
    signals: NDArray[np.float32] = random.normal(0, 0.1, (rows, 1)).astype(np.float32)
    return signals + random.normal(0, 0.02, (rows, columns)).astype(np.float32)
