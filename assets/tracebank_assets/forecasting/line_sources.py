"""Where a forward loop's lines come from: a venue that is recorded, a recording that is written, or a finished one.

Each gives lines as a recorder writes them, with when they were had here; what they mean is not looked at.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tracebank_assets.market.recording import Recorder
from tracebank_models.market.binance_streams import StreamVenue
from tracebank_models.market.codecs import iter_line_blocks
from tracebank_models.market.followed_files import FollowedFiles
from tracebank_models.market.timestamps import to_nanoseconds

_BLOCK = 256


class Received(NamedTuple):
    """A line, and when it was had."""

    at_ns: int
    """Since 1970: when it came off the wire, was read from a file, or was due."""
    line: bytes


async def recorded_live(
    venue: StreamVenue,
    symbols: Sequence[str],
    streams: Sequence[str],
    folder: Path,
    stop: asyncio.Event,
    *,
    tell: Callable[[str], None] = lambda _line: None,
) -> AsyncGenerator[Received, None]:
    """Record streams, and yield each line as it comes, until told to stop.

    Args:
        venue: Of the streams.
        symbols: In any case.
        streams: Such as "depth10@100ms", of every symbol.
        folder: For the recording.
        stop: Ends it.
        tell: Told of what goes wrong, as by `Recorder`.

    Raises:
        ValueError: A name is none of the venue.
        RecordingError: The venue cannot be reached.
        OSError: The recording cannot be written.
    """
    came: asyncio.Queue[Received | None] = asyncio.Queue()

    def hear(received_ns: int, message: bytes) -> None:
        came.put_nowait(Received(received_ns, b"%d %s" % (received_ns, message)))

    recorder = Recorder(venue, symbols, streams, folder, tell=tell, hear=hear)
    run = asyncio.create_task(recorder.run(stop))
    run.add_done_callback(lambda _run: came.put_nowait(None))
    try:
        while (received := await came.get()) is not None:
            yield received
    finally:
        stop.set()
        await run


async def followed(
    folder: Path, symbol: str, stop: asyncio.Event, *, from_start: bool = False, poll_s: float = 0.1
) -> AsyncGenerator[Received, None]:
    """Yield the lines of a recording as its writer flushes them, which it does each second, until told to stop.

    Args:
        folder: Of the symbol's files.
        symbol: As the files are named.
        stop: Ends it, once what is there was read.
        from_start: Begin with the first file, not with the newest.
        poll_s: Seconds between two looks.

    Raises:
        OSError: A file cannot be read.
    """
    files = FollowedFiles(folder, symbol, from_start=from_start)
    try:
        while True:
            last = stop.is_set()
            for line in files.new_lines():
                yield Received(time.time_ns(), line)
            if last:
                return
            await asyncio.sleep(poll_s)
    finally:
        files.close()


async def replayed(paths: Iterable[Path]) -> AsyncGenerator[Received, None]:
    """Yield the lines of finished files, as fast as they are taken.

    Raises:
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: A file cannot be read.
    """
    for path in paths:
        for block in iter_line_blocks(path, _BLOCK):
            for line in block:
                yield Received(time.time_ns(), line)
            await asyncio.sleep(0)


async def paced(lines: AsyncGenerator[Received, None], seconds: float | None = None) -> AsyncGenerator[Received, None]:
    """Yield recorded lines when they came after the first, and as had when they were due, whoever was late for them.

    Args:
        lines: of finished files; one that says no time is due with the one before it.
        seconds: of the recording; None: all.
    """
    began = due = time.time_ns()
    first = None
    async for _, line in lines:
        if (told := line.partition(b" ")[0]).isdigit():
            received = int(to_nanoseconds(np.array([int(told)]))[0][0])
            first = received if first is None else first
            due = max(due, began + received - first)
        if seconds is not None and due - began > 1e9 * seconds:
            break
        await asyncio.sleep(max(0.0, (due - time.time_ns()) / 1e9))
        yield Received(due, line)
    await lines.aclose()
