"""The reader's socket of an embedded store on a loopback TCP port, for programs that speak ClickHouse's HTTP protocol.

Bytes pass as they are. What may be asked is decided behind the socket, by the owner's guard.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

from tracebank.engines.clickhouse.reach import connected
from tracebank.stores.faults import StoreError

HOST: Final = "127.0.0.1"
_PIECE: Final = 1 << 16


async def relay(folder: Path, port: int, wait: float, ready: asyncio.Event | None = None) -> None:
    """Serve until it is cancelled.

    Args:
        folder: of the store.
        port: on loopback.
        wait: seconds to wait for an owner.
        ready: set once the port listens.

    Raises:
        StoreError: the port is not to be had.
    """

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, StoreError, asyncio.CancelledError):
            reached = await asyncio.to_thread(connected, folder, "reader", wait)
            answers, questions = await asyncio.open_connection(sock=reached)
            with contextlib.closing(questions):
                ways = [asyncio.create_task(_pump(reader, questions)), asyncio.create_task(_pump(answers, writer))]
                # Whoever leaves first ends both ways: a client that is gone must not keep its query running.
                _, others = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for other in others:
                    other.cancel()

    try:
        server = await asyncio.start_server(pass_on, HOST, port)
    except OSError as error:
        raise StoreError(f"port {port} on {HOST}: {error.strerror}; choose another with --port") from None
    async with server:
        if ready is not None:
            ready.set()
        await server.serve_forever()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
