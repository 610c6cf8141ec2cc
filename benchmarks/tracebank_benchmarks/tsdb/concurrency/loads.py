"""What clients are to do, and what came of it: plain values that travel between processes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QueryLoad:
    """Clients that ask a mix of reads, in seeded permutations."""

    reads: tuple[str, ...]
    """Names under which they were prepared."""
    connections: int
    seconds: float
    seed: int
    rate: float | None = None
    """Requests a second of all connections together, arriving at random (open loop); None: each connection asks again
    as soon as it is answered (closed loop)."""


@dataclass(frozen=True, slots=True)
class IngestLoad:
    """Clients that write batches."""

    batch: int
    """Rows."""
    writers: int
    seconds: float
    rate: float | None
    """Rows a second of all writers together; None: each writes again as soon as it is acknowledged."""
    start_ns: int
    """Time of the first row, nanoseconds since 1970; rows are 1 µs apart."""
    first_seq: int
    watched: bool = True
    """Whether one more client looks for rows that were just sent."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A piece of the time in which rows were written."""

    seconds: float
    """Its length."""
    acknowledged: int
    """Rows acknowledged in it."""
    backlog: int
    """Rows that were due by its end and not acknowledged."""


@dataclass(slots=True)
class Part:
    """What came of one load."""

    values: dict[str, float] = field(default_factory=dict)
    """Figures by name: seconds, rows, requests, shares."""
    faults: list[str] = field(default_factory=list)
    """Wrong answers, rows lost; the first few."""
    errors: list[str] = field(default_factory=list)
    """What the engine said when it failed; the first few."""
    unchecked: str = ""
    """What could not be checked, and why."""
    curve: list[Interval] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """What came of loads that ran at once."""

    seconds: float
    """From the common start to the end of the last client."""
    cpu_seconds: float
    """Of the process that the clients, and embedded engines, run in."""
    queries: Part | None = None
    ingest: Part | None = None
