"""Rows on which a strategy decides, when an order then reaches the book, and what the signals say there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .settings import StrategySettings

Rows = NDArray[np.int64]
Signals = NDArray[np.float32]


class DecisionPoints(NamedTuple):
    """Where decisions are made, in order, `[m]` each."""

    rows: Rows
    """Every `horizon` rows from the first of each segment on, without its last, on which nothing can be begun."""
    ends: Rows
    """Last row of the segment."""
    arrivals: Rows
    """Row on which an order that is decided here reaches the book; it may lie beyond the segment."""


class Views(NamedTuple):
    """What signals say at decision points, `[m]` each."""

    side: NDArray[np.int8]
    """1 (-1) where all chosen signals are above (below) 0, else 0, as where one is NaN."""
    mean: NDArray[np.float64]


def decision_points(ticks: Ticks, settings: StrategySettings) -> DecisionPoints:
    """Find the rows; no other row of the ticks is looked at."""
    starts, ends = segment_bounds(ticks.segment)
    counts = -(-(ends - starts) // settings.horizon)
    before = np.cumsum(counts) - counts
    steps = np.arange(int(counts.sum())) - np.repeat(before, counts)
    rows = np.repeat(starts, counts) + settings.horizon * steps
    return DecisionPoints(rows, np.repeat(ends, counts), _arrivals(ticks, rows, settings))


def segment_bounds(segment: NDArray[np.int32]) -> tuple[Rows, Rows]:
    """First and last row of each segment."""
    starts = np.append(0, np.flatnonzero(segment[1:] != segment[:-1]) + 1)
    return starts, np.append(starts[1:], len(segment)) - 1


def _arrivals(ticks: Ticks, rows: Rows, settings: StrategySettings) -> Rows:
    if settings.delay_unit == "ticks" or not settings.delay:
        return rows + int(settings.delay)
    return np.searchsorted(ticks.times, ticks.times[rows] + delay_ns(settings))


def delay_ns(settings: StrategySettings) -> int:
    """The delay in nanoseconds, where it is in milliseconds."""
    return round(settings.delay * 1e6)


def views(signals: Signals, rows: Rows, settings: StrategySettings) -> Views:
    """What the chosen signals say on rows; they are summed in order, as any engine has to."""
    columns = settings.signals or range(signals.shape[1])
    up, down = np.ones(len(rows), np.bool_), np.ones(len(rows), np.bool_)
    total = np.zeros(len(rows))
    for column in columns:
        one = signals[rows, column]
        up &= one > 0
        down &= one < 0
        total += one
    return Views(up.astype(np.int8) - down.astype(np.int8), total / len(columns))
