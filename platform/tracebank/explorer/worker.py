"""A process of its own that answers what a request may not hold the server up with: SQL, and models on texts.

It is spawned when it is first asked, answers one question at a time, and is killed and replaced where an answer takes
too long, where nobody waits for it any more, and where it died. What it runs is `worker_process`.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, ClassVar, Final

import msgspec

from tracebank.settings import Settings

QUEUE: Final = 8
"""Questions that may wait while one is answered."""
PATIENCE: Final = 10.0
"""Seconds that a question waits for its turn."""
TOKEN: Final = "TRACEBANK_EXPLORER_TOKEN"
"""Variable of the token that requests bring; no business of a worker's."""
HEAD: Final = struct.Struct("<I")
"""Bytes that say how long a message is."""
_START: Final = 90.0
"""Seconds within which a process is there and has loaded what it needs."""
_BUFFER: Final = 1 << 20


class Unanswered(RuntimeError):
    """Why there is no answer: one line, and the HTTP status that it is said with."""

    status: ClassVar[int] = 500


class Refused(Unanswered):
    """The question is not allowed, or cannot be answered as it is put."""

    status = 400


class Busy(Unanswered):
    """Somebody else has what is asked, or asks: who, and since when."""

    status = 503


class TookTooLong(Unanswered):
    """The answer did not come in time; the process was stopped."""

    status = 504


class Failed(Unanswered):
    """The process ended, or failed in a way that is no fault of the question's."""


FAULTS: Final[dict[str, type[Unanswered]]] = {
    "refused": Refused,
    "busy": Busy,
    "late": TookTooLong,
    "failed": Failed,
}
"""Kinds of messages that end a question without an answer."""


class Worker:
    """One process that answers questions in the order in which they come."""

    def __init__(
        self, function: str, settings: Settings, *, queue: int = QUEUE, memory: int = 0, patience: float = PATIENCE
    ) -> None:
        """Nothing is started yet.

        Args:
            function: `module:name`; called with settings and the arguments of a question. It gives plain data, or for a
                stream what writes to a file. What it raises as `ValueError` is a refusal.
            settings: of the home.
            queue: questions that may wait; one more is turned away.
            memory: bytes of address space that the process may have; 0: no limit of its own.
            patience: seconds that a question waits for its turn.
        """
        self._command = (sys.executable, "-m", "tracebank.explorer.worker_process", function, str(memory))
        self._settings = settings
        self._queue, self._patience = queue, patience
        self._process: Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._since = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether a process is there that has loaded what it needs, so that an answer begins at once."""
        return self._process is not None and self._process.returncode is None

    @property
    def is_asked(self) -> bool:
        """Whether a question is being answered."""
        return self.is_ready and self._lock.locked()

    @property
    def pid(self) -> int | None:
        """Of the process, where there is one."""
        return self._process.pid if self._process is not None and self.is_ready else None

    async def ask(self, *arguments: Any, timeout: float) -> Any:
        """The answer to a question.

        Args:
            arguments: plain data (texts, numbers, lists, mappings).
            timeout: seconds from when its turn comes; a process that has to be started first is not counted.

        Raises:
            Refused: it is not allowed; one line.
            Busy: others wait already, or the turn did not come in time, or a store is held.
            TookTooLong: the answer did not come in time.
            Failed: the process ended meanwhile.
        """
        answer: Any = None
        async with aclosing(self._messages(arguments, timeout)) as messages:
            async for kind, value in messages:
                if kind == "answer":
                    answer = value
        return answer

    async def stream(self, *arguments: Any, timeout: float) -> AsyncGenerator[bytes]:
        """The parts of an answer, as they come and are taken; see `ask`. Close it, and the process is stopped."""
        async with aclosing(self._messages(arguments, timeout)) as messages:
            async for kind, value in messages:
                if kind == "part":
                    yield value

    async def start(self) -> None:
        """Have a process ready before the first question comes.

        Raises:
            Unanswered: as of `ask`.
        """
        if not self.is_ready:
            async with self._turn():
                await self._ready()

    async def close(self) -> None:
        """Stop the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _messages(self, arguments: tuple[Any, ...], timeout: float) -> AsyncGenerator[tuple[str, Any]]:
        async with self._turn():
            process = await self._asked(arguments)
            left, is_over = time.monotonic() + timeout, False
            try:
                while not is_over:
                    kind, value = await _received(process, left - time.monotonic())
                    is_over = kind != "part"
                    if kind in FAULTS:
                        raise FAULTS[kind](value)
                    yield kind, value
            except TimeoutError:
                raise TookTooLong(f"the answer took longer than {timeout:g} s, and was stopped") from None
            except (EOFError, OSError):
                raise Failed("the process that answers ended before its answer did; ask again") from None
            finally:
                if not is_over:
                    await self.close()

    async def _asked(self, arguments: tuple[Any, ...]) -> Process:
        """A process that has got the question; one that died since the last is replaced."""
        try:
            message = msgspec.msgpack.encode(arguments)
        except (TypeError, ValueError, OverflowError) as error:
            raise Refused(f"this cannot be asked: {error}") from None
        for is_last in (False, True):
            process = await self._ready()
            assert process.stdin is not None
            try:
                process.stdin.write(HEAD.pack(len(message)) + message)
                await process.stdin.drain()
            except OSError:
                await self.close()
                if is_last:
                    raise Failed("the process that answers ended before it was asked; ask again") from None
            else:
                return process
        raise AssertionError

    async def _ready(self) -> Process:
        """The process, started where there is none."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.close()
        environment = {**os.environ, **self._settings.environment()}
        environment.pop(TOKEN, None)
        # A session of its own hears nothing of the terminal; it ends when its input does.
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True, limit=_BUFFER
        )
        try:
            kind, value = await _received(process, _START)
        except (TimeoutError, EOFError, OSError):
            kind, value = "failed", "the process that answers did not start"
        except BaseException:
            process.kill()
            raise
        self._process = process
        if kind in FAULTS:
            await self.close()
            raise FAULTS[kind](value)
        return process

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The one question that is answered."""
        here = asyncio.get_running_loop()
        if self._loop is not here:  # what an ended loop left cannot be waited for
            self._loop, self._lock, self._process, self._waiting = here, asyncio.Lock(), None, 0
        lock = self._lock
        if lock.locked() and self._waiting >= self._queue:
            raise Busy(f"{self._waiting} questions wait already, and one is answered {self._told()}; ask again later")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await lock.acquire()
        except TimeoutError:
            raise Busy(f"another question is answered {self._told()}; waited {self._patience:g} s") from None
        finally:
            self._waiting -= 1
        self._since = time.monotonic()
        try:
            yield
        finally:
            lock.release()

    def _told(self) -> str:
        return f"since {time.monotonic() - self._since:.0f} s"


async def _received(process: Process, seconds: float) -> tuple[str, Any]:
    """Kind and value of the next message.

    Raises:
        TimeoutError: none came in time.
        EOFError: the process ended.
    """
    assert process.stdout is not None
    async with asyncio.timeout(max(0.0, seconds)):
        size = HEAD.unpack(await process.stdout.readexactly(HEAD.size))[0]
        kind, value = msgspec.msgpack.decode(await process.stdout.readexactly(size))
    return kind, value
