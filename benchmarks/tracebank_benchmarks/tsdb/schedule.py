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

T = TypeVar("T")


@dataclass(slots=True)
class Budget:
    """Time that a run may take for its reads, once the engines are loaded; a reload counts."""

    minutes: float
    started: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def ended(self) -> bool:
        """Whether no more may be begun."""
        return self.spent >= self.minutes * 60


def rounds(
    items: Sequence[T], seed: int, group: Callable[[T], object], done: Callable[[T], bool], budget: Budget
) -> Iterator[T]:
    """Visit everything that is not done, round by round, each in a random order of its own.

    Items of one group come one after the other: where the budget ends in the first round, what all engines were asked
    can still be compared. Ends when all is done, or with the budget. The same seed gives the same orders.
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
