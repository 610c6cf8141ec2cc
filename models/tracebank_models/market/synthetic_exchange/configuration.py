"""What a synthetic market is made of: symbols, venues, duration, streams, feed defects, the planted signal.

Every knob is checked when the dataclass is made; a bad one raises `ValueError` with one line that names the field,
the value and what is allowed. No simulation here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date

from tracebank_models.checked_settings import in_range, require

from .field_checks import NAME
from .instrument import Instrument
from .order_flow import OrderFlow

STREAMS = ("trade", "bookTicker", "depth10", "depth")
"""Streams that can be written: trades, best quotes, ten-level snapshots, differences (with one REST snapshot)."""

COMPRESSIONS = {"zstd": "zst", "gzip": "gz"}
"""Accepted compressions, and the suffix of the files they make."""

_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class FeedDefects:
    """How often the recorded feed goes wrong. Rates are probabilities per line unless said otherwise."""

    ties: float = 0.2
    """Probability that a fill meets two resting orders: two trades of one millisecond, side and price."""
    gaps: float = 0.0
    """Probability per line that a gap starts there: `gap_lines` lines are never written."""
    gap_lines: int = 1
    """Lines lost in one gap."""
    duplicates: float = 0.0
    """Probability that a line is written twice, byte for byte."""
    late: float = 0.0
    """Probability that a line arrives late, after younger lines."""
    late_ms: float = 500.0
    """Longest delay of a late line, in milliseconds (the delay is uniform up to it)."""
    unreadable: float = 0.0
    """Probability that a line is followed by an unreadable one: cut short, bad receive time, or stray bytes."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        for name in ("gaps", "duplicates", "late", "unreadable"):
            in_range(self, 0, 0.5, name)
        in_range(self, 0, 1, "ties")
        in_range(self, 1, 10_000, "gap_lines")
        in_range(self, 1, 60_000, "late_ms")


BTC = Instrument("SYNBTC")
ETH = Instrument("SYNETH", tick_size="0.05", base_price="2600.00", mean_order_lots=1_500)


@dataclass(frozen=True, slots=True)
class SyntheticMarket:
    """One day of a synthetic market: symbols, venues, how long, how busy, which streams, which defects.

    The same configuration gives the same rows and the same bytes, in any process. All venues of a symbol share one
    efficient price and one planted signal; everything else about a (venue, symbol) is drawn from its own seed.
    """

    symbols: tuple[Instrument, ...] = (BTC, ETH)
    venues: tuple[str, ...] = ("synthetic_a", "synthetic_b")
    """Names of the venues (folders `venue=NAME`); the first one is where a planted signal is calibrated."""
    day: date = date(2024, 8, 8)
    """UTC day; the market opens at midnight."""
    seed: int = 0
    """Seed of everything (0 to 2^63 - 1)."""
    duration_s: int = 3_600
    """Seconds from midnight that the market is open (1 to 86,400)."""
    market_order_rate: float = 4.0
    """Mean market orders per second, venue and symbol, both sides; a market order makes one or more trades."""
    snapshot_interval_ms: int = 100
    """Milliseconds between snapshots (and differences); divides 1,000 or is a multiple of it."""
    annual_volatility: float = 0.5
    """Volatility of the efficient price, per square root of a year of 365 days (0.5 is 50 %)."""
    streams: tuple[str, ...] = ("trade", "bookTicker", "depth10")
    """Streams to write, out of `STREAMS`."""
    compression: str = "zstd"
    """"zstd" or "gzip"."""
    signal_r2: float | None = None
    """R² of the planted signal on the return over the next `signal_horizon_s`; None plants nothing."""
    signal_horizon_s: int = 10
    """Horizon of the planted signal, in seconds."""
    defects: FeedDefects = field(default_factory=FeedDefects)
    order_flow: OrderFlow = field(default_factory=OrderFlow)

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        self._check_names()
        require(self, "day", "a date from 1971-01-01 to 2200-01-01", date(1971, 1, 1) <= self.day <= date(2200, 1, 1))
        in_range(self, 0, 2**63 - 1, "seed")
        require(self, "seed", "a whole number", isinstance(self.seed, int))
        in_range(self, 1, _DAY_SECONDS, "duration_s")
        require(self, "duration_s", "a whole number", isinstance(self.duration_s, int))
        in_range(self, 0.01, 1_000, "market_order_rate")
        in_range(self, 0, 3, "annual_volatility")
        interval = self.snapshot_interval_ms
        ok = isinstance(interval, int) and interval >= 1 and (1_000 % interval == 0 or interval % 1_000 == 0)
        ok = ok and interval <= self.duration_s * 1_000
        require(self, "snapshot_interval_ms", "a divisor or a multiple of 1,000, at most the duration", ok)
        require(self, "compression", " or ".join(COMPRESSIONS), self.compression in COMPRESSIONS)
        self._check_signal()

    def _check_names(self) -> None:
        names = [one.symbol.lower() for one in self.symbols]
        ok = isinstance(self.symbols, tuple) and bool(names) and len(set(names)) == len(names)
        require(self, "symbols", "a tuple of instruments with different symbols", ok)
        ok = isinstance(self.venues, tuple) and bool(self.venues) and len(set(self.venues)) == len(self.venues)
        ok = ok and all(isinstance(one, str) and NAME.fullmatch(one) for one in self.venues)
        require(self, "venues", "a tuple of different names of 1 to 32 letters, digits or _", ok)
        ok = isinstance(self.streams, tuple) and bool(self.streams) and set(self.streams) <= set(STREAMS)
        ok = ok and len(set(self.streams)) == len(self.streams)
        require(self, "streams", "a tuple out of " + ", ".join(STREAMS), ok)

    def _check_signal(self) -> None:
        if self.signal_r2 is None:
            return
        in_range(self, 0, 0.9, "signal_r2")
        in_range(self, 1, _DAY_SECONDS, "signal_horizon_s")
        horizon, interval = self.signal_horizon_s * 1_000, self.snapshot_interval_ms
        ok = isinstance(self.signal_horizon_s, int) and horizon % interval == 0
        require(self, "signal_horizon_s", f"whole seconds, a multiple of {interval} ms", ok)
        allowed = f"at most a third of the duration ({self.duration_s} s)"
        require(self, "signal_horizon_s", allowed, 3 * self.signal_horizon_s <= self.duration_s)

    @property
    def snapshots(self) -> int:
        """Snapshots per file: one at midnight and one after each interval, the end left out."""
        return math.ceil(self.duration_s * 1_000 / self.snapshot_interval_ms)

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of that symbol.

        Raises:
            ValueError: No such symbol in this market.
        """
        for one in self.symbols:
            if one.symbol == symbol:
                return one
        known = ", ".join(one.symbol for one in self.symbols)
        raise ValueError(f"symbol: {symbol!r} is not in this market; allowed: {known}")

    def volatility_ticks(self, instrument: Instrument) -> float:
        """Standard deviation of the efficient price over one second, in ticks."""
        return self.annual_volatility * instrument.base_ticks / math.sqrt(365 * _DAY_SECONDS)
