"""Asset `explorer/units`: texts that units fire on, with what they do at every token, and how strongly they fire."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.explorer.keys import GROUP
from tracebank_assets.materialised import Figure
from tracebank_assets.neuron_graphs.catalogue import require_features
from tracebank_assets.neuron_graphs.graphs import drawn
from tracebank_assets.neuron_graphs.keys import GRAPHS
from tracebank_assets.neuron_graphs.units import MADE_OF, UNITS, made_of_units, units_of
from tracebank_assets.sparse_features.keys import FEATURES
from tracebank_assets.studies import on_gpu
from tracebank_schemas.explorer import UnitSummary, UnitText

if TYPE_CHECKING:
    from tracebank_models.neuron_graphs.unit_texts import TextSettings


class UnitsConfig(dg.Config):
    """Which texts of units are kept, and of which units. A unit takes about 50 KB, and 0.2 MiB of memory meanwhile."""

    units: int | None = Field(default=None, ge=1, description="Units, drawn by chance as those of graphs; empty: all.")
    top: int = Field(default=20, ge=0, description="Texts of the documents that a unit fires on most strongly.")
    random: int = Field(default=5, ge=0, description="Texts of any documents that it fires on.")
    per_fifth: int = Field(default=2, ge=0, description="Texts of each fifth, by strength, of those documents.")
    tokens: int = Field(default=128, ge=1, description="Most of a text, around its strongest token.")
    seed: int = Field(default=0, ge=0, description="Of what is drawn.")


@artifact(
    GROUP,
    UnitText,
    UnitSummary,
    deps=[GRAPHS, dg.AssetDep(FEATURES, partition_mapping=dg.AllPartitionMapping())],
    partitions_def=UNITS,
    **on_gpu(),
    kinds={"torch"},
)
def units(context: dg.AssetExecutionContext, config: UnitsConfig, stores: Stores) -> dg.MaterializeResult:
    """Texts of the units of a partition: a dictionary, or `MODEL/layers.N.neurons`.

    They are of documents with an even number, which units are described from: their maxima are those of features.
    """
    from tracebank_models.neuron_graphs.unit_texts import texts_of_units

    of_layer = units_of(stores.relational, context.partition_key).row is None
    require_features(stores.relational, context.partition_key, "/".join((GRAPHS if of_layer else FEATURES).path))
    with made_of_units(context, stores) as (made, units, read):
        chosen = drawn(read.coder.config.d_sae, config.units, config.seed)
        with track(f"texts of {units.name}", 1) as advance:
            found = texts_of_units(read, chosen, _settings(config), advance)
        name = pl.lit(units.name).alias("dictionary")
        made.into(UnitText, UnitText.dictionary == units.name).write(found.texts.with_columns(name))
        made.into(UnitSummary, UnitSummary.dictionary == units.name).write(found.summaries.with_columns(name))
    silent = len(chosen) - found.texts["feature"].n_unique()
    figures: dict[str, Figure] = {"units": len(chosen), "units_that_never_fire": silent, MADE_OF: units.made_of()}
    return made.result(figures)


def _settings(config: UnitsConfig) -> "TextSettings":
    from tracebank_models.neuron_graphs.unit_texts import TextSettings

    return TextSettings(
        top=config.top,
        random=config.random,
        per_quantile=config.per_fifth,
        tokens=config.tokens,
        seed=config.seed,
    )
