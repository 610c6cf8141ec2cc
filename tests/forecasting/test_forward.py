"""The forward loop: a stream per unbroken stretch, rows of each tick, and lines from a venue or from files."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from tests.market.live_exchange import LiveExchange, playing
from tests.market.test_live_book import depth

from tracebank_assets.forecasting.forward import Forecaster, Forwarded, forward
from tracebank_assets.forecasting.line_sources import Received, followed, paced, recorded_live, replayed
from tracebank_models.market.recording_files import SymbolFiles
from tracebank_models.order_book_features.ticks import BookRow
from tracebank_schemas.forecasting import FORECASTS

HORIZONS, QUANTILES = (1, 5), (0.1, 0.5, None)
COEFFICIENTS = np.arange(6.0).reshape(2, 3)


class Linear:
    """The mid price of the tick before, times coefficients."""

    def __init__(self) -> None:
        self.before: float | None = None

    def push(self, row: BookRow) -> NDArray[np.floating] | None:
        assert {side.shape for side in row[1:]} == {(10,)}
        before, self.before = self.before, (row.bid_price[0] + row.ask_price[0]) / 2
        return None if before is None else before * COEFFICIENTS


LINEAR = Forecaster("linear", HORIZONS, QUANTILES, Linear)


async def given(lines: Iterable[bytes]) -> AsyncGenerator[Received, None]:
    for line in lines:
        yield Received(time.time_ns(), line)


def forwarded(
    lines: AsyncGenerator[Received, None], forecaster: Forecaster = LINEAR, **options: float
) -> tuple[Forwarded, list[pl.DataFrame]]:
    written: list[pl.DataFrame] = []
    run = forward(lines, "binance_spot", "BTCUSDT", forecaster, written.append, **options)  # type: ignore[arg-type]
    return asyncio.run(run), written


def test_each_tick_gives_a_row_of_every_horizon_and_quantile() -> None:
    done, written = forwarded(given([depth(1), depth(2, bid=110.0), depth(3)]))
    (rows,) = written
    assert dict(rows.schema) == dict(FORECASTS.polars_schema)
    assert (done.lines, done.ticks, done.segments, done.forecasts, len(rows)) == (3, 3, 1, 2, 12)
    mids = [100.5, 110.5]
    wanted = [
        ("binance_spot", "BTCUSDT", "linear", "live", row, horizon, quantile, mid * COEFFICIENTS[h, q])
        for row, mid in enumerate(mids, start=1)
        for h, horizon in enumerate(HORIZONS)
        for q, quantile in enumerate(QUANTILES)
    ]
    assert rows.drop("ts").rows() == wanted
    assert rows["ts"].dt.timestamp("ns").unique().to_list() == [
        int(line.partition(b" ")[0]) for line in (depth(2), depth(3))
    ]


def test_no_forecast_looks_across_what_was_left_out() -> None:
    lines = [depth(1), depth(2), depth(3, levels=9), depth(4), b"nothing", depth(5)]
    done, written = forwarded(given(lines))
    assert (done.rejected, done.ticks, done.segments, done.forecasts) == (1, 4, 2, 2)
    assert pl.concat(written)["ts"].dt.timestamp("ns").unique().sort().to_list() == [
        int(line.partition(b" ")[0]) for line in (depth(2), depth(5))
    ]


def test_rows_are_written_in_batches() -> None:
    lines = [depth(update) for update in range(1, 12)]
    for options, sizes in (({"batch_ticks": 4, "batch_s": 3600.0}, [24, 24, 12]), ({"batch_ticks": 1}, [6] * 10)):
        done, written = forwarded(given(lines), **options)
        assert [len(rows) for rows in written] == sizes
        assert done.forecasts == 10


def test_a_batch_does_not_wait_for_a_further_line() -> None:
    async def run() -> Forwarded:
        loop, written = asyncio.get_running_loop(), asyncio.Event()

        async def slow() -> AsyncGenerator[Received, None]:
            for line in (depth(1), depth(2)):
                yield Received(time.time_ns(), line)
            await written.wait()

        def write(_rows: pl.DataFrame) -> None:
            loop.call_soon_threadsafe(written.set)

        return await forward(slow(), "v", "BTCUSDT", LINEAR, write, batch_s=0.05)

    assert asyncio.run(run()).forecasts == 1


def test_latencies_are_of_receipt_and_of_storing() -> None:
    done, _ = forwarded(given([depth(1)]))
    assert np.isnan([done.to_forecast.p50, done.to_stored.p99]).all()
    done, _ = forwarded(given([depth(update) for update in range(1, 50)]), batch_s=0.0)
    assert 0 < done.to_forecast.p50 <= done.to_forecast.p99
    assert done.to_forecast.p50 < done.to_stored.p50 <= done.to_stored.p99


def test_forecasts_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"forecasts of linear: shape \(2, 3\) is not allowed; it is \(2, 1\)"):
        forwarded(given([depth(1), depth(2)]), Forecaster("linear", HORIZONS, (None,), Linear))


def test_what_a_source_or_the_writer_raises_ends_the_loop() -> None:
    async def broken() -> AsyncGenerator[Received, None]:
        yield Received(0, depth(1))
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        forwarded(broken())

    def full(_rows: pl.DataFrame) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        asyncio.run(forward(given([depth(1), depth(2)]), "v", "BTCUSDT", LINEAR, full))


def message(line: bytes) -> bytes:
    return line.partition(b" ")[2]


def test_a_venue_is_recorded_and_forecast_at_once(tmp_path: Path) -> None:
    lines = [depth(update) for update in range(1, 40)]
    stop = asyncio.Event()
    seen = 0

    def write(rows: pl.DataFrame) -> None:
        nonlocal seen
        seen += len(rows)
        if seen == 38 * 6:
            loop.call_soon_threadsafe(stop.set)

    async def run() -> Forwarded:
        nonlocal loop
        loop = asyncio.get_running_loop()
        source = recorded_live(venue, ["BTCUSDT"], ["depth10@100ms"], tmp_path, stop)
        return await forward(source, venue.name, "BTCUSDT", LINEAR, write, batch_s=0.0)

    loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]
    book = b'{"lastUpdateId":1,"bids":[],"asks":[]}'
    with playing(LiveExchange([[message(line) for line in lines]], {"BTCUSDT": book}), "binance_spot") as venue:
        done = asyncio.run(run())
    (path,) = tmp_path.rglob("*.zst")
    again, written = forwarded(replayed([path]))
    assert done.forecasts == again.forecasts == 38
    assert pl.concat(written)["ts"].n_unique() == 38


def test_a_recording_is_followed_while_it_is_written(tmp_path: Path) -> None:
    lines = [depth(update) for update in range(1, 31)]
    stop, files = asyncio.Event(), SymbolFiles(tmp_path, "BTCUSDT")

    async def written() -> None:
        for line in lines:
            files.add(int(line.partition(b" ")[0]), message(line))
            files.flush()
            await asyncio.sleep(0.001)
            if line in lines[9::10]:
                files.finish()
        stop.set()

    async def run() -> Forwarded:
        writer = asyncio.create_task(written())
        source = followed(tmp_path, "BTCUSDT", stop, from_start=True, poll_s=0.003)
        done = await forward(source, "v", "BTCUSDT", LINEAR, lambda _rows: None)
        await writer
        return done

    assert asyncio.run(run()).forecasts == 29
    assert len(files.finished) == 3


def test_a_recording_at_its_pace_is_due_when_it_was_received() -> None:
    begin = 1_700_000_000_000_000
    lines = [b"%d {}" % (begin + at) for at in (0, 2_000, 1_000, 5_000, 10**9)]  # in microseconds

    async def run() -> list[int]:
        return [received.at_ns async for received in paced(given(lines), seconds=1.0)]

    due = asyncio.run(run())
    assert [(at - due[0]) // 1_000 for at in due] == [0, 2_000, 2_000, 5_000]


def test_ticks_that_come_during_a_write_are_the_next_one() -> None:
    written: list[int] = []

    async def run() -> Forwarded:
        loop, begun, more = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        async def lines() -> AsyncGenerator[Received, None]:
            for update in (1, 2):
                yield Received(time.time_ns(), depth(update))
            await begun.wait()  # of the first tick's write, which goes on
            for update in (3, 4, 5):
                yield Received(time.time_ns(), depth(update))
            more.set()

        def write(rows: pl.DataFrame) -> None:
            loop.call_soon_threadsafe(begun.set)
            more.wait(10)
            written.append(len(rows) // 6)

        return await forward(lines(), "v", "BTCUSDT", LINEAR, write, batch_s=0.0)

    assert asyncio.run(run()).forecasts == 4
    assert written == [1, 3]
