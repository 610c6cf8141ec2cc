"""One venue and symbol from opening to close, as a stream of tapes; and the strength that a planted signal needs.

Brings the efficient price, the planted signal and the book together. Knows no feed defects, files or frames.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .book_rates import rates
from .configuration import SyntheticMarket
from .efficient_price import SECOND_NS, EfficientPrice, efficient_price, seen_at_venue
from .instrument import Instrument
from .planted_signal import PlantedSignal, explained_share, plant, planted_moves, strength
from .queue_reactive import Schedule, advance, open_book
from .random_stream import RandomState, fill_exponential, random_state
from .tape import Tape, new_tape, rewind

_VENUE_DELAY_MS = 15.0


def venue_delay_ms(market: SyntheticMarket, venue: str) -> float:
    """Mean time that a move of the efficient price takes to a venue: 15 ms for the first, 15 ms more for each next."""
    return _VENUE_DELAY_MS * (1 + market.venues.index(venue))


def _planted_at_venue(
    market: SyntheticMarket, instrument: Instrument, planted: PlantedSignal, delay_ms: float, state: RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Planted moves with the venue's delay, none of them leaving its window."""
    times, ticks = planted_moves(market, instrument, planted)
    delay = np.empty(times.size)
    fill_exponential(state, delay)
    horizon_ns = market.signal_horizon_s * SECOND_NS
    last = (times // horizon_ns + 1) * horizon_ns - 1
    return np.minimum(times + (delay * delay_ms * 1e6).astype(np.int64), last), ticks


def _schedule(
    market: SyntheticMarket, instrument: Instrument, venue: str, price: EfficientPrice, planted: PlantedSignal | None
) -> Schedule:
    delay_ms = venue_delay_ms(market, venue)
    name = (market.day, venue, instrument.symbol)
    seen = seen_at_venue(price, delay_ms, random_state(market.seed, "venue delay", *name))
    times, ticks, signal = seen.time_ns, seen.ticks, np.empty(0)
    if planted is not None:
        state = random_state(market.seed, "signal delay", *name)
        more_times, more_ticks = _planted_at_venue(market, instrument, planted, delay_ms, state)
        times, ticks = np.concatenate([times, more_times]), np.concatenate([ticks, more_ticks])
        order = np.argsort(times, kind="stable")
        times, ticks, signal = times[order], ticks[order], planted.signal
    interval_ns = market.snapshot_interval_ms * 1_000_000
    horizon_ns = market.signal_horizon_s * SECOND_NS
    # `advance` reads the activity once more at the last full second, before it sees that the market has closed.
    activity = np.append(seen.activity, seen.activity[-1:])
    return Schedule(times, ticks, activity, signal, horizon_ns, interval_ns, market.duration_s * SECOND_NS)


@dataclass(slots=True)
class VenueSession:
    """A venue and symbol that is being simulated; `tapes` runs it once."""

    market: SyntheticMarket
    instrument: Instrument
    venue: str
    planted: PlantedSignal | None
    split_fills: int = 0
    """Fills so far that met two resting orders and so made two trades."""
    _mids: list[NDArray[np.int64]] = field(default_factory=list)

    @classmethod
    def of(cls, market: SyntheticMarket, symbol: str, venue: str) -> VenueSession:
        """Prepare the session of one venue and symbol of a market.

        Raises:
            ValueError: The market has no such symbol or venue.
        """
        instrument = market.instrument(symbol)
        if venue not in market.venues:
            raise ValueError(f"venue: {venue!r} is not in this market; allowed: {', '.join(market.venues)}")
        planted = None
        if market.signal_r2 is not None:
            planted = plant(market, instrument, _calibrated(market, instrument))
        return cls(market, instrument, venue, planted)

    def tapes(self) -> Iterator[Tape]:
        """Simulate from opening to close.

        Yields:
            The same buffers again and again, each time with the next chunk: copy what must be kept.

        Raises:
            ValueError: The price fell to zero.
        """
        price = efficient_price(self.market, self.instrument)
        parameters = rates(self.market, self.instrument)
        plan = _schedule(self.market, self.instrument, self.venue, price, self.planted)
        state, queues, random = open_book(self.market, self.instrument, self.venue, parameters, plan)
        tape, closed = new_tape(self.market), False
        while not closed:
            rewind(tape)
            closed = advance(state, queues, random, parameters, plan, tape)
            self._check_price(state)
            self.split_fills = int(state["splits"][0])
            self._keep_mids(tape)
            yield tape

    def _check_price(self, state: NDArray[Any]) -> None:
        if int(state["ref"][0]) < 100:
            raise ValueError(
                f"annual_volatility: {self.market.annual_volatility!r} took {self.instrument.symbol} at {self.venue} "
                "to within 100 ticks of zero; allowed: a lower volatility, signal_r2 or seed, or a higher base_price"
            )

    def _keep_mids(self, tape: Tape) -> None:
        rows = slice(1, int(tape.sizes[2]) + 1)
        at_window = tape.heads[rows, 0] % (self.market.signal_horizon_s * SECOND_NS) == 0
        best = tape.ladders[rows, :, 0, 0][at_window]
        self._mids.append(best[:, 0] + best[:, 1])

    def returns(self) -> NDArray[np.float64]:
        """Change of the mid price over each whole window that has been simulated, in ticks."""
        mids = np.concatenate([np.empty(0), *self._mids])
        return np.asarray(0.5 * (mids[1:] - mids[:-1]))

    def signal_share(self) -> float | None:
        """R² of the next window's return on the signal, from the day's variance without it; None without a signal."""
        if self.planted is None:
            return None
        returns = self.returns()
        rest = returns - self.planted.ticks[: returns.size]
        return explained_share(self.planted.beta, float(np.var(rest, ddof=1)))


@functools.lru_cache(maxsize=64)
def _calibrated(market: SyntheticMarket, instrument: Instrument) -> float:
    """The strength that gives the wanted R² at the first venue, whose day is run once without the signal for it.

    Moves of the efficient price change no queue, so the day without the signal is the day with it less the planted
    ticks: the variance measured here is exactly the variance of what the signal does not explain.
    """
    assert market.signal_r2 is not None
    quiet = replace(market, signal_r2=None, streams=("depth10",))
    session = VenueSession.of(quiet, instrument.symbol, market.venues[0])
    for _ in session.tapes():
        pass
    return strength(market.signal_r2, float(np.var(session.returns(), ddof=1)))
