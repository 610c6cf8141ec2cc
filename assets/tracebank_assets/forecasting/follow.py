"""A stored model on lines as they come: which model, from where, and its forecasts as rows of `series.forecasts`."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy import select

from tracebank.stores.faults import FrameRefused, StoreError
from tracebank.stores.relational import RelationalStore
from tracebank.stores.series_store import SeriesStore
from tracebank.tables.writer import Writer
from tracebank_assets.forecasting.catalogue import Row
from tracebank_assets.forecasting.forecasts import LIVE, REPLAYED
from tracebank_assets.forecasting.forward import Forecaster, Forwarded, forward
from tracebank_assets.forecasting.line_sources import Received, paced, recorded_live, replayed
from tracebank_schemas.forecasting import FORECASTS, ForecastModel
from tracebank_schemas.series import Partition

STREAMS = ("depth10@100ms",)
"""What a model is shown: ten levels a side, ten times a second."""
_WAITS: Final = (0.0, 0.5, 2.0)
"""Seconds between attempts to store rows where the store went."""
_LOOKED_AROUND: Final = timedelta(microseconds=1)
"""Stored times are finer than those that rows are asked for by."""


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
        return await _forwarded(series, model, lines, LIVE, batch_s=0.0)

    return asyncio.run(run())


def follow_files(
    series: SeriesStore, model: Row, paths: Sequence[Path], *, at_pace: bool = False, seconds: float | None = None
) -> Forwarded:
    """Forecast each tick of finished recordings, as if it came now; what an earlier replay wrote is replaced.

    Args:
        series: where forecasts are appended.
        model: row of `forecast_models`.
        paths: of the recordings.
        at_pace: a line comes when it did after the first, and its forecast is stored at once; else as fast as may be.
        seconds: of the recordings at their pace; None: all.

    Raises:
        OSError: A file cannot be read.
    """
    lines = paced(replayed(paths), seconds) if at_pace else replayed(paths)
    return asyncio.run(_forwarded(series, model, lines, REPLAYED, batch_s=0.0 if at_pace else 3_600.0))


async def _forwarded(
    series: SeriesStore, model: Row, lines: AsyncGenerator[Received, None], made: str, *, batch_s: float
) -> Forwarded:
    from tracebank_models.forecasting.forecaster import load

    trained = load(Path(model["path"]))
    forecaster = Forecaster(
        model["model"], trained.settings.horizons, trained.settings.said or (None,), trained.stream, made
    )

    def partition(day: date) -> Partition:
        return {"day": day, "symbol": model["symbol"], "model": model["model"], "made": made}

    series.create(FORECASTS)
    earlier: list[Partition] = [stored for stored, _ in series.partitions(FORECASTS)] if made == REPLAYED else []
    with ExitStack() as ending:
        days: dict[date, Writer] = {}

        def replace(day: date, rows: pl.DataFrame) -> None:
            if day not in days:
                days[day] = ending.enter_context(series.writer(FORECASTS, partition(day)))
            days[day].write(rows)

        def append(day: date, rows: pl.DataFrame) -> None:
            if partition(day) in earlier:
                series.delete(FORECASTS, partition(day))
                earlier.remove(partition(day))
            insert_once(series, partition(day), rows)

        # A replay that is not paced and fails leaves what an earlier one wrote.
        write_day = replace if made == REPLAYED and batch_s else append

        def write(frame: pl.DataFrame) -> None:
            days_of = frame["ts"].dt.date()
            for day in days_of.unique(maintain_order=True):
                write_day(day, frame if day == days_of[0] == days_of[-1] else frame.filter(days_of == day))

        return await forward(lines, model["venue"], model["symbol"], forecaster, write, batch_s=batch_s)


def insert_once(series: SeriesStore, partition: Partition, rows: pl.DataFrame) -> None:
    """Add forecasts to a partition, once: where the answer is lost, they are looked for before they are added again.

    Raises:
        StoreError: the store failed, and again.
    """
    tried = False
    for wait in (*_WAITS, None):
        try:
            if not (tried and _are_there(series, partition, rows)):
                tried = True
                series.insert(FORECASTS, rows)
            return
        except FrameRefused:
            raise
        except StoreError:
            if wait is None:
                raise
            time.sleep(wait)


def _are_there(series: SeriesStore, partition: Partition, rows: pl.DataFrame) -> bool:
    """Whether rows of a tick are there: of one insert all are, or none."""
    first, last = rows["ts"].dt.cast_time_unit("us").sort()[[0, -1]]
    told = series.read(
        FORECASTS, partition=partition, columns=["ts", "row"], start=first, end=last + _LOOKED_AROUND, ordered=False
    )
    return not told.join(rows, on=["ts", "row"], how="semi").is_empty()
