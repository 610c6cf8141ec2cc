"""What a query is asked with and what comes back, the same for every engine: parameters, limits, an answer's shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

MOMENT: Final = pa.timestamp("ns", "UTC")
"""What every time stamp of an answer is."""

Parameters = Mapping[str, object]

Progress = Callable[[int, int], None]
"""Called with rows read so far and rows to read in all (0: not known), from another thread."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a query may take before it is stopped."""

    seconds: float
    """Of wall time, from when the engine begins."""
    memory: int
    """Bytes that the engine may hold for it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One query of a user."""

    text: str
    limits: Limits
    parameters: Parameters = field(default_factory=dict)
    rows: int | None = None
    """Most rows to give; None for all."""
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A query under way: its schema, and its batches as they come."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def first_rows(batches: Iterator[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    """At most `limit` rows: statements other than SELECT do not heed an engine's own limit."""
    left = limit
    for batch in batches:
        if left is None:
            yield batch
        elif left > 0:
            yield batch.slice(0, left)
            left -= batch.num_rows
        else:
            return
