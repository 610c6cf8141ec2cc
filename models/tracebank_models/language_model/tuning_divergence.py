"""How far every checkpoint of a tuning is from the base that it came from, by all definitions of `layer_divergence`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import polars as pl

from .layer_divergence import Batch, layer_divergence, output_divergence, weight_divergence
from .loading import LoadedModel


def tuning_divergence(
    parent: LoadedModel,
    checkpoints: Iterable[LoadedModel],
    tuned: str,
    batches: Sequence[Batch],
    progress: Callable[[float], None],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compare checkpoints with their base, one after the other.

    Args:
        parent: The base.
        checkpoints: Each is asked for when the one before is done, so that two models are in memory.
        tuned: Name of the one whose layers are swapped, one by one, into the base.
        batches: Texts to measure activations and outputs on.
        progress: Told when one more is done.

    Returns:
        `model`, `layer` (-1 of the output), `definition`, `parent`, `value`; and `weight_divergence` with `model` and
        `parent`.

    Raises:
        ValueError: See `layer_divergence`.
    """
    layers, tensors = [], []
    for one in checkpoints:
        names = {"model": pl.lit(one.facts.model), "parent": pl.lit(parent.facts.model)}
        of_layers = layer_divergence(parent.model, one.model, batches, swaps=one.facts.model == tuned)
        of_output = output_divergence(parent.model, one.model, batches).with_columns(layer=pl.lit(-1, pl.Int64))
        layers.append(pl.concat([of_layers, of_output], how="diagonal_relaxed").with_columns(**names))
        tensors.append(weight_divergence(parent.model, one.model).with_columns(**names))
        progress(1)
    return pl.concat(layers).select("model", "layer", "definition", "parent", "value"), pl.concat(tensors)
