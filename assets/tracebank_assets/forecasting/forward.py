"""The forward loop: each new tick of a book into a stored model's stream, and its forecasts on, as rows, to a writer.

Where lines come from is `line_sources`' business, how they make a book `live_book`'s, and where rows go the caller's.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_assets.forecasting.line_sources import Received
from tracebank_models.market.live_book import LiveBook, LiveTick, warm_up
from tracebank_schemas.forecasting import FORECASTS

_REMEMBERED: Final = 1_000_000


class ForecastStream(Protocol):
    """A model that is shown ticks one by one; a new one is opened for each unbroken stretch."""

    def push(
        self,
        time_ns: int,
        bid_price: NDArray[np.float64],
        bid_qty: NDArray[np.float64],
        ask_price: NDArray[np.float64],
        ask_qty: NDArray[np.float64],
    ) -> NDArray[np.floating] | None:
        """Take a tick, each side `[10]`; return forecasts `[horizons, quantiles]`, None while it has seen too few."""


@dataclass(frozen=True, slots=True)
class Forecaster:
    """A stored model, and what its numbers are called."""

    model: str
    """Name or key, as the rows have it."""
    horizons: tuple[int, ...]
    """In ticks."""
    quantiles: tuple[float | None, ...]
    """None is the mean."""
    open_stream: Callable[[], ForecastStream]
    made: str = "live"
    """How, as the rows have it."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds, over the last million ticks with forecasts; NaN where there was none."""

    p50: float
    p99: float

    @staticmethod
    def of(nanoseconds: "deque[int]") -> "Latency":
        """Quantiles of times."""
        if not nanoseconds:
            return Latency(float("nan"), float("nan"))
        p50, p99 = np.quantile(np.fromiter(nanoseconds, np.int64), (0.5, 0.99)) / 1e6
        return Latency(float(p50), float(p99))


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What one run of the loop came to."""

    lines: int
    rejected: int
    ticks: int
    segments: int
    """Unbroken stretches of ticks."""
    forecasts: int
    """Ticks that the model forecast from."""
    to_forecast: Latency
    """From the line's receipt until the model has answered."""
    to_stored: Latency
    """From the line's receipt until the writer has returned."""


@dataclass(slots=True)
class _Loop:
    """What is known between two ticks."""

    venue: str
    book: LiveBook
    forecaster: Forecaster
    write: Callable[[pl.DataFrame], None]
    batch_s: float
    stream: ForecastStream | None = None
    segment: int = -1
    ticks: int = 0
    segments: int = 0
    forecasts: int = 0
    pending: list[tuple[int, int, int, NDArray[np.floating]]] = field(default_factory=list)
    """Forecasts to write: the line's receipt here, the tick's time and number, and values."""
    to_forecast: "deque[int]" = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    to_stored: "deque[int]" = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    @property
    def left_s(self) -> float | None:
        """Seconds that what is pending may wait still; None where nothing is."""
        return max(0.0, self.batch_s - (time.time_ns() - self.pending[0][0]) / 1e9) if self.pending else None

    def take(self, received: Received) -> None:
        """Show the model the tick that a line makes, if it makes one."""
        tick = self.book.take(received.line)
        if tick is None:
            return
        self.ticks += 1
        values = self._push(tick)
        if values is not None:
            self.to_forecast.append(time.time_ns() - received.at_ns)
            self.pending.append((received.at_ns, tick.time_ns, self.ticks - 1, values))
            self.forecasts += 1

    def _push(self, tick: LiveTick) -> NDArray[np.floating] | None:
        if self.stream is None or tick.segment != self.segment:
            self.stream, self.segment = self.forecaster.open_stream(), tick.segment
            self.segments += 1
        values = self.stream.push(tick.time_ns, tick.bid_price, tick.bid_qty, tick.ask_price, tick.ask_qty)
        wanted = len(self.forecaster.horizons), len(self.forecaster.quantiles)
        if values is not None and values.shape != wanted:
            raise ValueError(
                f"forecasts of {self.forecaster.model}: shape {values.shape} is not allowed; it is {wanted}"
            )
        return values

    async def store(self) -> None:
        """Hand what is pending to the writer, in a thread of its own: lines come in meanwhile."""
        done, self.pending = self.pending, []
        await asyncio.to_thread(self.write, self._rows(done))
        now = time.time_ns()
        self.to_stored.extend(now - at_ns for at_ns, *_ in done)

    def _rows(self, done: list[tuple[int, int, int, NDArray[np.floating]]]) -> pl.DataFrame:
        named = self.forecaster
        each = len(named.horizons) * len(named.quantiles)
        columns = {
            "ts": np.repeat(np.array([ts for _, ts, _, _ in done], np.int64), each),
            "row": np.repeat(np.array([number for _, _, number, _ in done], np.int64), each),
            "horizon": np.tile(np.repeat(np.array(named.horizons, np.int32), len(named.quantiles)), len(done)),
            "quantile": pl.Series(list(named.quantiles) * len(named.horizons) * len(done), dtype=pl.Float64),
            "value": np.concatenate([values.ravel() for *_, values in done]).astype(np.float64),
        }
        words = {"venue": self.venue, "symbol": self.book.symbol, "model": named.model, "made": named.made}
        frame = pl.DataFrame(columns).with_columns(**{name: pl.lit(word) for name, word in words.items()})
        return frame.select(pl.col(name).cast(dtype) for name, dtype in FORECASTS.polars_schema.items())


async def forward(
    lines: AsyncGenerator[Received, None],
    venue: str,
    symbol: str,
    forecaster: Forecaster,
    write: Callable[[pl.DataFrame], None],
    *,
    batch_s: float = 1.0,
    batch_ticks: int = 1000,
) -> Forwarded:
    """Forecast from every tick that lines make, until they end.

    Rows are written once no line is waiting and the oldest is `batch_s` old, or once there are those of `batch_ticks`;
    with a `batch_s` of 0 each tick's at once, with those that came meanwhile.

    Args:
        lines: Of one recording; lines of other symbols are passed over.
        venue: As rows name it.
        symbol: As the exchange writes it.
        forecaster: Opened anew wherever ticks were left out.
        write: Stores rows of `series.forecasts`.
        batch_s: Seconds that a forecast may wait.
        batch_ticks: Ticks whose forecasts wait at most.

    Raises:
        ValueError: The model's forecasts are not of the shape that it names. What a source or the writer raises, too.
    """
    warm_up()
    loop = _Loop(venue, LiveBook(symbol), forecaster, write, batch_s)
    coming = asyncio.ensure_future(anext(lines, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=loop.left_s)
            if coming.done():
                if (received := coming.result()) is None:
                    break
                loop.take(received)
                coming = asyncio.ensure_future(anext(lines, None))
                await asyncio.sleep(0)  # a line that is there already comes now
            if len(loop.pending) >= batch_ticks or (loop.left_s == 0 and not coming.done()):
                await loop.store()
        if loop.pending:
            await loop.store()
    finally:
        coming.cancel()
        await asyncio.wait({coming})
        await lines.aclose()
    return Forwarded(
        loop.book.lines,
        loop.book.rejected,
        loop.ticks,
        loop.segments,
        loop.forecasts,
        Latency.of(loop.to_forecast),
        Latency.of(loop.to_stored),
    )
