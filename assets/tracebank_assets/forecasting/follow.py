"""A stored model on lines as they come: which model, from where, and its forecasts as rows of `series.forecasts`."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import select

from tracebank.stores.relational import RelationalStore
from tracebank.stores.series_store import SeriesStore
from tracebank.tables.writer import Writer
from tracebank_assets.forecasting.catalogue import Row
from tracebank_assets.forecasting.forecasts import LIVE, REPLAYED
from tracebank_assets.forecasting.forward import Forecaster, Forwarded, forward
from tracebank_assets.forecasting.line_sources import Received, recorded_live, replayed
from tracebank_schemas.forecasting import FORECASTS, ForecastModel

if TYPE_CHECKING:
    from tracebank_models.forecasting.stream import Stream

STREAMS = ("depth10@100ms",)
"""What a model is shown: ten levels a side, ten times a second."""


def model_named(relational: RelationalStore, given: str) -> Row:
    """A model by its key, or the first characters of it.

    Raises:
        ValueError: none begins so, or several.
    """
    query = select(ForecastModel).where(ForecastModel.model.startswith(given, autoescape=True)).limit(2)
    with relational.reading() as session:
        found = [row.row() for row in session.scalars(query)] if given else []
    if len(found) != 1:
        what = "several models begin so" if found else "no model begins so"
        raise ValueError(f"model: {given!r} is not allowed: {what}; relational.forecast_models has the keys")
    return found[0]


def follow_live(
    series: SeriesStore, model: Row, folder: Path, seconds: float | None, tell: Callable[[str], None]
) -> Forwarded:
    """Record the streams of a model's book, and forecast each new tick, until Ctrl-C or the time is over.

    Args:
        series: where forecasts are appended.
        model: row of `forecast_models`.
        folder: for the recording.
        seconds: None: until Ctrl-C.
        tell: told of what goes wrong.

    Raises:
        ValueError: the model's venue has no streams.
        RecordingError: the venue cannot be reached.
    """
    from tracebank_models.market.binance_streams import venue_named

    venue = venue_named(model["venue"])

    async def run() -> Forwarded:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        lines = recorded_live(venue, [model["symbol"]], STREAMS, folder, stop, tell=tell)
        return await _forwarded(series, model, lines, LIVE, 1.0)

    return asyncio.run(run())


def follow_files(series: SeriesStore, model: Row, paths: Sequence[Path]) -> Forwarded:
    """Forecast each tick of finished recordings, as if it came now; what an earlier replay wrote is replaced.

    Raises:
        OSError: A file cannot be read.
    """
    return asyncio.run(_forwarded(series, model, replayed(paths), REPLAYED, 3_600.0))


async def _forwarded(
    series: SeriesStore, model: Row, lines: AsyncGenerator[Received, None], made: str, batch_s: float
) -> Forwarded:
    from tracebank_models.forecasting.forecaster import load

    trained = load(Path(model["path"]))
    forecaster = Forecaster(
        model["model"], trained.settings.horizons, trained.settings.said or (None,),
        lambda: _Pushed(trained.stream()), made,
    )  # fmt: skip
    series.create(FORECASTS)
    with ExitStack() as ending:
        days: dict[date, Writer] = {}

        def replace(frame: pl.DataFrame) -> None:
            for _, rows in frame.group_by(pl.col("ts").dt.date(), maintain_order=True):
                day = rows["ts"].dt.date().item(0)
                if day not in days:
                    partition = {"day": day, "symbol": model["symbol"], "model": model["model"], "made": made}
                    days[day] = ending.enter_context(series.writer(FORECASTS, partition))
                days[day].write(rows)

        def append(frame: pl.DataFrame) -> None:
            series.append(FORECASTS, frame)

        # A replay that fails leaves what an earlier one wrote.
        write = replace if made == REPLAYED else append
        return await forward(lines, model["venue"], model["symbol"], forecaster, write, batch_s=batch_s)


class _Pushed:
    """A model's stream, as the loop pushes ticks into it."""

    def __init__(self, stream: "Stream") -> None:
        self._stream = stream

    def push(
        self,
        time_ns: int,
        bid_price: NDArray[np.float64],
        bid_qty: NDArray[np.float64],
        ask_price: NDArray[np.float64],
        ask_qty: NDArray[np.float64],
    ) -> NDArray[np.floating] | None:
        from tracebank_models.forecasting.stream import BookRow

        return self._stream.push(BookRow(time_ns, bid_price, bid_qty, ask_price, ask_qty))
