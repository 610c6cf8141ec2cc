"""Recording Binance's live streams: connections that are kept up, and their messages into a recorder's files.

Names and addresses are `binance_streams`', files are `recording_files`'. Messages are written as they came; all that is
looked at is the name of their stream.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tracebank_assets.market.depth_requests import FEWEST_LEVELS, RecordingError, depth_snapshot
from tracebank_assets.market.recorded import Loss, Recorded
from tracebank_models.market.binance_streams import (
    StreamVenue,
    Subscription,
    checked_symbols,
    is_of_differences,
    subscriptions,
)
from tracebank_models.market.recording_files import SymbolFiles, recover, symbol_folder

LONGEST_S: Final = 23.5 * 3600
"""Age at which a connection gets a successor: the venues end it at 24 hours."""
OVERLAP_S: Final = 10.0
"""Time for which both are heard; readers drop what comes twice."""
PAUSE_S: Final = 1.0
"""Before each REST snapshot: the venues count them, and differences from before it are to be there."""
FLUSH_S: Final = 1.0
SILENT_S: Final = 30.0
_LARGEST_MESSAGE: Final = 8 << 20
_OPENING: Final = b'{"stream":"'
_Tell = Callable[[str], None]
_Hear = Callable[[int, bytes], None]


@dataclass(slots=True, eq=False)
class _Instrument:
    symbol: str
    files: SymbolFiles
    wants_snapshot: bool = False


@dataclass(slots=True, eq=False)
class _Stream:
    instrument: _Instrument
    differences: bool
    lines: int = 0


@dataclass(slots=True, eq=False)
class _Link:
    """A connection that is kept up."""

    subscription: Subscription
    streams: list[_Stream]
    opened: bool = False
    loss: Loss | None = None
    waits: Iterator[float] = field(default_factory=lambda: _waits())


def _waits() -> Iterator[float]:
    """Seconds before each further attempt, up to a minute."""
    return chain((0.0, 1, 2, 4, 8, 16, 32), repeat(60.0))


class Recorder:
    """Records streams until it is told to stop."""

    def __init__(
        self,
        venue: StreamVenue,
        symbols: Sequence[str],
        streams: Sequence[str],
        folder: Path,
        *,
        tell: _Tell = lambda _line: None,
        hear: _Hear | None = None,
        longest_s: float = LONGEST_S,
    ) -> None:
        """Name what is recorded; nothing is asked or written yet.

        Args:
            venue: Of all of it.
            symbols: In any case.
            streams: Such as "trade" and "depth10@100ms", of every symbol.
            folder: For files, in folders of venue and symbol.
            tell: Told in one line of what goes wrong, and of what is well again.
            hear: Given each message with its receive time in ns, after it was taken for its file.
            longest_s: Age at which a connection gets a successor.

        Raises:
            ValueError: A name is none of the venue, or they are too many.
        """
        self._venue, self._folder, self._tell, self._hear, self._longest_s = venue, folder, tell, hear, longest_s
        planned = subscriptions(venue, symbols, streams)
        self._instruments = {
            symbol: _Instrument(symbol, SymbolFiles(symbol_folder(folder, venue.name, symbol), symbol))
            for symbol in checked_symbols(symbols)
        }
        self._streams = {
            name.encode(): _Stream(self._instruments[symbol], is_of_differences(name))
            for subscription in planned
            for name, symbol in subscription.streams.items()
        }
        self._links = [_Link(each, [self._streams[name.encode()] for name in each.streams]) for each in planned]
        self._wanted: asyncio.Queue[_Instrument] = asyncio.Queue()
        self._losses: list[Loss] = []

    @property
    def lines(self) -> int:
        """Messages of the streams so far."""
        return sum(stream.lines for stream in self._streams.values())

    async def run(self, stop: asyncio.Event, seconds: float | None = None) -> Recorded:
        """Record until told to stop, or for some time.

        Raises:
            ValueError: The venue does not know a symbol; nothing is written.
            RecordingError: The venue cannot be reached to begin with; a connection that is lost is tried for ever.
            OSError: The disk is full, or gone; what was flushed stays, and the next recording finishes it.
        """
        await self._ask_for_symbols()
        recovered = [file for each in self._instruments.values() for file in recover(each.files.folder, each.symbol)]
        began = time.monotonic()
        work, stopping = asyncio.create_task(self._work()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._end(work)
        files = [file for each in self._instruments.values() for file in each.files.finished]
        silent = [name.decode() for name, stream in self._streams.items() if not stream.lines]
        return Recorded(files, recovered, time.monotonic() - began, self._losses, silent)

    async def _end(self, work: asyncio.Task[None]) -> None:
        """End what goes on, and every file."""
        work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            pass
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            for each in self._instruments.values():
                each.files.finish()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for link in self._links:
                group.create_task(self._keep_up(link, group))
            for task in (self._flush(), self._take_snapshots(), self._tell_of_silence()):
                group.create_task(task)

    async def _ask_for_symbols(self) -> None:
        """Ask for a small book of each symbol: streams of one that there is not are silent, and nothing else."""
        for symbol in self._instruments:
            await asyncio.to_thread(depth_snapshot, self._venue, symbol, FEWEST_LEVELS)

    async def _keep_up(self, link: _Link, group: asyncio.TaskGroup) -> None:
        """Connect, and again whenever the connection is lost, until it is old and a successor takes over."""
        while True:
            socket = await self._connected(link)
            began = time.monotonic()
            async with socket:
                try:
                    async with asyncio.timeout(self._longest_s):
                        reason = await self._receive(socket, link)
                except TimeoutError:
                    group.create_task(self._keep_up(link, group))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(OVERLAP_S):
                            await self._receive(socket, link)
                    return
            self._lost(link, reason, time.monotonic() - began)

    async def _connected(self, link: _Link) -> ClientConnection:
        """Open a connection; one that stood before is tried until it does."""
        while True:
            if link.loss is not None:
                await asyncio.sleep(next(link.waits))
            try:
                socket = await connect(
                    link.subscription.address, compression=None, max_size=_LARGEST_MESSAGE, close_timeout=1
                )
            except (OSError, WebSocketException) as error:
                if not link.opened:
                    where = link.subscription.address.partition("?")[0]
                    raise RecordingError(f"{where} cannot be reached: {error}; is there a network?") from None
                continue
            self._opened(link)
            return socket

    def _opened(self, link: _Link) -> None:
        link.opened = True
        for stream in link.streams:
            stream.instrument.wants_snapshot |= stream.differences
        if link.loss is not None:
            link.loss.gone_s = (datetime.now(UTC) - link.loss.at).total_seconds()
            self._tell(str(link.loss))
            link.loss = None

    def _lost(self, link: _Link, reason: str, lived_s: float) -> None:
        if lived_s > FLUSH_S:
            link.waits = _waits()
        link.loss = Loss(datetime.now(UTC), len(link.streams), lived_s, reason)
        self._losses.append(link.loss)
        self._tell(str(link.loss))

    async def _receive(self, socket: ClientConnection, link: _Link) -> str:
        """Take messages until the connection is closed; return why."""
        while True:
            try:
                message = await socket.recv(decode=False)
            except ConnectionClosed as error:
                return str(error)
            self._take(time.time_ns(), message, link)

    def _take(self, received_ns: int, message: bytes, link: _Link) -> None:
        """Put a message into the file of its symbol; what is of no stream goes to the connection's first."""
        named = message[len(_OPENING) : message.find(b'"', len(_OPENING))] if message.startswith(_OPENING) else b""
        stream = self._streams.get(named)
        instrument = link.streams[0].instrument if stream is None else stream.instrument
        self._take_for(instrument, received_ns, message)
        if stream is not None:
            stream.lines += 1
            if instrument.wants_snapshot and stream.differences:
                instrument.wants_snapshot = False
                self._wanted.put_nowait(instrument)

    def _take_for(self, instrument: _Instrument, received_ns: int, message: bytes) -> None:
        """Each file begins with a snapshot of its own, so that none needs another."""
        instrument.wants_snapshot |= instrument.files.add(received_ns, message)
        if self._hear is not None:
            self._hear(received_ns, message)

    async def _take_snapshots(self) -> None:
        while True:
            instrument = await self._wanted.get()
            for wait in (PAUSE_S, 5 * PAUSE_S, 30 * PAUSE_S):
                await asyncio.sleep(wait)
                try:
                    body = await asyncio.to_thread(
                        depth_snapshot, self._venue, instrument.symbol, self._venue.depth_limit
                    )
                except (RecordingError, ValueError) as error:
                    self._tell(f"no snapshot of {instrument.symbol}: {error}")
                    continue
                self._take_for(instrument, time.time_ns(), body)
                break

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            for each in self._instruments.values():
                each.files.flush()

    async def _tell_of_silence(self) -> None:
        await asyncio.sleep(SILENT_S)
        if silent := [name.decode() for name, stream in self._streams.items() if not stream.lines]:
            self._tell(f"nothing yet of {', '.join(silent)}")
