"""Names and partitions that the modules of group `tsdb_benchmark` share."""

import dagster as dg

from tracebank_benchmarks.tsdb.data_set import SCALES
from tracebank_benchmarks.tsdb.engines import ENGINES

GROUP = "tsdb_benchmark"

DATA = dg.AssetKey([GROUP, "data"])
RUNS = dg.AssetKey([GROUP, "runs"])
REPORT = dg.AssetKey([GROUP, "report"])

ENGINE_BY_SCALE = dg.StaticPartitionsDefinition([f"{engine}|{scale:g}" for engine in ENGINES for scale in SCALES])
"""One partition for each engine and scale: `duckdb|0.01`. Time is a column of the rows, not a partition."""


def engine_and_scale(key: str) -> tuple[str, float]:
    """What a partition is about."""
    engine, _, scale = key.partition("|")
    return engine, float(scale)
