"""The shape in which every engine's answer comes back, and what all of them do to their batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

MOMENT: Final = pa.timestamp("ns", "UTC")
"""What every time stamp of an answer is."""

Parameters = Mapping[str, object]


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
