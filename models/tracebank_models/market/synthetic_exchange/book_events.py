"""What one order does to a queue-reactive book: limit, cancellation, market order, and moves of the reference price.

Slot `i` of a side lies `i` ticks from the reference price's own slot: bids at `ref - i`, asks at `ref + 1 + i`.
Nothing here knows the clock of the day, files or feeds.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .book_rates import Rates
from .random_stream import RandomState, exponential, normal, uniform
from .tape import Tape, record_trade

FEWEST_LEVELS = 12
"""A side is never taken below this many prices, so that a ten-level snapshot is always whole."""
_SECOND_NS = 1_000_000_000

BOOK_STATE = np.dtype(
    [(name, np.int64) for name in ("time", "next_event", "next_snapshot", "second", "move", "ref", "distance")]
    + [(name, np.int64) for name in ("update_id", "last_update_id", "trade_id", "ladders_done", "splits")]
    + [(name, np.int64) for name in ("bid_price", "bid_lots", "ask_price", "ask_lots", "bid_levels", "ask_levels")]
    + [
        (name, np.float64)
        for name in ("cancel_total", "excited_buy", "excited_sell", "bound", "exogenous", "arbitrage")
    ]
)
"""State of one book. `distance` is the reference price minus the venue's efficient price, in ticks."""


class Randomness(NamedTuple):
    """Two generators, so that a defect never changes what the book does."""

    orders: RandomState
    ties: RandomState


@njit(cache=True, error_model="numpy")
def fresh_lots(rng: RandomState, mean: float) -> int:
    """A size of at least one lot: one more than an exponential number of that mean, rounded down."""
    return 1 + int(mean * exponential(rng))


@njit(cache=True, error_model="numpy")
def recount(book: Any, queues: NDArray[np.int64], p: Rates) -> None:
    """Work out anew what follows from the queues."""
    book.cancel_total, book.bid_levels, book.ask_levels = 0.0, 0, 0
    for slot in range(queues.shape[1]):
        book.cancel_total += p.cancel[slot] * (queues[0, slot] + queues[1, slot])
        book.bid_levels += queues[0, slot] > 0
        book.ask_levels += queues[1, slot] > 0


@njit(cache=True, error_model="numpy")
def _move_reference(book: Any, queues: NDArray[np.int64], rng: RandomState, p: Rates, side: int) -> None:
    """Move the reference price one tick towards an emptied side (1: asks, so up), if its first slot is empty."""
    away = 1 - side
    levels = book.bid_levels if away == 0 else book.ask_levels
    if queues[side, 0] != 0 or levels <= FEWEST_LEVELS:
        return
    last = queues.shape[1] - 1
    for slot in range(last):
        queues[side, slot] = queues[side, slot + 1]
    queues[side, last] = fresh_lots(rng, p.fresh_lots)
    for slot in range(last, 0, -1):
        queues[away, slot] = queues[away, slot - 1]
    queues[away, 0] = 0
    step = 2 * side - 1
    book.ref += step
    book.distance += step
    recount(book, queues, p)


@njit(cache=True, error_model="numpy")
def _take(book: Any, queues: NDArray[np.int64], p: Rates, side: int, slot: int, lots: int) -> int:
    """Remove up to `lots` from a queue; returns what was removed."""
    levels = book.bid_levels if side == 0 else book.ask_levels
    taken = min(lots, queues[side, slot])
    if taken == queues[side, slot] and levels <= FEWEST_LEVELS:
        taken -= 1
    queues[side, slot] -= taken
    book.cancel_total -= p.cancel[slot] * taken
    if queues[side, slot] == 0:
        if side == 0:
            book.bid_levels -= 1
        else:
            book.ask_levels -= 1
    return int(taken)


@njit(cache=True, error_model="numpy")
def _limit_order(book: Any, queues: NDArray[np.int64], rng: RandomState, p: Rates, pick: float) -> None:
    side = 0
    if pick >= 0.5 * p.limit_total:
        side, pick = 1, pick - 0.5 * p.limit_total
    slot, last = 0, queues.shape[1] - 1
    while slot < last and pick >= p.limit[slot]:
        pick -= p.limit[slot]
        slot += 1
    queue = queues[side, slot]
    if uniform(rng) * (1.0 + queue / p.saturation_lots) > 1.0:
        return
    lots = fresh_lots(rng, p.mean_lots - 0.5)
    queues[side, slot] = queue + lots
    book.cancel_total += p.cancel[slot] * lots
    book.update_id += 1
    if queue == 0:
        if side == 0:
            book.bid_levels += 1
        else:
            book.ask_levels += 1


