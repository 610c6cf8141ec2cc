"""Ticks of a made book: a mid that walks, quantities that lean, and a signal where one is planted."""

from __future__ import annotations

import numpy as np

from tracebank_models.order_book_features.ticks import Ticks

LEVELS = 10


def made_ticks(
    rows: int = 3_000, seed: int = 0, signal: float = 0.0, broken: tuple[int, ...] = (), tick: float = 0.01
) -> Ticks:
    """A book whose next mid moves by `signal` times the lean of its best quantities, and at random besides."""
    random = np.random.default_rng(seed)
    lean = random.uniform(-0.8, 0.8, rows)
    move = signal * lean + random.normal(0, 1, rows)
    mid = 30_000 + 3.0 * np.concatenate(([0.0], np.cumsum(move[:-1])))
    below = tick / 2 + tick * np.arange(LEVELS)
    quantity = random.gamma(2, 1, (2, rows, LEVELS)) + 0.1
    total = quantity[:, :, 0].sum(0)
    quantity[0, :, 0], quantity[1, :, 0] = total * (1 + lean) / 2, total * (1 - lean) / 2
    segment = np.zeros(rows, np.int32)
    for at in broken:
        segment[at:] += 1
    return Ticks(
        venue="made",
        symbol="BTCUSDT",
        times=np.arange(rows, dtype=np.int64) * 100_000_000,
        clock="local",
        bid_price=mid[:, None] - below,
        bid_qty=quantity[0],
        ask_price=mid[:, None] + below,
        ask_qty=quantity[1],
        segment=segment,
    )
