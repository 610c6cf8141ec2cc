"""Asset `neuron_graphs/similarities`: which units have the same graph, across layers, models, neurons and features."""

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.materialised import materialised
from tracebank_assets.neuron_graphs.catalogue import all_nodes
from tracebank_assets.neuron_graphs.keys import GRAPHS, GROUP
from tracebank_schemas.neuron_graphs import UnitSimilarity


class SimilaritiesConfig(dg.Config):
    """When units are alike."""

    threshold: float = Field(default=0.9, gt=0, le=1, description="Share of tokens that two have in common.")


@artifact(
    GROUP,
    UnitSimilarity,
    deps=[dg.AssetDep(GRAPHS, partition_mapping=dg.AllPartitionMapping())],
    kinds={"scipy"},
)
def similarities(context: dg.AssetExecutionContext, config: SimilaritiesConfig, stores: Stores) -> dg.MaterializeResult:
    """Pairs of units whose graphs have the same tokens (`similar`), or of which one has the other's (`subset`)."""
    from tracebank_models.neuron_graphs.search import unit_tokens
    from tracebank_models.neuron_graphs.similarity import similar_units

    with materialised(context, stores) as made:
        found = similar_units(unit_tokens(all_nodes(stores.relational)), config.threshold)
        made.into(UnitSimilarity, UnitSimilarity.dictionary.is_not(None)).write(found.pairs)
    similar = found.pairs.filter(pl.col("relation") == "similar").height
    figures = {"pairs": found.pairs.height, "similar": similar, "units_left_out": found.left_out.height}
    return made.result(figures)