@njit(cache=True, error_model="numpy")
def _cancel_order(book: Any, queues: NDArray[np.int64], rng: RandomState, p: Rates, pick: float) -> None:
    side, slot = 0, 0
    for index in range(2 * queues.shape[1]):
        at_side, at_slot = index & 1, index >> 1
        if queues[at_side, at_slot] > 0:
            side, slot = at_side, at_slot
            pick -= p.cancel[at_slot] * queues[at_side, at_slot]
            if pick < 0.0:
                break
    taken = _take(book, queues, p, side, slot, fresh_lots(rng, p.mean_lots - 0.5))
    book.update_id += taken > 0
    while slot >= 0 and queues[side, slot] == 0:
        slot -= 1
    if slot < 0 and uniform(rng) < p.reference_move:
        _move_reference(book, queues, rng, p, side)


@njit(cache=True, error_model="numpy")
def _market_order(book: Any, queues: NDArray[np.int64], random: Randomness, p: Rates, tape: Tape, side: int) -> None:
    """Execute a market order against a side (1: asks, so the aggressor buys)."""
    rng, is_buy, emptied = random.orders, side == 1, 0
    left = max(1, int(p.market_lots * math.exp(p.market_sigma * normal(rng)) + 0.5))
    book.update_id += 1
    for slot in range(queues.shape[1]):
        if queues[side, slot] == 0:
            continue
        taken = _take(book, queues, p, side, slot, left)
        if taken == 0:
            break
        price = book.ref + 1 + slot if is_buy else book.ref - slot
        if uniform(random.ties) < p.ties and taken > 1:
            first = 1 + int((taken - 1) * uniform(random.ties))
            record_trade(tape, book, price, first, is_buy)
            record_trade(tape, book, price, taken - first, is_buy)
            book.splits += 1
        else:
            record_trade(tape, book, price, taken, is_buy)
        emptied += queues[side, slot] == 0
        left -= taken
        if left == 0:
            break
    book.excited_buy += p.jump_self if is_buy else p.jump_cross
    book.excited_sell += p.jump_cross if is_buy else p.jump_self
    for _ in range(emptied):
        if uniform(rng) < p.reference_move:
            _move_reference(book, queues, rng, p, side)


@njit(cache=True, error_model="numpy")
def draw_next(book: Any, rng: RandomState, p: Rates, activity: float) -> None:
    """Draw the time of the next event from the rates as they stand (an upper bound: intensities only decay)."""
    book.exogenous = p.market_rate * activity
    book.arbitrage = p.arbitrage * abs(book.distance)
    book.bound = p.limit_total + book.cancel_total + book.arbitrage + book.exogenous
    book.bound += book.excited_buy + book.excited_sell
    book.next_event = book.time + 1 + int(exponential(rng) / book.bound * _SECOND_NS)


@njit(cache=True, error_model="numpy")
def decay(book: Any, p: Rates, time_ns: int) -> None:
    """Let the excited intensities fall until a time, which becomes the book's."""
    kept = math.exp(-p.decay * (time_ns - book.time) * 1e-9)
    book.excited_buy *= kept
    book.excited_sell *= kept
    book.time = time_ns


@njit(cache=True, error_model="numpy")
def order_event(book: Any, queues: NDArray[np.int64], random: Randomness, p: Rates, tape: Tape) -> None:
    """One event of the book at its drawn time; thinning keeps the decaying intensities exact."""
    pick = uniform(random.orders) * book.bound
    decay(book, p, book.next_event)
    if pick < p.limit_total:
        _limit_order(book, queues, random.orders, p, pick)
    elif pick < p.limit_total + book.cancel_total:
        _cancel_order(book, queues, random.orders, p, pick - p.limit_total)
    elif pick < p.limit_total + book.cancel_total + book.arbitrage:
        step = -1 if book.distance > 0 else 1
        book.ref += step
        book.distance += step
        book.update_id += 1
    else:
        pick -= p.limit_total + book.cancel_total + book.arbitrage
        imbalance = (book.bid_lots - book.ask_lots) / (book.bid_lots + book.ask_lots)
        lean = p.imbalance_response * imbalance - p.venue_pull * book.distance
        buy = book.exogenous / (1.0 + math.exp(-lean)) + book.excited_buy
        if pick < book.exogenous + book.excited_buy + book.excited_sell:
            _market_order(book, queues, random, p, tape, int(pick < buy))
