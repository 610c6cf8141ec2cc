"""Threads with a connection each, that get ready, start together and are waited for."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from tracebank_benchmarks.tsdb.engine import Session

MOST_EXAMPLES: Final = 3
"""Faults and errors of which the words are kept."""
ERROR_PAUSE: Final = 0.01
"""Seconds that a client waits after an error, so that one that fails at once is no busy loop."""
_LEAD: Final = 0.02
_SWITCH: Final = 5e-4


class Client(Protocol):
    """One client."""

    def get_ready(self, connection: Session) -> None:
        """Everything before the clock starts. An error ends the whole run of clients."""

    def run(self, connection: Session, start: float) -> None:
        """Work from `start`, by `time.perf_counter`. The engine's errors are the client's to note."""


def run_clients(session: Session, clients: Sequence[Client]) -> tuple[float, float, float]:
    """Run clients at once, each on a connection and in a thread of its own.

    Returns:
        Start and end, by `time.perf_counter`, and CPU seconds of this process between them.

    Raises:
        Exception: what the first client raised.
    """
    crew = _Crew(session, len(clients))
    threads = [threading.Thread(target=crew.work, args=(client,), daemon=True) for client in clients]
    with _undisturbed():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if crew.failures:
        raise crew.failures[0]
    return crew.start, crew.end, crew.end_cpu - crew.start_cpu


class _Crew:
    def __init__(self, session: Session, size: int) -> None:
        self._session = session
        self._ready = threading.Barrier(size, self._begin)
        self._done = threading.Barrier(size, self._finish)
        self.failures: list[BaseException] = []
        self.start = self.end = self.start_cpu = self.end_cpu = 0.0

    def _begin(self) -> None:
        self.start, self.start_cpu = time.perf_counter() + _LEAD, time.process_time()

    def _finish(self) -> None:
        self.end, self.end_cpu = time.perf_counter(), time.process_time()

    def work(self, client: Client) -> None:
        try:
            with self._session.connection() as connection:
                client.get_ready(connection)
                self._ready.wait()
                sleep_until(self.start)
                client.run(connection, self.start)
                self._done.wait()
        except threading.BrokenBarrierError:
            return
        except BaseException as error:
            self.failures.append(error)
            self._ready.abort()
            self._done.abort()


def sleep_until(moment: float) -> float:
    """Wait for a moment of `time.perf_counter`.

    Returns:
        When it was: at the moment or, where that is past, now.
    """
    while (left := moment - (now := time.perf_counter())) > 0:
        time.sleep(left)
    return now


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No collection of what is there already, and short turns: a client that has its answer waits for none of 5 ms."""
    turn = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH)
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        gc.unfreeze()
