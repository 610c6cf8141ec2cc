"""Names and partitions that the modules of group `tsdb_benchmark` share."""

from collections.abc import Iterable

import dagster as dg

GROUP = "tsdb_benchmark"

DATA = dg.AssetKey([GROUP, "data"])
RUNS = dg.AssetKey([GROUP, "runs"])
REPORT = dg.AssetKey([GROUP, "report"])

_ENGINES = "benchmark_engines"
_SCALES = "benchmark_scales"

ENGINE_BY_SCALE = dg.MultiPartitionsDefinition(
    {
        "engine": dg.DynamicPartitionsDefinition(name=_ENGINES),
        "scale": dg.DynamicPartitionsDefinition(name=_SCALES),
    }
)
"""A cell for each engine that is here and each scale that data were made of; an engine that is not here is no missing
cell. Time is a column of the rows, not a partition.
"""


def partition_key(engine: str, scale: float) -> dg.MultiPartitionKey:
    """Key of one partition: `duckdb|0.01`."""
    return dg.MultiPartitionKey({"engine": engine, "scale": f"{scale:.15g}"})


def add_to(instance: dg.DagsterInstance, engines: Iterable[str], scales: Iterable[float]) -> None:
    """Make engines and scales known to Dagster; those that are known stay as they are."""
    instance.add_dynamic_partitions(_ENGINES, list(engines))
    instance.add_dynamic_partitions(_SCALES, [f"{scale:.15g}" for scale in scales])


def engine_and_scale(key: str) -> tuple[str, float]:
    """What a partition is about."""
    engine, _, scale = key.partition("|")
    return engine, float(scale)
