"""A venue on this machine: a websocket server that plays what each connection gets, and REST answers for depth."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import ServerConnection, serve

from tracebank_models.market.binance_streams import StreamVenue

GOING_AWAY, ABORT, BAD_FRAME = "going away", "abort", "bad frame"
"""How a connection ends that does not stay."""
Step = bytes | str | Callable[[], bool]
"""A message, an end, or what has to be true before the next step."""


@dataclass
class LiveExchange:
    """What is played, and what was asked for."""

    scripts: list[Sequence[Step]]
    """For each connection in turn; one after the last gets nothing."""
    snapshots: dict[str, bytes]
    """Of the symbols that are known, in capitals."""
    venue: StreamVenue | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Symbol and levels of each REST request."""
    connected: list[list[str]] = field(default_factory=list)
    """Streams of each connection."""

    async def play(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.connected.append(unquote(urlsplit(socket.request.path).query).removeprefix("streams=").split("/"))
        at = len(self.connected) - 1
        for step in self.scripts[at] if at < len(self.scripts) else ():
            if isinstance(step, bytes):
                await socket.send(step, text=True)
            elif callable(step):
                while not step():
                    await asyncio.sleep(0.002)
            elif step == GOING_AWAY:
                await socket.close(1001, step)
            elif step == ABORT:
                socket.transport.abort()
            else:
                socket.transport.write(b"\xf3\x02hi")  # reserved bits and an opcode that is none
        await socket.wait_closed()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(request.path).query)
        symbol = query["symbol"][0]
        self.asked.append((symbol, int(query["limit"][0])))
        body = self.snapshots.get(symbol, b'{"code":-1121,"msg":"Invalid symbol."}')
        request.send_response(200 if symbol in self.snapshots else 400)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@contextmanager
def playing(exchange: LiveExchange, name: str = "binance_usdm") -> Iterator[StreamVenue]:
    """Serve in threads of its own, so that a client that is busy does not hold the venue up."""
    ready: list[Any] = []

    async def run() -> None:
        stop = asyncio.Event()
        async with serve(exchange.play, "127.0.0.1", 0, compression=None) as server:
            ready.extend([server.sockets[0].getsockname()[1], stop, asyncio.get_running_loop()])
            await stop.wait()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            exchange.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    rest = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threads = [
        threading.Thread(target=lambda: asyncio.run(run())),
        threading.Thread(target=rest.serve_forever, args=(0.01,)),
    ]
    for thread in threads:
        thread.start()
    while len(ready) < 3:
        time.sleep(0.001)
    port, stop, loop = ready
    depth = f"http://127.0.0.1:{rest.server_port}/depth"
    try:
        yield StreamVenue(name, (("", f"ws://127.0.0.1:{port}"),), depth, 1000, (100,), "1m")
    finally:
        loop.call_soon_threadsafe(stop.set)
        rest.shutdown()
        rest.server_close()
        for thread in threads:
            thread.join()
