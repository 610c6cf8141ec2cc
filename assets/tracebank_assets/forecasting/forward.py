"""The forward loop: each new tick of a book into a stored model's stream, and its forecasts on, as rows, to a writer.

Where lines come from is `line_sources`' business, how they make a book `live_book`'s, when rows are written
`group_commit`'s, and where they go the caller's.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_assets.forecasting.group_commit import GroupCommit, Labels, Latencies, Latency, Said
from tracebank_assets.forecasting.line_sources import Received
from tracebank_models.market.live_book import LiveBook, LiveTick, warm_up
from tracebank_models.order_book_features.ticks import BookRow


class ForecastStream(Protocol):
    """A model that is shown ticks one by one; a new one is opened for each unbroken stretch."""

    def push(self, row: BookRow, /) -> NDArray[np.floating] | None:
        """Take a tick of ten levels; return forecasts `[horizons, quantiles]`, None while it has seen too few."""


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

    book: LiveBook
    forecaster: Forecaster
    rows: GroupCommit
    stream: ForecastStream | None = None
    segment: int = -1
    ticks: int = 0
    segments: int = 0
    forecasts: int = 0
    to_forecast: Latencies = field(default_factory=Latencies)

    def take(self, received: Received) -> None:
        """Show the model the tick that a line makes, if it makes one."""
        tick = self.book.take(received.line)
        if tick is None:
            return
        self.ticks += 1
        values = self._push(tick)
        if values is not None:
            self.to_forecast.add(received.at_ns)
            self.rows.add(Said(received.at_ns, tick.time_ns, self.ticks - 1, values))
            self.forecasts += 1

    def _push(self, tick: LiveTick) -> NDArray[np.floating] | None:
        if self.stream is None or tick.segment != self.segment:
            self.stream, self.segment = self.forecaster.open_stream(), tick.segment
            self.segments += 1
        values = self.stream.push(BookRow(tick.time_ns, tick.bid_price, tick.bid_qty, tick.ask_price, tick.ask_qty))
        wanted = len(self.forecaster.horizons), len(self.forecaster.quantiles)
        if values is not None and values.shape != wanted:
            raise ValueError(
                f"forecasts of {self.forecaster.model}: shape {values.shape} is not allowed; it is {wanted}"
            )
        return values


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

    One write runs at a time, while lines are taken on: once the oldest row is `batch_s` old, or there are those of
    `batch_ticks`. With a `batch_s` of 0 a tick's rows are written at once, or as soon as the write before them is done.

    Args:
        lines: Of one recording; lines of other symbols are passed over.
        venue: As rows name it.
        symbol: As the exchange writes it.
        forecaster: Opened anew wherever ticks were left out.
        write: Stores rows of `series.forecasts`; called in a thread.
        batch_s: Seconds that a forecast may wait before its write begins.
        batch_ticks: Ticks whose forecasts wait at most; lines wait then.

    Raises:
        ValueError: The model's forecasts are not of the shape that it names. What a source or the writer raises, too.
    """
    warm_up()
    labels = Labels(venue, symbol, forecaster.model, forecaster.made, forecaster.horizons, forecaster.quantiles)
    rows = GroupCommit(labels, write, batch_s, batch_ticks)
    loop = _Loop(LiveBook(symbol), forecaster, rows)
    coming = asyncio.ensure_future(anext(lines, None))
    try:
        while True:
            await asyncio.wait({coming, *rows.running}, timeout=rows.left_s, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                if (received := coming.result()) is None:
                    break
                loop.take(received)
                coming = asyncio.ensure_future(anext(lines, None))
                await asyncio.sleep(0)  # a line that is there already comes now
            await rows.advance()
        await rows.finish()
    finally:
        coming.cancel()
        await asyncio.wait({coming, *rows.running})
        await lines.aclose()
    return Forwarded(
        loop.book.lines,
        loop.book.rejected,
        loop.ticks,
        loop.segments,
        loop.forecasts,
        loop.to_forecast.quantiles(),
        rows.stored.quantiles(),
    )
