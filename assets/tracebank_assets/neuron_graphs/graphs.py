"""Asset `neuron_graphs/graphs`: what each unit of a dictionary or layer fires on, as a graph that can be run."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from tracebank.progress import advancing, track
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.materialised import Figure, Materialised
from tracebank_assets.neuron_graphs.catalogue import require_features
from tracebank_assets.neuron_graphs.keys import GROUP
from tracebank_assets.neuron_graphs.units import MADE_OF, UNITS, Units, made_of_units
from tracebank_assets.sparse_features.keys import DICTIONARIES, FEATURES
from tracebank_assets.studies import on_gpu
from tracebank_schemas.neuron_graphs import GraphNode, NeuronGraph
from tracebank_schemas.sparse_autoencoder import (
    FEATURE_EXAMPLES,
    Feature,
    FeatureToken,
    SparseAutoencoder,
)

if TYPE_CHECKING:
    from tracebank_models.neuron_graphs.unit_study import BuiltUnits, UnitsOfModel, UnitStudy
    from tracebank_models.neuron_graphs.words import Substitutes

ENOUGH: Final = 0.5
"""Share of units with a graph."""
_SHARE: Final = "most_units_have_a_graph"
COMPARED: Final = 3
"""Units whose graphs are made by the slow loop too."""
_EQUAL: Final = "equal_to_the_slow_loop"
CHECKS: Final = {
    _SHARE: f"At least {ENOUGH:.0%} of the units have a graph; the others have a row that says why not.",
    _EQUAL: f"The papers' graphs of {COMPARED} units are those of a loop over one unit and one text at a time.",
}
EVERY_STUDY: Final = [
    dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in (BASE, TUNED, DICTIONARIES, FEATURES)
]
"""Models and dictionaries are of studies, whose partitions have other keys."""


class GraphsConfig(dg.Config):
    """Which units have graphs made, and how."""

    units: int | None = Field(default=None, ge=1, description="Units, drawn by chance; empty: all.")
    seed: int = Field(default=0, ge=0, description="Of that drawing, and of windows.")
    substitutes: int = Field(default=5, ge=0, description="Of an important word, tried in its place; 0: none.")
    per_fifth: int = Field(
        default=8, ge=0, description="Windows of each fifth by strength, beside the ten strongest, that graphs are of."
    )
    masked_model: str = Field(
        default="", description="Masked language model that gives substitutes: folder or id; empty: the corpus does."
    )
    papers_only: bool = Field(default=False, description="The papers' algorithm: no gaps, negatives or cases.")


@artifact(
    GROUP,
    NeuronGraph,
    GraphNode,
    SparseAutoencoder,
    Feature,
    FeatureToken,
    FEATURE_EXAMPLES,
    checks=CHECKS,
    deps=EVERY_STUDY,
    partitions_def=UNITS,
    **on_gpu(),
    kinds={"torch", "networkx"},
)
def graphs(context: dg.AssetExecutionContext, config: GraphsConfig, stores: Stores) -> dg.MaterializeResult:
    """Graphs of the units of a partition: a dictionary, or `MODEL/layers.N.neurons`.

    They are made of documents with an even number. A layer of neurons becomes a dictionary with features at the same
    time, so that whatever can be asked of features can be asked of neurons.
    """
    from tracebank_models.neuron_graphs.unit_study import graphs_of_units

    with made_of_units(context, stores) as (made, units, read):
        chosen = drawn(read.coder.config.d_sae, config.units, config.seed)
        if units.row is None:
            _describe(made, units, read)
        else:
            require_features(stores.relational, units.name)
        with track(f"graphs of {units.name}", len(chosen)) as advance:
            how = unit_study(config)
            built = graphs_of_units(read, chosen, how, substitutes_of(config), advancing(advance))
        _write(made, units, built, read.coder.fires_at, asdict(how))
    with_graph = sum(one.graph is not None for one in built.graphs)
    figures: dict[str, Figure] = {"units": len(chosen), "with_graph": with_graph, MADE_OF: units.made_of()}
    return made.result(figures, [_most(with_graph / len(chosen)), _as_slow_loop(built, how, read.coder.fires_at)])


def _most(share: float) -> dg.AssetCheckResult:
    warn = dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(check_name=_SHARE, passed=share >= ENOUGH, severity=warn, metadata={"share": share})


def _as_slow_loop(built: "BuiltUnits", how: "UnitStudy", threshold: float) -> dg.AssetCheckResult:
    from tracebank_benchmarks.neuron_graphs.slow_loop import as_slow_loop

    some = [one for one in built.examples if one.windows][:COMPARED]
    settings = replace(how.graph, activation_threshold=threshold)
    equal = as_slow_loop(built.reader, some, settings, built.substitutes)
    told = {"compared": len(some), "equal": equal}
    return dg.AssetCheckResult(check_name=_EQUAL, passed=0 < equal == len(some), metadata=told)


def drawn(units: int, count: int | None, seed: int) -> list[int]:
    """Numbers of some units, drawn by chance, in order; of all where no count is given."""
    if count is None or count >= units:
        return list(range(units))
    found: list[int] = sorted(np.random.default_rng(seed).choice(units, count, replace=False).tolist())
    return found


def unit_study(config: GraphsConfig) -> "UnitStudy":
    """How graphs are made."""
    from tracebank_models.neuron_graphs.settings import PAPERS
    from tracebank_models.neuron_graphs.unit_study import UnitStudy

    plain = UnitStudy()
    graph = PAPERS if config.papers_only else plain.graph
    return replace(
        plain,
        graph=replace(graph, start_token=False, substitutes=config.substitutes),
        train=replace(plain.train, per_quantile=config.per_fifth, seed=config.seed),
        test=replace(plain.test, seed=config.seed),
    )


def substitutes_of(config: GraphsConfig) -> "Substitutes | None":
    """The masked language model of the config; None where the corpus gives substitutes."""
    if not config.masked_model:
        return None
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from tracebank_models.neuron_graphs.masked_language_model import MaskedLanguageModel

    model = AutoModelForMaskedLM.from_pretrained(config.masked_model)
    return MaskedLanguageModel(model, AutoTokenizer.from_pretrained(config.masked_model))


def _describe(made: Materialised, units: Units, read: "UnitsOfModel") -> None:
    """Put a layer of neurons into the tables of dictionaries and their features."""
    from tracebank_models.features.rows import feature_rows, token_rows
    from tracebank_models.neuron_graphs.unit_study import described_units
    from tracebank_models.sparse_autoencoder.comparisons import matches

    found = described_units(read, units.name)
    none = pl.DataFrame(
        schema={
            "dictionary": pl.String,
            "feature": pl.Int32,
            "role": pl.String,
            "rank": pl.Int32,
            "token_id": pl.Int32,
            "value": pl.Float64,
        }
    )
    tokens = token_rows(found.top_tokens, none, found.texts)
    rows = feature_rows(found.summary, tokens, matches([], {}))
    row = units.as_dictionary()
    made.into(SparseAutoencoder, SparseAutoencoder.dictionary == units.name).write([row])
    made.into(Feature, Feature.dictionary == units.name).write(rows)
    made.into(FeatureToken, FeatureToken.dictionary == units.name).write(tokens)
    examples = found.examples.with_columns(
        study=pl.lit(row["study"]), seed=pl.lit(0, pl.Int64), corpus_hash=pl.lit(read.corpus.hash)
    )
    shaped = examples.select(pl.col(name).cast(kind) for name, kind in FEATURE_EXAMPLES.polars_schema.items())
    made.into(FEATURE_EXAMPLES, {"study": units.name, "seed": 0}).write(shaped)


def _write(
    made: Materialised,
    units: Units,
    built: "BuiltUnits",
    threshold: float,
    settings: dict[str, object],
) -> None:
    from tracebank_models.neuron_graphs.build import built_rows
    from tracebank_models.neuron_graphs.unit_study import built_nodes

    rows = built_rows(built.graphs).rename({"unit": "feature"})
    graphs_of = rows.with_columns(
        pl.lit(units.name).alias("dictionary"),
        pl.Series("maximum", [one.maximum for one in built.examples]),
        pl.lit(threshold).alias("threshold"),
    )
    named = [{**row, "settings": settings} for row in graphs_of.iter_rows(named=True)]
    made.into(NeuronGraph, NeuronGraph.dictionary == units.name).write(named)
    made.into(GraphNode, GraphNode.dictionary == units.name).write(built_nodes(built.graphs, units.name))
