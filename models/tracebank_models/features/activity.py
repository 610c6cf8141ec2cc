"""How often and how strongly features fire on some texts, and which of them are born or die between checkpoints.

Only sums are kept; examples of what a feature fires on are `feature_statistics`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import polars as pl
import torch
from torch import Tensor

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.sparse_coder import SparseCoder, encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ACTIVITY_SCHEMA: Final = {"site": pl.String, "feature": pl.Int32, "density": pl.Float64, "mean_activation": pl.Float64}


def feature_activity(
    model: PreTrainedModel, corpus: TokenCorpus, coders: Mapping[str, SparseCoder], *, batch_tokens: int = 8_192
) -> pl.DataFrame:
    """Density and mean activation (where it fires; 0 where it never does) of every feature of every site.

    Args:
        model: The model; nothing of its activations is stored.
        corpus: What it reads.
        coders: The dictionary of each site.
        batch_tokens: Tokens of a forward pass.

    Returns:
        Columns of `ACTIVITY_SCHEMA`.

    Raises:
        ValueError: A site is not known, or a dictionary is of another width.
    """
    fired: dict[str, Tensor] = {}
    total: dict[str, Tensor] = {}
    for batch in stream_activations(model, corpus, list(coders), batch_tokens=batch_tokens):
        for site, coder in coders.items():
            codes = encoded(site, coder, batch.activations[site])
            sums = codes.clamp_min(0).sum(0, dtype=torch.float32).cpu().double()
            counts = (codes > 0).sum(0).cpu()
            fired[site] = fired[site] + counts if site in fired else counts
            total[site] = total[site] + sums if site in total else sums
    return pl.concat(_activity(site, fired[site], total[site], corpus.tokens) for site in coders)


def _activity(site: str, fired: Tensor, total: Tensor, tokens: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "site": [site] * len(fired),
            "feature": range(len(fired)),
            "density": (fired.double() / tokens).numpy(),
            "mean_activation": (total / fired.clamp_min(1)).numpy(),
        },
        schema=ACTIVITY_SCHEMA,
    )


def feature_states(checkpoints: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Add what became of each feature since the checkpoint before.

    Args:
        checkpoints: Frames of `feature_activity` in the order of tuning, of the same dictionaries.

    Returns:
        The frames with a column state: `alive` or `dead` (as before), `born` (silent before, fires now) or `died`
        (the reverse); of the first one `alive` or `dead`.

    Raises:
        ValueError: Two checkpoints do not have the same features.
    """
    found: list[pl.DataFrame] = []
    before: pl.Series | None = None
    for number, frame in enumerate(checkpoints):
        if not frame.select("site", "feature").equals(checkpoints[0].select("site", "feature")):
            raise ValueError(f"checkpoints: number {number} has other features: allowed are those of the first")
        alive = frame["density"] > 0
        now = pl.DataFrame({"alive": alive, "was": alive if before is None else before})
        found.append(frame.with_columns(now.select(_state()).to_series()))
        before = alive
    return found


def _state() -> pl.Expr:
    alive, was = pl.col("alive"), pl.col("was")
    return (
        pl.when(alive & was).then(pl.lit("alive"))
        .when(alive).then(pl.lit("born"))
        .when(was).then(pl.lit("died"))
        .otherwise(pl.lit("dead"))
        .alias("state")
    )  # fmt: skip
