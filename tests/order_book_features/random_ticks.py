"""Books of random prices and quantities, cut into unbroken stretches."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tracebank_models.order_book_features.ticks import Ticks

LEVELS = 10


def random_ticks(lengths: list[int], seed: int, levels: int = LEVELS) -> Ticks:
    """Stretches of so many rows, on a grid of 0.01 near 30,000."""
    random, n = np.random.default_rng(seed), sum(lengths)
    best = 3_000_000 + np.cumsum(random.integers(-3, 4, n))[:, None]
    below, above = (np.cumsum(random.integers(1, 4, (n, levels)), axis=1) for _ in range(2))
    bid_qty, ask_qty = (random.integers(1, 5_000, (n, levels)) / 1_000 for _ in range(2))
    times = np.arange(n, dtype=np.int64) * 100_000_000
    segment = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return Ticks(
        "v", "S", times, "local", (best - below) / 100, bid_qty, (best + above) / 100, ask_qty, segment
    )  # fmt: skip


def stretches(most: int = 60) -> st.SearchStrategy[Ticks]:
    """Up to four stretches."""
    lengths = st.lists(st.integers(1, most), min_size=1, max_size=4)
    return st.builds(random_ticks, lengths, st.integers(0, 2**32 - 1))
