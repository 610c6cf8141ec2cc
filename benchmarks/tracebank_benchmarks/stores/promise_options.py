"""How much `promises` asks for; small numbers are for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

POSTGRESQL: Final = "TRACEBANK_BENCH_POSTGRES_URL"
"""Variable that names a PostgreSQL server."""


@dataclass(frozen=True, slots=True)
class Options:
    """Numbers of rows, processes and repetitions."""

    partitions: int = 1_000
    repetitions: int = 50
    readers: int = 10
    crowd: int = 8
    """Writers, and readers beside them."""
    each: int = 40
    """Queries of each reader; a quarter of it are the writes of each writer."""
    queries: int = 10_000
    postgresql_rows: int = 6_000_000
    relational_rows: int = 1_000_000
