"""Keys and partitions of the assets of fairness over time."""

from typing import Final

import dagster as dg

from tracebank_models.fairness_worlds.names import WORLD_NAMES

GROUP: Final = "fairness"
RUNS: Final = dg.AssetKey([GROUP, "runs"])
SUMMARIES: Final = dg.AssetKey([GROUP, "summaries"])
SEEDS: Final = 10
"""That a backfill of all runs."""

WORLD_BY_SEED: Final = dg.MultiPartitionsDefinition(
    {
        "world": dg.StaticPartitionsDefinition(list(WORLD_NAMES)),
        "seed": dg.StaticPartitionsDefinition([str(seed) for seed in range(SEEDS)]),
    }
)
"""A cell for each world and seed, with all mitigations and schedules in it: they have people and luck in common."""


def partition_key(world: str, seed: int) -> dg.MultiPartitionKey:
    """Key of one partition."""
    return dg.MultiPartitionKey({"world": world, "seed": str(seed)})
