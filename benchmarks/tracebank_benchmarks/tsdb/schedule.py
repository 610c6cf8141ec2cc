"""In which order, how often and how long: seeded rounds over what is not done yet, until the minutes end."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from tracebank.processors import usable_processors

BURST: Final = 3
"""Samples that one visit takes before another engine has its turn."""
BURST_SECONDS: Final = 0.1
"""A visit takes more of them, while they are short."""
MOST_BURST: Final = 20
SLOW_SECONDS: Final = 0.5
"""Executions above this are not warmed up again on later visits: their own data has long pushed the others' out."""
FOR_ANSWERS: Final = 0.4
"""Share of a run's time in which right answers have to be worked out."""
FOR_LOADS: Final = 0.5
"""Share of what is left then in which engines have to be loaded."""
FOR_READS: Final = 0.6
"""Share of what is left then that the reads have, where other workloads come after them."""
_CLOSING_SECONDS: Final = 4.0
"""For writing rows and the report, on a machine that is not busy."""
_CLOSING: Final = 0.15
"""Share of a run's time that they have at most."""

T = TypeVar("T")


class MinutesEnded(Exception):
    """The run's time is over; nothing of it is the engine's fault."""


def busy() -> float:
    """How many times as long as on a quiet machine things take now, about."""
    return 1 + os.getloadavg()[0] / usable_processors()


@dataclass(slots=True)
class Budget:
    """Time of a run, from its data to its report."""

    minutes: float
    started: float = field(default_factory=time.monotonic)
    busy: float = field(default_factory=busy)
    _phase: float = field(default=math.inf, init=False)
    """When the phase ends."""

    @property
    def left(self) -> float:
        """Seconds until all has to be done."""
        whole = self.minutes * 60
        return self.started + whole - min(_CLOSING_SECONDS * self.busy, _CLOSING * whole) - time.monotonic()

    @property
    def left_in_phase(self) -> float:
        """Seconds in which something may be begun."""
        return min(self.left, self._phase - time.monotonic())

    @property
    def ended(self) -> bool:
        """Whether nothing more may be begun."""
        return self.left_in_phase <= 0

    @contextmanager
    def phase(self, share: float) -> Iterator[None]:
        """Only so much of what is left is for the block."""
        self._phase = time.monotonic() + share * max(0.0, self.left)
        try:
            yield
        finally:
            self._phase = math.inf


def rounds(
    items: Sequence[T], seed: int, group: Callable[[T], object], done: Callable[[T], bool], budget: Budget
) -> Iterator[T]:
    """Visit everything that is not done, round by round, each in a random order of its own.

    Items of one group come one after the other: where the time ends in the first round, what all engines were asked
    can still be compared. Ends when all is done, or with the time. The same seed gives the same orders.
    """
    rng = random.Random(seed)
    groups = list(dict.fromkeys(group(item) for item in items))
    while not all(done(item) for item in items):
        rng.shuffle(groups)
        for one in groups:
            members = [item for item in items if group(item) == one]
            rng.shuffle(members)
            for item in members:
                if budget.ended:
                    return
                if not done(item):
                    yield item
