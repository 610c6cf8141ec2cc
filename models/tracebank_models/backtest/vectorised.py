"""The vectorised engine: what every decision point could begin is computed at once, then the chain is followed.

Only decision points and the rows of fills are looked at. It knows orders that take, and none that rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .decision_points import DecisionPoints, Rows, Signals, Views, decision_points, views
from .lots import DECIDED, LOT, SEGMENT_END
from .settings import StrategySettings
from .taking import Numbers, taken


class _Entries(NamedTuple):
    """Positions that could be opened, one for each decision point that wants one, `[c]` each."""

    points: Rows
    """Number of the decision point."""
    side: NDArray[np.int8]
    signal: Numbers
    price: Numbers
    qty: Numbers


def vectorised_lots(ticks: Ticks, signals: Signals, settings: StrategySettings) -> NDArray[np.void]:
    """The lots of a strategy whose orders take, `LOT` each, in order; inputs are taken as checked."""
    points = decision_points(ticks, settings)
    return lots_of_views(ticks, points, views(signals, points.rows, settings), settings)


def lots_of_views(ticks: Ticks, points: DecisionPoints, seen: Views, settings: StrategySettings) -> NDArray[np.void]:
    """The same of what signals say at decision points."""
    entries = _entries(ticks, points, seen, settings)
    lots, following = _closed(ticks, points, seen, entries, settings)
    chosen = _chain(following)
    number = np.full(len(entries.points), -1)
    number[chosen] = np.arange(len(chosen))
    kept = lots[number[lots["position"]] >= 0]
    kept["position"] = number[kept["position"]]
    ordered: NDArray[np.void] = kept[np.argsort(kept["position"], kind="stable")]
    return ordered


def _entries(ticks: Ticks, points: DecisionPoints, seen: Views, settings: StrategySettings) -> _Entries:
    wanted = (seen.side != 0) & (np.abs(seen.mean) >= settings.threshold) & (points.arrivals < points.ends)
    found = np.flatnonzero(wanted)
    side, mean = seen.side[found], seen.mean[found]
    price, qty = taken(ticks, points.arrivals[found], side, _sizes(mean, settings), settings.fill)
    return _Entries(found, side, mean, price, qty)


def _sizes(mean: Numbers, settings: StrategySettings) -> Numbers:
    if settings.sizing == "fixed":
        return np.full(len(mean), min(settings.quantity, settings.position_limit))
    bounds, sizes = (np.array(some[::-1]) for some in zip(*settings.sizes, strict=True))
    found: Numbers = sizes[np.searchsorted(bounds, np.abs(mean)) - 1]
    return np.minimum(found, settings.position_limit)


def _closed(
    ticks: Ticks, points: DecisionPoints, seen: Views, entries: _Entries, settings: StrategySettings
) -> tuple[NDArray[np.void], Rows]:
    """The lots of every possible position, numbered by it, and which possible position is next after each."""
    opened = points.arrivals[entries.points]
    attempt = _first_close(seen, _next_point(points, entries.points, opened), entries.side, settings)
    made, active, left = list[NDArray[np.void]](), np.arange(len(opened)), entries.qty.copy()
    following = np.empty(len(opened), np.int64)
    while len(active):
        lots, attempt = _round(ticks, points, entries, active, left[active], attempt, settings)
        left[active] = lots["left"]
        following[active] = attempt
        attempt, active = attempt[lots["left"] > 0], active[lots["left"] > 0]
        made.append(lots)
    lots = np.concatenate(made) if made else np.empty(0, LOT)
    return lots, np.searchsorted(entries.points, following)


def _first_close(seen: Views, after: Rows, side: NDArray[np.int8], settings: StrategySettings) -> Rows:
    """First decision point, from one on, at which a position is closed; as many as there are points for none."""
    if settings.rule == "one_run":
        return after
    found = after.copy()
    for one in (1, -1):
        against = np.append(np.flatnonzero(seen.side == -one), len(seen.side))
        found[side == one] = against[np.searchsorted(against, after[side == one])]
    return found


def _next_point(points: DecisionPoints, before: Rows, row: Rows) -> Rows:
    """The first decision point behind one, on a row or behind it."""
    return np.maximum(before + 1, np.searchsorted(points.rows, row))


def _round(
    ticks: Ticks,
    points: DecisionPoints,
    entries: _Entries,
    active: Rows,
    left: Numbers,
    attempt: Rows,
    settings: StrategySettings,
) -> tuple[NDArray[np.void], Rows]:
    """Close what the book takes of each position; the lots, and the decision point from which it goes on."""
    begun = entries.points[active]
    at, end = np.minimum(attempt, len(points.rows) - 1), points.ends[begun]
    inside = (attempt < len(points.rows)) & (points.arrivals[at] <= end)
    lots = np.empty(len(active), LOT)
    lots["position"], lots["side"], lots["signal"] = active, entries.side[active], entries.signal[active]
    lots["open_is_maker"] = lots["close_is_maker"] = False
    lots["reason"] = np.where(inside, DECIDED, SEGMENT_END)
    lots["decided"], lots["opened"] = points.rows[begun], points.arrivals[begun]
    lots["open_price"], lots["opened_qty"] = entries.price[active], entries.qty[active]
    lots["close_decided"] = np.where(inside, points.rows[at], end)
    lots["closed"] = np.where(inside, points.arrivals[at], end)
    price, qty = taken(ticks, lots["closed"], -lots["side"], left, settings.fill, ~inside)
    lots["close_price"], lots["qty"], lots["left"] = price, qty, left - qty
    return lots, np.where(inside, _next_point(points, at, lots["closed"]), np.searchsorted(points.rows, end))


def _chain(following: Rows) -> Rows:
    """Positions that come about: the first, and after each the first that can begin behind it."""
    steps, chosen, at = following.tolist(), list[int](), 0
    while at < len(steps):
        chosen.append(at)
        at = steps[at]
    return np.array(chosen, np.int64)
