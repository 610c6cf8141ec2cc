"""What is told of a text: units of each token and of all of it, what they do beside what their graphs predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tracebank_models.neuron_graphs.many_graphs import ManyGraphs
    from tracebank_models.neuron_graphs.text_activations import TextActivations, UnitsAtSite

_DIGITS: Final = 4
_AT: Final = ["position", "unit"]
_TRUE: Final = {"position": pl.Int64, "unit": pl.Int64, "activation": pl.Float64, "share": pl.Float64}


@dataclass(frozen=True, slots=True)
class Asked:
    """A text, and whose units are asked for."""

    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel | None
    """None where nothing can be computed."""
    token_ids: NDArray[np.int32]
    dictionaries: Sequence[tuple[str, int]]
    """Names, with how many units each has: units are counted through all of them."""


def answer(
    asked: Asked, units: Mapping[str, UnitsAtSite], graphs: Mapping[str, ManyGraphs | None], top: int, most: int
) -> dict[str, list[dict[str, Any]]]:
    """`tokens` and `units` of a text, see `inference.activations`.

    Args:
        asked: the text.
        units: of each dictionary; none where nothing can be computed.
        graphs: of each dictionary; None where it has none.
        top: units of each token.
        most: units of the text.
    """
    from tracebank_models.features.token_text import token_texts

    tokens = token_texts(asked.tokenizer).gather(asked.token_ids)
    names = _Names(asked.dictionaries)
    predicted, drawn = _predicted(names, graphs, tokens.to_list())
    likely = predicted.filter(pl.col("predicted") > 0).sort(
        "position", "predicted", "unit", descending=[False, True, False]
    )
    likely = likely.group_by("position", maintain_order=True).head(top)
    read = _read(asked, units, likely, top, most)
    largest = predicted.sort("predicted", "position", descending=[True, False]).unique(
        "unit", keep="first", maintain_order=True
    )
    if read is None:
        true = pl.DataFrame(schema=_TRUE)
        said = likely.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("activation", "share"))
        whole = largest.filter(pl.col("predicted") > 0).sort("predicted", "unit", descending=[True, False]).head(most)
        whole = whole.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("activation", "share"))
    else:
        true = read.by_token.join(predicted, on=_AT, how="left", maintain_order="left")
        said = likely.join(read.asked, on=_AT, how="left", maintain_order="left")
        whole = read.by_unit.join(largest.select("unit", "predicted"), on="unit", how="left", maintain_order="left")
    true, said, whole = (names.told(_with_zeros(frame, drawn)) for frame in (true, said, whole))
    at_token = [{"token": token, "true": [], "predicted": []} for token in tokens]
    for name, frame in (("true", true), ("predicted", said)):
        for row in frame.to_dicts():
            at_token[row.pop("position")][name].append(row)
    return {"tokens": at_token, "units": [{**row, "token": tokens[row["position"]]} for row in whole.to_dicts()]}


class _Names:
    """Units by name and number."""

    def __init__(self, dictionaries: Sequence[tuple[str, int]]) -> None:
        self.names = [name for name, _ in dictionaries]
        self.starts = np.cumsum([0, *(size for _, size in dictionaries)])[:-1]

    def told(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Dictionary and feature in the place of the unit, and numbers as they are shown."""
        unit = frame["unit"].to_numpy()
        which = np.searchsorted(self.starts, unit, side="right") - 1
        dictionary = pl.Series("dictionary", self.names, pl.String).gather(which)
        feature = pl.Series("feature", unit - self.starts[which], pl.Int64)
        numbers = [pl.col(name).round_sig_figs(_DIGITS) for name in ("activation", "share", "predicted")]
        return frame.select(dictionary, feature, "position", *numbers)


def _predicted(
    names: _Names, graphs: Mapping[str, ManyGraphs | None], tokens: Sequence[str]
) -> tuple[pl.DataFrame, pl.Series]:
    """Columns position, unit and predicted of what graphs predict, and the units that have one."""
    frames = [pl.DataFrame(schema={"position": pl.Int64, "unit": pl.Int64, "predicted": pl.Float64})]
    drawn = [pl.Series("unit", [], pl.Int64)]
    for name, start in zip(names.names, names.starts.tolist(), strict=True):
        if (known := graphs[name]) is None:
            continue
        found = known.predicted(tokens)
        frames.append(found.select("position", (pl.col("feature") + start).alias("unit"), predicted="value"))
        drawn.append(pl.Series("unit", known.features + start, pl.Int64))
    return pl.concat(frames), pl.concat(drawn)


def _with_zeros(frame: pl.DataFrame, drawn: pl.Series) -> pl.DataFrame:
    """Units that have a graph which says nothing of a token are predicted at 0 there."""
    if "predicted" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias("predicted"))
    silent = pl.col("predicted").is_null() & pl.col("unit").is_in(drawn.implode())
    return frame.with_columns(pl.when(silent).then(0.0).otherwise("predicted").alias("predicted"))


def _read(
    asked: Asked, units: Mapping[str, UnitsAtSite], likely: pl.DataFrame, top: int, most: int
) -> TextActivations | None:
    from tracebank_models.language_model.tokenizer import tokenizer_hash
    from tracebank_models.neuron_graphs.text_activations import text_activations

    if asked.model is None:
        return None
    digest = tokenizer_hash(asked.tokenizer)
    return text_activations(asked.model, asked.token_ids, digest, units, likely.select(_AT), top, most)
