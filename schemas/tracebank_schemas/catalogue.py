"""Every table of both stores in one place: import this to be sure that all declarations are loaded."""

from __future__ import annotations

from typing import Final

from tracebank_schemas import benchmarks, market
from tracebank_schemas.benchmarks import BenchmarkEnvironment, BenchmarkResult, BenchmarkRun
from tracebank_schemas.ingest import IngestCount, IngestFile, Instrument, RejectedRow, SequenceGap
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.quality import QualityMeasure
from tracebank_schemas.relational import Base
from tracebank_schemas.series import SeriesTable

TABLES: Final[dict[str, SeriesTable]] = {
    table.name: table for table in (market.TRADES, market.QUOTES, market.BOOK, market.BARS, benchmarks.SAMPLES)
}
"""Tables of the time-series store, by name."""

MODELS: Final[tuple[type[Base], ...]] = (
    Materialization,
    Instrument,
    IngestFile,
    IngestCount,
    RejectedRow,
    SequenceGap,
    QualityMeasure,
    BenchmarkEnvironment,
    BenchmarkRun,
    BenchmarkResult,
)
"""Tables of the relational store."""

METADATA: Final = Base.metadata
"""SQLAlchemy metadata that holds every model."""
