"""Ctrl-C and SIGTERM while Dagster runs steps in this process: which came, and that waiting ends by them at once.

Dagster takes both signals' handlers for the length of a run and maps SIGTERM onto SIGINT. It then interrupts a step,
but not the wait for a slot of a pool, and does not tell afterwards which signal it was.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, outside a step."""


class Stops:
    """The signals that came since the block of `noted_stops` began."""

    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe
        self._came: list[int] = []

    def first(self) -> int | None:
        """Number of the first signal that came."""
        with suppress(BlockingIOError):
            if self._pipe is not None:
                self._came += [number for number in os.read(self._pipe, 64) if number in _SIGNALS]
        return self._came[0] if self._came else None

    def raise_at_once(self) -> None:
        """From here on a signal raises `Stopped` wherever it comes, until a step takes the handlers.

        Raises:
            Stopped: a signal has come already.
        """
        if self._pipe is not None:
            for number in _SIGNALS:
                signal.signal(number, _stop)
        if self.first() is not None:
            raise Stopped

    def leave(self) -> None:
        """End the command as the signal would have ended it, where one came.

        Raises:
            KeyboardInterrupt: it was Ctrl-C.
            SystemExit: it was SIGTERM; the code is the shell's for it, 143.
        """
        if (first := self.first()) == signal.SIGINT:
            raise KeyboardInterrupt
        if first is not None:
            raise SystemExit(128 + first)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


@contextmanager
def noted_stops() -> Iterator[Stops]:
    """Note the signals that come during the block, whoever handles them; the handlers are put back after it.

    Only the main thread hears of signals; in another, nothing is noted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Stops(None)
        return
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    handlers = [signal.getsignal(number) for number in _SIGNALS]
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield Stops(read)
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in zip(_SIGNALS, handlers, strict=True):
            signal.signal(number, handler)
        os.close(read)
        os.close(write)
