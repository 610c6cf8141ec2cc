"""A client that looks for the row that was sent last until it can read it: from write to readable."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from tracebank_benchmarks.tsdb.concurrency.clients import ERROR_PAUSE, MOST_EXAMPLES
from tracebank_benchmarks.tsdb.concurrency.loads import Part
from tracebank_benchmarks.tsdb.concurrency.rows import VISIBLE_WITHIN, readable
from tracebank_benchmarks.tsdb.engine import Session, UnsupportedError
from tracebank_benchmarks.tsdb.statistics import percentiles

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.concurrency.ingest import Ingest

_POLL: Final = 0.001
_REST: Final = 0.01
"""Seconds from one row that was seen to the next, at least; and not less than twice as long as a look takes."""


class Watcher:
    """Looks for the last row of the batch that was begun last, again and again."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self.seen: list[tuple[int, float, float]] = []
        """Batch, when it was begun to be sent, when its last row had been read."""
        self.unseen = 0
        self.unsupported = ""
        self.errors: list[str] = []

    def get_ready(self, connection: Session) -> None:
        """See whether the engine can be asked for a row."""
        try:
            readable(connection, self._ingest.source, 0)
        except UnsupportedError as error:
            self.unsupported = f"when rows became readable could not be seen: {error}"

    def run(self, connection: Session, start: float) -> None:  # noqa: ARG002 - the protocol's own
        """Look until nothing more is written."""
        last = -1
        while not self.unsupported and not self._ingest.ended.is_set():
            newest = self._ingest.newest
            if newest is None or newest[0] == last:
                time.sleep(_POLL)
                continue
            last = newest[0]
            time.sleep(max(_REST, 2 * self._watch(connection, *newest)))

    def _watch(self, connection: Session, number: int, begun: float) -> float:
        """Look for one row; returns how long the last look took."""
        row = (number + 1) * self._ingest.load.batch - 1
        while True:
            before = time.perf_counter()
            try:
                found = readable(connection, self._ingest.source, row)
            except Exception as error:
                found = False
                if len(self.errors) < MOST_EXAMPLES:
                    self.errors.append(self._ingest.said(error))
                time.sleep(ERROR_PAUSE)
            now = time.perf_counter()
            if found:
                self.seen.append((number, begun, now))
                return now - before
            if now - begun > VISIBLE_WITHIN or number in self._ingest.refused:
                self.unseen += number not in self._ingest.refused
                return now - before
            time.sleep(_POLL)

    def tell(self, part: Part, acknowledged: dict[int, float]) -> None:
        """Add to figures how long rows took to be readable: since they were sent, and since their acknowledgement."""
        part.unchecked = self.unsupported
        part.errors = (part.errors + self.errors)[:MOST_EXAMPLES]
        if self.unsupported:
            return
        sent = np.asarray([seen - begun for _, begun, seen in self.seen], np.float64)
        after = [max(0.0, seen - acknowledged[number]) for number, _, seen in self.seen if number in acknowledged]
        part.values |= {f"visible_{name}": value for name, value in percentiles(sent).items()}
        later = percentiles(np.asarray(after, np.float64))
        part.values |= {f"visible_after_ack_{name}": value for name, value in later.items()}
        part.values |= {"visible_rows_looked_for": float(len(self.seen)), "visible_rows_not_seen": float(self.unseen)}
