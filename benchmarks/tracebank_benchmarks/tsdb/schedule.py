"""In which order, how often and how long: seeded rounds over what is not done yet, until the budget ends."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

BURST: Final = 3
"""Samples that one visit takes before another engine has its turn."""
SLOW_SECONDS: Final = 0.5
"""Executions above this are not warmed up again on later visits: their own data has long pushed the others' out."""
MOST_OVER: Final = 1.5
"""The first round may take so many times what the reads have: better one sample of each than many of some."""
LEAST_FOR_READS: Final = 0.5
"""Share of a run's time that its reads have, however long the loads took."""

T = TypeVar("T")


@dataclass(slots=True)
class Budget:
    """Time of a run: what right answers and loads leave of it is for the reads, but never less than half of it."""

    minutes: float
    started: float = field(default_factory=time.monotonic)
    allowed: float = field(init=False)
    """Seconds for the reads."""

    def __post_init__(self) -> None:
        self.allowed = self.minutes * 60

    def begin(self) -> None:
        """The reads begin."""
        now = time.monotonic()
        self.allowed = max(self.minutes * 60 - (now - self.started), self.minutes * 60 * LEAST_FOR_READS)
        self.started = now

    @property
    def spent(self) -> float:
        """Seconds since the run, or its reads, began."""
        return time.monotonic() - self.started

    @property
    def ended(self) -> bool:
        """Whether no more may be begun."""
        return self.spent >= self.allowed

    @property
    def overdrawn(self) -> bool:
        """Whether not even what was never measured may be begun."""
        return self.spent >= self.allowed * MOST_OVER


def rounds(
    items: Sequence[T], seed: int, group: Callable[[T], object], done: Callable[[T], bool], budget: Budget
) -> Iterator[T]:
    """Visit everything that is not done, round by round, each in a random order of its own.

    Items of one group come one after the other: where the budget ends in the first round, what all engines were asked
    can still be compared. Ends when all is done, or with the budget, which the first round may overdraw. The same seed
    gives the same orders.
    """
    rng = random.Random(seed)
    groups = list(dict.fromkeys(group(item) for item in items))
    first = True
    while not all(done(item) for item in items):
        rng.shuffle(groups)
        for one in groups:
            members = [item for item in items if group(item) == one]
            rng.shuffle(members)
            for item in members:
                if budget.overdrawn if first else budget.ended:
                    return
                if not done(item):
                    yield item
        first = False
