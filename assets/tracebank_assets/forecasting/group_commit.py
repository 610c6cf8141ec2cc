"""Live forecasts on their way into a store: what comes while one write runs is the next one's rows."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_schemas.forecasting import FORECASTS

_REMEMBERED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds, over the last million ticks with forecasts; NaN where there was none."""

    p50: float
    p99: float


class Latencies:
    """Times from a line's receipt on, in ns."""

    def __init__(self) -> None:
        self._taken: deque[int] = deque(maxlen=_REMEMBERED)

    def add(self, *received_ns: int) -> None:
        """Note that what was received then is done now."""
        now = time.time_ns()
        self._taken.extend(now - at_ns for at_ns in received_ns)

    def quantiles(self) -> Latency:
        """What half of them and 99 % took at most."""
        if not self._taken:
            return Latency(float("nan"), float("nan"))
        p50, p99 = np.quantile(np.fromiter(self._taken, np.int64), (0.5, 0.99)) / 1e6
        return Latency(float(p50), float(p99))


class Said(NamedTuple):
    """What a model said of one tick."""

    received_ns: int
    """When its line came, here."""
    tick_ns: int
    number: int
    """Of the tick, since the loop began."""
    values: NDArray[np.floating]
    """`[horizons, quantiles]`."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is the same in every row of one loop."""

    venue: str
    symbol: str
    model: str
    made: str
    horizons: tuple[int, ...]
    quantiles: tuple[float | None, ...]
    """None is the mean."""

    def frame(self, said: list[Said]) -> pl.DataFrame:
        """Rows of `series.forecasts`."""
        each, ticks = len(self.horizons) * len(self.quantiles), len(said)
        columns: dict[str, Any] = {
            "ts": np.repeat(np.array([one.tick_ns for one in said], np.int64), each),
            "row": np.repeat(np.array([one.number for one in said], np.int64), each),
            "horizon": np.tile(np.repeat(np.array(self.horizons, np.int32), len(self.quantiles)), ticks),
            "quantile": list(self.quantiles) * len(self.horizons) * ticks,
            "value": np.concatenate([one.values.ravel() for one in said]).astype(np.float32),
        }
        words = ("venue", "symbol", "model", "made")
        made = {name: pl.Series([getattr(self, name)]).new_from_index(0, each * ticks) for name in words}
        # Column by column: a select of casts would start the query engine, which takes longer than all of this.
        made |= {name: pl.Series(told).cast(FORECASTS.polars_schema[name]) for name, told in columns.items()}
        return pl.DataFrame({name: made[name] for name in FORECASTS.polars_schema})


@dataclass(slots=True)
class GroupCommit:
    """One write at a time, in a thread of its own, so that lines are taken meanwhile."""

    labels: Labels
    write: Callable[[pl.DataFrame], None]
    batch_s: float
    batch_ticks: int
    stored: Latencies = field(default_factory=Latencies)
    running: "set[asyncio.Task[None]]" = field(default_factory=set)
    """The write that runs, if one does."""
    _waiting: list[Said] = field(default_factory=list)

    def add(self, said: Said) -> None:
        """Take what is to be written."""
        self._waiting.append(said)

    @property
    def left_s(self) -> float | None:
        """Seconds that what waits may wait still; None where nothing does, or where a write runs before it."""
        if self.running or not self._waiting:
            return None
        return max(0.0, self.batch_s - (time.time_ns() - self._waiting[0].received_ns) / 1e9)

    async def advance(self) -> None:
        """Begin a write where one is due and none runs; wait for it where too many ticks wait.

        Raises:
            Exception: what the writer raised.
        """
        if self.running and (len(self._waiting) >= self.batch_ticks or all(task.done() for task in self.running)):
            await self._ended()
        if len(self._waiting) >= self.batch_ticks or self.left_s == 0:
            self._begin()

    async def finish(self) -> None:
        """Write all that waits.

        Raises:
            Exception: what the writer raised.
        """
        await self._ended()
        if self._waiting:
            self._begin()
            await self._ended()

    def _begin(self) -> None:
        said, self._waiting = self._waiting, []
        self.running.add(asyncio.create_task(asyncio.to_thread(self._write, said)))

    async def _ended(self) -> None:
        while self.running:
            await self.running.pop()

    def _write(self, said: list[Said]) -> None:
        self.write(self.labels.frame(said))
        self.stored.add(*(one.received_ns for one in said))
