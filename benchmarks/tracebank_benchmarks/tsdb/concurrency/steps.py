"""What a run asks of an engine with several clients, point by point: Q1, W4 and W2, and what becomes of each.

They come last, since W4 and W2 add rows to those that were loaded: all later than the data, so that reads of closed
windows keep their right answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from tracebank.progress import track
from tracebank_benchmarks.tsdb.concurrency.loads import IngestLoad, Outcome, Part, QueryLoad
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.journal import Measures, Sample
from tracebank_benchmarks.tsdb.measurement import Cost, timed_call
from tracebank_benchmarks.tsdb.plan import Plan
from tracebank_benchmarks.tsdb.results import UNMEASURED
from tracebank_benchmarks.tsdb.schedule import MinutesEnded
from tracebank_benchmarks.tsdb.worker import EngineDied, EngineFailed, EngineTimeout
from tracebank_schemas.tsdb_benchmark import TRADES

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.station import Setting, Station

READS: Final = ("R2", "R3", "R9", "R15", "R16", "R26")
"""Fast reads of closed windows: what comes later does not change their answers."""
CONNECTIONS: Final = (1, 2, 8, 32)
OPEN_PERCENT: Final = (25, 50, 75, 90, 110)
"""Rates of the open loop, in hundredths of what the closed loop came to with as many connections as are worth while."""
INGEST: Final = (
    (1, 2, 1e4), (100, 2, 1e4), (10_000, 2, 1e4), (10_000, 1, 1e5), (10_000, 2, 1e5), (10_000, 8, 1e5),
    (100_000, 2, 1e5), (10_000, 2, None),
)  # fmt: skip
"""Rows of a batch, writers and rows a second: one of them varied at a time."""
FULL_INGEST: Final = tuple(itertools.product((1, 100, 10_000, 100_000), (1, 2, 8), (1e4, 1e5, None)))
MIXED: Final = ((2, 1e4),)
FULL_MIXED: Final = tuple(itertools.product((2, 8), (1e4, 1e5)))
"""Readers, and rows a second."""
FULL_SECONDS: Final = 600.0
SHARE: Final = 0.6
"""Of what is left after the reads, that all points of all engines last."""
LEAST_SECONDS: Final = 0.2
AROUND: Final = 0.5
"""Seconds that a point takes beside its length: rows are made, and read back."""
ERROR_LIMIT: Final = 0.01
"""Share of failed requests above which a point has no right figures."""
_NEAR_BEST: Final = 0.9
"""Share of the best rate at which fewer connections are as good as more."""
_MIXED_BATCH: Final = 1_000
_MIXED_WRITERS: Final = 1
_FIRST_SEQ: Final = 10_000_000_000
"""Above all `seq` of loaded rows; each point has as many to itself."""
_DAY: Final = timedelta(days=1)


@dataclass
class Steps:
    """One workload on one station, point after point."""

    station: Station
    workload: str
    points: int
    """How many there are."""
    limits: list[str] = field(default_factory=list)
    """Why the result is partial."""
    good: int = 0
    bad: list[str] = field(default_factory=list)
    """Points with too many errors."""
    advance: Callable[[float], None] = field(default=lambda _: None)

    def carry_out(self, body: Callable[[Steps], None]) -> None:
        """Take the points, and decide what the workload is; whatever the engine does is noted, not raised."""
        station = self.station
        if station.case(self.workload).verdict is not None:
            return
        try:
            with track(f"{self.workload} on {station.engine}/{station.lane.value}", self.points) as self.advance:
                body(self)
            self._conclude()
        except UnsupportedError as error:
            station.decide(self.workload, "unsupported", str(error))
        except WrongRows as error:
            station.decide(self.workload, "wrong_answer", str(error))
        except EngineFailed as error:
            station.decide(self.workload, "error", str(error))
        except EngineTimeout as error:
            station.decide(self.workload, "timeout", str(error))
            station.close()
        except EngineDied as error:
            station.decide(self.workload, "error", str(error))
            station.close()

    def _conclude(self) -> None:
        if not self.good:
            self.station.decide(self.workload, "error", "; ".join(self.bad))
            return
        reasons = "; ".join([*self.limits, *self.bad])
        self.station.decide(self.workload, "partial" if reasons else "verified", reasons)

    def reads(self) -> tuple[str, ...]:
        """The reads that this engine answers; the others are a limit.

        Raises:
            UnsupportedError: it answers none.
        """
        kept: list[str] = []
        left: list[str] = []
        for name in READS:
            verdict = self.station.case(name).verdict
            if verdict is not None and verdict.status not in ("verified", "partial"):
                left.append(f"{name} ({verdict.status.replace('_', ' ')})")
                continue
            try:
                self.station.prepare(name)
                kept.append(name)
            except (UnsupportedError, EngineFailed) as error:
                left.append(f"{name} ({error})")
        if not kept:
            raise UnsupportedError(f"none of the reads of the mix is answered: {', '.join(left)}")
        if left:
            self.limits.append(f"left out of the mix: {', '.join(left)}")
        texts = (self.station.case(name).text for name in kept)
        if partial := [text.workload for text in texts if text is not None and text.partial]:
            self.limits.append(f"done in part by the client: {', '.join(partial)}")
        return tuple(kept)

    def point(self, label: str, queries: QueryLoad | None = None, ingest: IngestLoad | None = None) -> None:
        """Measure a point and note its figures, unless that was done before.

        Raises:
            WrongRows: an answer was wrong, or rows were lost.
            UnsupportedError, EngineFailed, EngineDied, EngineTimeout: as the engine has it.
            MinutesEnded: there is no time for it.
        """
        if f"{label}_seconds" in self.station.case(self.workload).measures:
            self.good += 1
        elif self.station.setting.budget.left < max(load.seconds for load in (queries, ingest) if load) + AROUND:
            raise MinutesEnded(UNMEASURED)
        else:
            self._measure(label, queries, ingest)
        self.advance(1)

    def _measure(self, label: str, queries: QueryLoad | None, ingest: IngestLoad | None) -> None:
        outcome, cost = self._taken(queries, ingest)
        parts = {"queries": outcome.queries, "ingest": outcome.ingest}
        values = {f"{label}_seconds": outcome.seconds, f"{label}_cpu_seconds": cost.cpu_seconds}
        for name, part in parts.items():
            if part is not None:
                if part.faults:
                    raise WrongRows(f"{label}: {'; '.join(part.faults)}")
                prefix = f"{label}_{name}" if queries and ingest else label
                values |= {f"{prefix}_{measure}": value for measure, value in part.values.items()}
        self._keep(label, outcome, cost, values)
        self._judge(label, [part for part in parts.values() if part is not None])

    def _taken(self, queries: QueryLoad | None, ingest: IngestLoad | None) -> tuple[Outcome, Cost]:
        setting = self.station.setting
        seconds = max(load.seconds for load in (queries, ingest) if load is not None)
        timeout = 5 * seconds + 2 * setting.plan.timeout + 60
        return timed_call(
            setting.watch,
            self.station.roots,
            lambda: cast(
                "Outcome", self.station.call("concurrent", queries, ingest, setting.data.frames, timeout=timeout)
            ),
            lambda outcome: outcome.seconds,
            lambda outcome: outcome.cpu_seconds,
        )

    def _keep(self, label: str, outcome: Outcome, cost: Cost, values: dict[str, float]) -> None:
        station, journal = self.station, self.station.setting.journal
        pieces = [(outcome.seconds, int(outcome.queries.values["requests"]))] if outcome.queries else []
        if outcome.ingest is not None and outcome.queries is None:
            pieces = [(one.seconds, one.acknowledged) for one in outcome.ingest.curve]
        ended = datetime.now(UTC) - timedelta(seconds=sum(seconds for seconds, _ in pieces))
        for seconds, rows in pieces:
            ended += timedelta(seconds=seconds)
            share = 1 / len(pieces)
            journal.note(
                Sample(station.engine, station.lane.value, self.workload, label, ended, seconds,
                       cost.cpu_seconds * share, cost.harness_seconds * share, cost.foreign_share, cost.disturbed,
                       rows, 0)
            )  # fmt: skip
        journal.note(Measures(station.engine, station.lane.value, self.workload, values))

    def _judge(self, label: str, parts: list[Part]) -> None:
        worst = max(parts, key=lambda part: part.values["error_ratio"])
        ratio = worst.values["error_ratio"]
        said = f"{label}: {ratio:.2%} failed: {worst.errors[0] if worst.errors else ''}"
        if ratio > ERROR_LIMIT:
            self.bad.append(said)
        else:
            self.good += 1
            self.limits += [said] if ratio else []
        self.limits += [part.unchecked for part in parts if part.unchecked and part.unchecked not in self.limits]


class WrongRows(Exception):
    """An answer was wrong, or rows that were acknowledged are not there as they were sent; one line."""


def concurrent_queries(station: Station) -> None:
    """Q1: a mix of reads by 1 to 32 connections, closed loop, then open loop at shares of the best rate."""

    def body(steps: Steps) -> None:
        reads, seconds, seed = steps.reads(), station.setting.point_seconds, station.setting.plan.seed
        for connections in CONNECTIONS:
            steps.point(f"closed_{connections}", QueryLoad(reads, connections, seconds, seed))
        found = station.case("Q1").measures
        rates = {one: found.get(f"closed_{one}_qps", 0.0) for one in CONNECTIONS}
        best = next(one for one, rate in rates.items() if rate >= _NEAR_BEST * max(rates.values()))
        if not (most := rates[best]):
            return
        station.setting.journal.note(
            Measures(station.engine, station.lane.value, "Q1", {"open_connections": float(best)})
        )
        for percent in OPEN_PERCENT:
            steps.point(f"open_{percent}", QueryLoad(reads, best, seconds, seed, rate=most * percent / 100))

    Steps(station, "Q1", len(CONNECTIONS) + len(OPEN_PERCENT)).carry_out(body)


def ingest_under_queries(station: Station) -> None:
    """W4: queries alone, ingest alone, and both at once."""

    combinations = FULL_MIXED if station.setting.plan.full else MIXED
    numbers = list(dict.fromkeys(readers for readers, _ in combinations))
    rates = list(dict.fromkeys(rate for _, rate in combinations))

    def body(steps: Steps) -> None:
        reads, seconds, spans = steps.reads(), station.setting.point_seconds, _spans(station, 100)

        def asked(readers: int) -> QueryLoad:
            return QueryLoad(reads, readers, seconds, station.setting.plan.seed)

        def written(rate: float) -> IngestLoad:
            return IngestLoad(_MIXED_BATCH, _MIXED_WRITERS, seconds, rate, *next(spans), watched=False)

        for rate in rates:
            steps.point(f"ingest_{rate:.0f}_alone", None, written(rate))
        for readers in numbers:
            steps.point(f"readers_{readers}_alone", asked(readers))
        for readers, rate in combinations:
            steps.point(f"readers_{readers}_ingest_{rate:.0f}", asked(readers), written(rate))

    Steps(station, "W4", len(rates) + len(numbers) + len(combinations)).carry_out(body)


def sustained_ingest(station: Station) -> None:
    """W2: batches at fixed rates, and as fast as they are acknowledged."""

    points = FULL_INGEST if station.setting.plan.full else INGEST

    def body(steps: Steps) -> None:
        seconds, spans = station.setting.point_seconds, _spans(station, 0)
        for batch, writers, rate in points:
            offered = "max" if rate is None else f"{rate:.0f}"
            load = IngestLoad(batch, writers, seconds, rate, *next(spans))
            steps.point(f"b{batch}_w{writers}_r{offered}", None, load)

    Steps(station, "W2", len(points)).carry_out(body)


STEPS: Final = {"Q1": concurrent_queries, "W4": ingest_under_queries, "W2": sustained_ingest}
"""In their order."""


def point_seconds(setting: Setting) -> float:
    """How long a point lasts: a share of the time that is left, over all points of all engines; or ten minutes."""
    plan = setting.plan
    if plan.full:
        return FULL_SECONDS
    all_points = points(plan) * len(plan.engines) * len(plan.lanes)
    each = setting.budget.left * SHARE / max(1, all_points) - AROUND
    return min(FULL_SECONDS, max(LEAST_SECONDS, each))


def points(plan: Plan) -> int:
    """Points of one engine."""
    known = {"Q1": len(CONNECTIONS) + len(OPEN_PERCENT), "W4": 2 + len(MIXED), "W2": len(INGEST)}
    return sum(known[one] for one in known if one in plan.workloads)


def _spans(station: Station, first: int) -> Iterator[tuple[int, int]]:
    """A day after the data, and numbers above its, for each point: nanoseconds since 1970, and seq."""
    last = station.setting.data.scan(TRADES).select(pl.col("ts").max().dt.epoch("s")).collect().item()
    day = (int(last) // 86_400 + 1) * 86_400
    for number in itertools.count(first):
        start = day + number * int(_DAY.total_seconds())
        yield start * 1_000_000_000, _FIRST_SEQ * (number + 1)
