"""A queue-reactive limit order book (Huang, Lehalle and Rosenbaum) with Hawkes market orders, from opening to close.

Rates depend on the queues; the reference price moves when a best queue empties, and with the efficient price (all
quotes are posted anew around it, which leaves the queues alone). What one order does is in `book_events`; nothing
here knows of files or feeds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .book_events import BOOK_STATE, Randomness, decay, draw_next, fresh_lots, order_event, recount
from .book_rates import Rates
from .configuration import SyntheticMarket
from .instrument import Instrument
from .random_stream import RandomState, random_state
from .tape import BOOK_SLOTS, Tape, is_full, record_ladder, record_quote

_SECOND_NS = 1_000_000_000


class Schedule(NamedTuple):
    """What happens to a book from outside, at set times."""

    move_ns: NDArray[np.int64]
    move_ticks: NDArray[np.int64]
    activity: NDArray[np.float64]
    signal: NDArray[np.float64]
    """Planted signal per window of `signal_ns`; empty plants nothing."""
    signal_ns: int
    snapshot_ns: int
    end_ns: int


@njit(cache=True, error_model="numpy")
def advance(
    state: NDArray[Any], queues: NDArray[np.int64], random: Randomness, p: Rates, plan: Schedule, tape: Tape
) -> bool:
    """Run a book until its tape is full or the market closes.

    A move of the efficient price and a snapshot change no queue, so they never disturb the sequence of random
    numbers: the same seed with other moves or another snapshot interval gives the same queues.

    Returns:
        Whether the market has closed.
    """
    book = state[0]
    while not is_full(tape):
        move_ns = plan.move_ns[book.move] if book.move < plan.move_ns.size else plan.end_ns
        second_ns = (book.second + 1) * _SECOND_NS
        now = min(min(book.next_event, move_ns), min(second_ns, book.next_snapshot))
        if now >= plan.end_ns:
            return True
        if now == book.next_snapshot:
            signal = plan.signal[now // plan.signal_ns] if plan.signal.size else np.nan
            record_ladder(tape, book, queues, now, signal)
            book.next_snapshot += plan.snapshot_ns
            continue
        if now == move_ns:
            book.ref += plan.move_ticks[book.move]
            book.move += 1
            book.update_id += 1
            record_quote(tape, book, queues, now)
            continue
        if now == second_ns:
            decay(book, p, now)
            book.second += 1
        else:
            order_event(book, queues, random, p, tape)
            record_quote(tape, book, queues, now)
        draw_next(book, random.orders, p, plan.activity[book.second])
    return False


@njit(cache=True, error_model="numpy")
def _open(state: NDArray[Any], queues: NDArray[np.int64], rng: RandomState, p: Rates, plan: Schedule) -> None:
    book = state[0]
    for side in range(2):
        for slot in range(queues.shape[1]):
            queues[side, slot] = fresh_lots(rng, p.fresh_lots)
    recount(book, queues, p)
    book.bid_price, book.bid_lots, book.ask_price, book.ask_lots = book.ref, queues[0, 0], book.ref + 1, queues[1, 0]
    draw_next(book, rng, p, plan.activity[0])


def open_book(
    market: SyntheticMarket, instrument: Instrument, venue: str, p: Rates, plan: Schedule
) -> tuple[NDArray[Any], NDArray[np.int64], Randomness]:
    """A book at the opening: its state (one record of `BOOK_STATE`), queues (side, slot) in lots, and generators."""
    name = (market.day, venue, instrument.symbol)
    random = Randomness(random_state(market.seed, "orders", *name), random_state(market.seed, "ties", *name))
    numbering = random_state("numbering", *name)
    state = np.zeros(1, BOOK_STATE)
    queues = np.zeros((2, BOOK_SLOTS), np.int64)
    state["ref"] = instrument.base_ticks
    state["update_id"] = state["last_update_id"] = 10_000_000_000 + int(numbering[0] % 1_000_000_000)
    state["trade_id"] = 100_000_000 + int(numbering[1] % 100_000_000)
    _open(state, queues, random.orders, p, plan)
    return state, queues, random
